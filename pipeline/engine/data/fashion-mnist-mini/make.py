#!/usr/bin/env python3
"""Build the small, class-balanced Fashion-MNIST subset that lies beside this script.

The full data set is about 30 MB; this subset (1,000 training and 200 test images of
each of the ten classes) is small enough to be embedded, so that experiments
run offline. The choice is fixed: the images of a class are ranked by the SHA-256 of
"fashion-mnist-mini", the split and the image's index, the first ones are taken and
written in their original order.

Usage: python3 make.py SOURCE_DIR

SOURCE_DIR holds the four original .gz files (Debian's dataset-fashion-mnist package
installs them in /usr/share/datasets/fashion-mnist). The four outputs and SHA256SUMS
are written to this script's folder. The same zlib gives the same bytes; another
compressor may pack the same images into different .gz bytes.
"""

import gzip
import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

CLASSES = 10
SIDE = 28
SALT = b"fashion-mnist-mini"

# split: (images in the original, images of each class to keep)
SPLITS = {"train": (60_000, 1_000), "t10k": (10_000, 200)}

# Digests of the unpacked files: Debian repacks them, so its .gz bytes differ from the
# official download while the content is the same.
SOURCE_SHA256 = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def read_source(folder, name):
    """The unpacked bytes of one original file, after checking its digest."""
    path = folder / name
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        sys.exit(f"cannot read {path}: {error}")
    found = hashlib.sha256(data).hexdigest()
    if found != SOURCE_SHA256[name]:
        sys.exit(
            f"{path} is not the original Fashion-MNIST file:\n"
            f"  expected SHA-256 of the unpacked data {SOURCE_SHA256[name]}\n"
            f"  found                                 {found}"
        )
    return data


def choose(split, labels, per_class):
    """Indices to keep, in the original order."""
    members = [[] for _ in range(CLASSES)]
    for index, label in enumerate(labels):
        rank = hashlib.sha256(SALT + split.encode() + str(index).encode()).digest()
        members[label].append((rank, index))
    kept = [index for group in members for _, index in sorted(group)[:per_class]]
    assert len(kept) == CLASSES * per_class
    return sorted(kept)


def pack(data):
    """Gzip bytes that carry neither a time nor a file name."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(data)
    return buffer.getvalue()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make.py SOURCE_DIR")
    source = Path(sys.argv[1])
    unpacked = {name: read_source(source, name) for name in SOURCE_SHA256}
    outputs = {}
    for split, (count, per_class) in SPLITS.items():
        images_name = f"{split}-images-idx3-ubyte.gz"
        labels_name = f"{split}-labels-idx1-ubyte.gz"
        images, labels = unpacked[images_name], unpacked[labels_name]
        assert struct.unpack_from(">4I", images) == (0x803, count, SIDE, SIDE)
        assert struct.unpack_from(">2I", labels) == (0x801, count)
        images, labels = images[16:], labels[8:]
        kept = choose(split, labels, per_class)
        size = SIDE * SIDE
        outputs[images_name] = pack(
            struct.pack(">4I", 0x803, len(kept), SIDE, SIDE)
            + b"".join(images[i * size : (i + 1) * size] for i in kept)
        )
        outputs[labels_name] = pack(
            struct.pack(">2I", 0x801, len(kept)) + bytes(labels[i] for i in kept)
        )
    target = Path(__file__).resolve().parent
    for name, data in outputs.items():
        (target / name).write_bytes(data)
    (target / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in outputs.items())
    )


if __name__ == "__main__":
    main()
