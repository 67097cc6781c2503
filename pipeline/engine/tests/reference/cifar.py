"""Small archives in the forms of CIFAR-10, written into cifar/ beside this file: python3 cifar.py

The archive for C follows https://www.cs.toronto.edu/~kriz/cifar.html. The archive for Python was written by Python 2's cPickle;
`python2_batch` gives its opcodes one by one. The others are what Python 3 and numpy write in each protocol (made with Python 3.11
and numpy 2.4).
"""

import gzip
import io
import pathlib
import pickle
import struct
import tarfile

import numpy as np

BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
RECORDS = 2


def label(batch, record):
    return (3 * batch + record) % 10


def pixels(batch):
    """Rows of 3072 bytes. The formula stands in the test, too."""
    k = np.arange(3072)
    plane, y, x = k // 1024, k // 32 % 32, k % 32
    return np.array([(batch * 40 + r * 20 + plane * 7 + y * 3 + x) % 256 for r in range(RECORDS)], np.uint8)


def binary_batch(batch):
    return b"".join(bytes([label(batch, r)]) + row.tobytes() for r, row in enumerate(pixels(batch)))


def short(text):
    return b"U" + bytes([len(text)]) + text


def python2_batch(batch):
    data = pixels(batch).tobytes()
    return b"".join([
        b"\x80\x02}q\x01(",
        short(b"batch_label"), b"q\x02", short(b"training batch"), b"q\x03",
        short(b"labels"), b"q\x04]q\x05(", *[b"K" + bytes([label(batch, r)]) for r in range(RECORDS)], b"e",
        short(b"data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85", short(b"b"), b"\x87Rq\t(",
        b"K\x01K", bytes([RECORDS]), b"M", struct.pack("<H", 3072), b"\x86",
        b"cnumpy\ndtype\nq\n", short(b"u1"), b"K\x00K\x01\x87Rq\x0b(K\x03", short(b"|"), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        b"\x89T", struct.pack("<i", len(data)), data, b"tb",
        short(b"filenames"), b"q\x0c]q\r(", *[short(b"image_%d.png" % r) + b"q" + bytes([14 + r]) for r in range(RECORDS)], b"eu.",
    ])


def python3_batch(batch, protocol, keys, order="C"):
    labels = [label(batch, r) for r in range(RECORDS)]
    names = [f"image_{r}.png" for r in range(RECORDS)]
    values = {"batch_label": "training batch", "labels": labels, "data": np.array(pixels(batch), order=order), "filenames": names}
    return pickle.dumps({keys(k): v for k, v in values.items()}, protocol)


def write(name, folder, files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        tar.addfile(top)
        for file, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{file}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (FOLDER / name).write_bytes(gzip.compress(raw.getvalue(), 9, mtime=0))


def batches(make):
    return {"readme.html": b"<html>", **{name: make(i) for i, name in enumerate(BATCHES)}}


FOLDER = pathlib.Path(__file__).parent / "cifar"
FOLDER.mkdir(exist_ok=True)
write("binary.tar.gz", "cifar-10-batches-bin", {k if k == "readme.html" else f"{k}.bin": v for k, v in batches(binary_batch).items()})
write("python2.tar.gz", "cifar-10-batches-py", batches(python2_batch))
for protocol in range(2, 6):
    write(f"python3-{protocol}.tar.gz", "cifar-10-batches-py", batches(lambda i: python3_batch(i, protocol, str)))
write("python3-bytes.tar.gz", "cifar-10-batches-py", batches(lambda i: python3_batch(i, 2, str.encode)))
write("python3-fortran.tar.gz", "cifar-10-batches-py", batches(lambda i: python3_batch(i, 4, str, "F")))
write("python3-fortran5.tar.gz", "cifar-10-batches-py", batches(lambda i: python3_batch(i, 5, str, "F")))
assert pickle.loads(python2_batch(1), encoding="latin1")["data"].tolist() == pixels(1).tolist()
