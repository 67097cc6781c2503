"""Writes what fuzzing starts from beside this file: seeds/TARGET/ (inputs that once crashed are there, too, and stay) and toml.dict.

    python3 fuzz/seeds.py      (ImageMagick's `convert` for the JPEG files)
"""

import hashlib
import io
import json
import pathlib
import re
import struct
import subprocess
import tarfile
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent


def seed(target, name, content):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def results():
    """CSV files as Keras, Lightning and long tables have them, and event files: one of ours (even first byte) and an event alone (odd)."""
    seed("csv", "keras", "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.5,0.6,1.25\n1,0.7,0.5,nan,inf\n")
    seed("csv", "lightning", "lr,seed,step,epoch,train_loss_step,val_loss\n0.1,1,50,0,0.9,\n0.1,1,50,0,,0.8\n")
    seed("csv", "long", "run;step;split;metric;value;Wall time\na;1;val;loss;0.5;100.5\nb;1;train;accuracy;0.25;101\n")

    def field(number, wire, content):
        key = bytes([number << 3 | wire])
        return key + (bytes([len(content)]) + content if wire == 2 else content)

    def event(*values):
        summary = b"".join(field(1, 2, value) for value in values)
        return field(1, 1, struct.pack("<d", 1e9)) + field(2, 0, b"\x07") + field(5, 2, summary)

    plain = field(1, 2, b"loss") + field(2, 5, struct.pack("<f", 0.5))
    tensor = field(1, 2, b"acc") + field(8, 2, field(1, 0, b"\x02") + field(2, 2, b"") + field(6, 1, struct.pack("<d", 0.25)))
    start = field(3, 2, field(1, 2, field(1, 2, b"lr") + field(2, 2, field(2, 1, struct.pack("<d", 0.1)))))
    hparams = field(1, 2, b"_hparams_/session_start_info") + field(9, 2, field(1, 2, field(1, 2, b"hparams") + field(2, 2, start)))
    seed("events", "scalar", b"\1" + event(plain))
    seed("events", "tensor", b"\1" + event(tensor, plain))
    seed("events", "hparams", b"\1" + event(hparams))

    def crc32c(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        crc ^= 0xFFFFFFFF
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    record, length = event(plain), struct.pack("<Q", len(event(plain)))
    seed("events", "file", b"\0" + (length + crc32c(length) + record + crc32c(record)) * 2)


def grids():
    for file in ROOT.glob("experiments/*.toml"):
        seed("grid", file.stem, file.read_bytes())
    seed("grid", "small", """[study]
question = "?"
metric = "validation_loss"
targets = { validation_loss = [0.5, 0.3] }
[base]
dataset = "mnist"
model = { name = "mlp", hidden = 32 }
batch_size = "full"
epochs = 1
[grid]
lr = { log = [1e-4, 1], points = 3 }
optimizer = ["sgd", "adam"]
[[zip]]
split_seed = [1, 2]
init = ["he", "glorot"]
[[when]]
if = { optimizer = "sgd" }
grid = { momentum = [0, 0.9] }
[[exclude]]
lr = 1
momentum = 0.9
[[runs]]
optimizer = "adamw"
lr = 0.1
[replicates]
seeds = 2
[analysis]
compare = "optimizer"
margin = 0.01
""")


def models():
    # Two bytes choose a parameter and a value for it.
    for file in ROOT.glob("experiments/models/*.toml"):
        seed("model", file.stem, b"\0\2" + file.read_bytes())
    texts = [
        "flatten, dense 128 relu, dense classes",
        "conv3x3 16 relu, maxpool 2, conv3x3 32 stride 2x2 valid groups 2 no-bias relu, global-avgpool, dense classes no-bias",
        "conv1x1 4, conv3x3 4 <- 0, concat <- 1 2, batchnorm relu, dropout 0.5, add <- 3 4, flatten, dense classes",
        "conv3 8 pad 1, maxpool 3 stride 2 same, avgpool 2 stride 2 pad 1, gelu, silu, leaky-relu 0.01, elu 1, flatten, dense classes",
        "stack-frames, conv3x3 8 relu, global-maxpool, tanh, sigmoid, dense 5",
        "conv3x3x3 4 stride 1x2x2, maxpool 2x2x2 stride 2x2x2, flatten, dense classes",
    ]
    for i, text in enumerate(texts):
        seed("text", str(i), text)


def idx():
    def file(sizes):
        n = 1
        for size in sizes:
            n *= size
        return struct.pack(">I", 0x0800 + len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(i % 10 for i in range(n))

    def gzip(content):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        return packer.compress(content) + packer.flush()

    seed("idx", "images", b"\0" + file([2, 3, 4]))
    seed("idx", "labels", b"\2" + file([5]))
    seed("idx", "packed-images", b"\1" + gzip(file([2, 3, 4])))
    seed("idx", "packed-labels", b"\3" + gzip(file([5])))


def cifar():
    seed("cifar", "binary", bytes([7]) + bytes(i % 251 for i in range(3072)))
    for file in ROOT.glob("pipeline/engine/tests/reference/cifar/python*.tar.gz"):
        with tarfile.open(file) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith("test_batch"))
            seed("cifar", file.name.removesuffix(".tar.gz"), tar.extractfile(member).read())
    # python: pickletools.dis of {'a': [1, 300, -2, 1 << 40, -(1 << 40), 0]} in protocol 2
    seed("cifar", "integers", b"\x80\x02}U\x01a](K\x01M\x2c\x01J\xfe\xff\xff\xff\x8a\x06\0\0\0\0\0\1\x8a\x06\0\0\0\0\0\xff\x8a\0es.")
    seed("cifar", "recursive", b"\x80\x02}q\x00(U\x01a]q\x01K\x01aU\x01bh\x01U\x04selfh\x00u.")
    seed("cifar", "array", b"\x80\x02}U\x04data" b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01K\x02K\x03\x86"
         b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T\x06\0\0\0abcdeftbs"
         b"U\x06labels](K\x01K\x02es.")


def archives():
    def zipped(compression):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as z:
            z.writestr("a/", "")
            z.writestr("a/1.png", "one" * 20)
            z.writestr("b/2.png", "two")
        return out.getvalue()

    def tarred(form, names):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as t:
            for name in names:
                info = tarfile.TarInfo(name.rstrip("/"))
                if name.endswith("/"):
                    info.type = tarfile.DIRTYPE
                    t.addfile(info)
                else:
                    info.size = 5
                    t.addfile(info, io.BytesIO(b"12345"))
        # Two empty blocks end it; Python fills up to 20.
        return out.getvalue().rstrip(b"\0").ljust(-(-len(out.getvalue().rstrip(b"\0")) // 512) * 512 + 1024, b"\0")

    seed("archive", "stored-zip", b"\0" + zipped(zipfile.ZIP_STORED))
    seed("archive", "deflated-zip", b"\0" + zipped(zipfile.ZIP_DEFLATED))
    names = ["a/", "a/1.png", "b/2.png"]
    ustar = tarred(tarfile.USTAR_FORMAT, names)
    seed("archive", "ustar", b"\1" + ustar)
    seed("archive", "ustar-gz", b"\2" + ustar)
    seed("archive", "gnu-long", b"\1" + tarred(tarfile.GNU_FORMAT, ["a/" + "n" * 120]))
    seed("archive", "pax", b"\1" + tarred(tarfile.PAX_FORMAT, ["a/" + "\u00e9" * 60]))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    seed("archive", "packed", b"\3" + packer.compress(ustar) + packer.flush())
    seed("layout", "flat", "a/\na/1.png\nb/2.jpg\nb/3.jpeg\n")
    seed("layout", "divided", "train/\ntest/\ntrain/a/1.png\ntrain/b/1.png\ntest/a/2.png\n")
    seed("layout", "wrapped", "set/\nset/train/a/1.png\nset/test/a/1.png\n")


def images():
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    def png(colour, depth, samples, palette=b"", interlaced=0):
        side = 5
        row = bytes([0]) + bytes(i * 37 % 256 for i in range(-(-side * samples * depth // 8)))
        if interlaced:
            widths = [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)]
            rows = b"".join((bytes([0]) + bytes(-(-w * samples * depth // 8))) * h for w, h in widths)
        else:
            rows = row * side
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlaced))
        return b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")

    forms = {
        "grey1": png(0, 1, 1), "grey8": png(0, 8, 1), "grey16": png(0, 16, 1), "rgb8": png(2, 8, 3), "rgb16": png(2, 16, 3),
        "palette4": png(3, 4, 1, chunk(b"PLTE", bytes(range(48))) + chunk(b"tRNS", b"\0\x80")), "greya8": png(4, 8, 2),
        "rgba8": png(6, 8, 4), "interlaced": png(2, 8, 3, interlaced=1),
    }
    for name, file in forms.items():
        seed("image", f"png-{name}", b"\4" + file)
    forms = {"colour": [], "grey": ["-colorspace", "Gray"], "progressive": ["-interlace", "Plane"], "cmyk": ["-colorspace", "CMYK"],
             "subsampled": ["-sampling-factor", "4:2:0"]}
    for name, options in forms.items():
        made = subprocess.run(["convert", "-size", "9x7", "gradient:red-blue", *options, "-quality", "60", "-strip", "jpeg:-"], capture_output=True)
        if made.returncode == 0:
            seed("image", f"jpeg-{name}", b"\x14" + made.stdout)


def texts():
    for i, text in enumerate(["optimizer=adam lr<0.1 seed=0", "lr<=1e-1,nesterov=true", "study!=study steps>=7", "lr=0.1"]):
        seed("filter", str(i), text)
    seed("config", "run", '{"batch_size":64,"lr":0.1,"nesterov":true,"optimizer":"sgd"}')
    seed("config", "floats", '{"a":1e-7,"b":-2.5,"c":"\\"\\u0001é"}')
    seed("settings", "settings", '{"compare":["optimizer"],"margin":0.01,"order":3,"diagnosis":{"swing":0.1}}')
    seed("settings", "layers", '[{"text":"flatten","output":[784],"parameters":0,"multiply_adds":0},{"text":"dense 10","output":[10],"parameters":7850,"multiply_adds":7840}]')
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/querying.md").read_text(), re.S)
    for i, query in enumerate(queries):
        seed("query", f"{i:02}", query)
    for name, query in {
        "attach": "ATTACH 'x.db' AS x", "vacuum": "VACUUM INTO 'x.db'", "pragma": "PRAGMA query_only = 0", "insert": "INSERT INTO run DEFAULT VALUES",
        "recursive": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n", "json": "SELECT value FROM json_each('[1,2]')",
        "commit": "COMMIT", "temp": "CREATE TEMP TABLE t(x)", "explain": "EXPLAIN QUERY PLAN SELECT 1",
    }.items():
        seed("query", name, query)


def checkpoints():
    state = b"state of a training"
    digest = hashlib.sha256(b"56ccd4e6571e54a7 7 2 0\n" + state).hexdigest()
    line = json.dumps({"format": "pipeline checkpoint 1", "run": "56ccd4e6571e54a7", "step": 7, "evals": 2, "positions": 0,
                       "bytes": len(state), "sha256": digest})
    header = json.dumps({"__metadata__": {"engine": "pipeline 0.1.0", "format": "1", "run": "fuzz", "on": "cpu", "step": "7", "x": "3ff0000000000000"},
                         "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header = header.ljust(-(-len(header) // 8) * 8)
    # None, nothing longer and no changes: bytes.
    seed("checkpoint", "bytes", b"\0\0\0" + struct.pack("<Q", len(header)) + header + bytes(8))
    seed("checkpoint", "written", b"\1" + bytes(16) + b"\1\0\0\x80\x3f\1\0\0\0\x40\0" + b"\0" + b"\1\x20\0\x31" + b"\0")
    # No counts, no cut and no changes: the bytes of a file. Then counts and a state, and changes of that file.
    seed("saved", "file", b"\0" + b"\0\0" + b"\0" + line.encode().ljust(511) + b"\n" + state)
    seed("saved", "changed", b"\1" + bytes(24) + b"\0\0" + b"\1\x20\0\x31" + b"\0" + state)


def dictionary():
    words = set()

    def collect(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "properties":
                    words.update(value)
                if key == "enum":
                    words.update(v for v in value if isinstance(v, str))
                if key == "const" and isinstance(value, str):
                    words.add(value)
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(json.loads((ROOT / "experiments/grid.schema.json").read_text()))
    for file in ["parse.rs", "layers.rs", "expand.rs"]:
        text = (ROOT / "pipeline/spec/src/model/file" / file).read_text()
        words.update(re.findall(r'"([a-z][a-z0-9_]*)"', text))
    words.update(re.findall(r'"([a-z][a-z-]*)"', (ROOT / "pipeline/spec/src/model/text.rs").read_text()))
    words.update(["[study]", "[base]", "[grid]", "[[zip]]", "[[when]]", "[[exclude]]", "[[runs]]", "[replicates]", "[analysis]", "[nodes]",
                  "[blocks.", "[parameters]", " = ", "\"$", "\"\"\"", "'''", "{ ", " }", "0x", "1e", "inf", "nan", "1979-05-27",
                  "9223372036854775807", "18446744073709551615", "65536", "-1", "0.5"])
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in sorted(words))
    sql = """SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING JOIN LEFT UNION ALL EXCEPT INTERSECT WITH RECURSIVE AS VALUES NULL COUNT( SUM( AVG(
        json_each( json_extract( group_concat( printf( zeroblob( randomblob( hex( replace( substr( OVER( PARTITION PRAGMA ATTACH DETACH VACUUM
        INTO BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE INSERT UPDATE DELETE DROP CREATE TEMP TABLE TRIGGER VIEW INDEX REINDEX ANALYZE EXPLAIN
        QUERY PLAN CASE WHEN THEN END LIKE GLOB IN EXISTS CAST(""".split()
    names = re.findall(r"CREATE (?:TABLE|VIEW) (\w+)|^    (\w+)", (ROOT / "pipeline/tracker/schema.sql").read_text(), re.M)
    sql += sorted({a or b for a, b in names})
    (HERE / "sql.dict").write_text("".join(f'"{word} "\n' for word in sql))
    (HERE / "toml.dict").write_text("".join(f'"{word}"\n' for word in escaped))


for part in [results, grids, models, idx, cifar, archives, images, texts, checkpoints, dictionary]:
    part()
