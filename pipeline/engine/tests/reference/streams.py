"""The random streams of `src/random.rs`, written out from RFC 8439's quarter round: ChaCha with 8 rounds, 64-bit counter and
64-bit stream number, keyed as that file says. Prints the first two 64-bit words of the stream (shuffle, seed 7, index 3), and
which of 24 numbers layer 5 keeps at a rate of 0.3 (seed 7, index 3).

Usage: python streams.py"""

import hashlib
import struct

import numpy as np


def rotate(x, n):
    return (x << n) | (x >> (32 - n))


def quarter(s, a, b, c, d):
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] += s[y]
        s[z] = rotate(s[z] ^ s[x], n)


def chacha8(key, stream, blocks):
    """The first bytes of a stream, 64 to a block; all blocks are computed side by side."""
    counter = np.arange(blocks, dtype=np.uint64)
    start = np.empty((16, blocks), np.uint32)
    start[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    start[4:12] = np.frombuffer(key, "<u4")[:, None]
    start[12], start[13] = counter & 0xFFFFFFFF, counter >> 32
    start[14], start[15] = stream & 0xFFFFFFFF, stream >> 32
    s = start.copy()
    for _ in range(4):
        for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(s, *columns)
        for diagonals in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, *diagonals)
    return (s + start).T.astype("<u4").tobytes()


def words(purpose, seed, index, count, layer=None):
    """The first `count` 64-bit words for a purpose (init, shuffle, split, or dropout with a layer)."""
    name = purpose.encode() + struct.pack("<Q", seed) + (b"" if layer is None else struct.pack("<Q", layer))
    key = hashlib.sha256(b"pipeline stream 1\0" + name).digest()
    return np.frombuffer(chacha8(key, index, -(-count // 8)), "<u8")[:count]


def units(purpose, seed, index, count):
    """Uniform in [0, 1), 53 random bits."""
    return (words(purpose, seed, index, count) >> 11).astype(np.float64) / 2.0**53


def permutation(purpose, seed, index, n):
    """A random order of 0..n: Fisher-Yates, each place drawn without bias by Lemire's method."""
    # Words are rejected so rarely that a few to spare are enough.
    draws = iter(words(purpose, seed, index, n + 64).tolist())
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        threshold = (2**64 - (i + 1)) % (i + 1)
        product = next(draws) * (i + 1)
        while product % 2**64 < threshold:
            product = next(draws) * (i + 1)
        j = product >> 64
        order[i], order[j] = order[j], order[i]
    return order


if __name__ == "__main__":
    halves = words("dropout", 7, 3, 12, layer=5).view("<u4")
    print([hex(word) for word in words("shuffle", 7, 3, 2).tolist()])
    print((halves >= round(0.3 * 2**32)).astype(int).tolist())
