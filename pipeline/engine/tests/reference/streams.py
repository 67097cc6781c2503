"""Prints the first two 64-bit words of the stream (shuffle, seed 7, index 3): ChaCha with 8 rounds, written out from
RFC 8439's quarter round, 64-bit counter and 64-bit stream number, keyed as `src/random.rs` says. Usage: python streams.py"""

import hashlib
import struct


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = rotate(s[z] ^ s[x], n)


def block(key, counter, stream):
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += list(struct.unpack("<4I", struct.pack("<QQ", counter, stream)))
    s = start[:]
    for _ in range(4):
        for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(s, *columns)
        for diagonals in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, *diagonals)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


key = hashlib.sha256(b"pipeline stream 1\0" + b"shuffle" + struct.pack("<Q", 7)).digest()
print([hex(w) for w in struct.unpack("<2Q", block(key, 0, 3)[:16])])
