"""Reads what `pipeline export` wrote with the programs that it is for, and compares every value with the database.

    read_back.py DATABASE FOLDER     FOLDER holds parquet/ csv/ json/ tensorboard/ mlflow.db

What is expected comes from SQLite itself, by Python's own sqlite3. Fails with the first difference."""

import json
import math
import os
import pathlib
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

database, folder = sys.argv[1], pathlib.Path(sys.argv[2])
db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
db.row_factory = sqlite3.Row


def bits(x):
    """A number by its bits, so that NaN equals NaN and 0 differs from -0."""
    return None if x is None else struct.pack("<d", float("nan") if math.isnan(x) else x)


def f32(x):
    """As TensorBoard keeps it."""
    with_range = x if not math.isfinite(x) or abs(x) < 3.4028235677973366e38 else math.copysign(math.inf, x)
    return struct.unpack("<f", struct.pack("<f", with_range))[0]


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


# Runs in which something is classified: a NULL of another one's accuracy is no NaN.
CLASSIFIES = {run for (run,) in db.execute("SELECT DISTINCT run_id FROM step WHERE accuracy IS NOT NULL")}


def metric(row, name):
    """NaN is NULL in a row that is not finite."""
    is_nan = row[name] is None and not row["finite"] and (name != "accuracy" or row["run_id"] in CLASSIFIES)
    return float("nan") if is_nan else row[name]


def steps():
    for row in db.execute("SELECT * FROM step ORDER BY run_id, step"):
        yield {**row, **{name: metric(row, name) for name in ("loss", "accuracy", "lr", "grad_norm")}}


def evals():
    for row in db.execute("SELECT * FROM eval ORDER BY run_id, split, step"):
        yield {**row, **{name: metric(row, name) for name in ("loss", "accuracy")}}


OF = {row["run_id"]: dict(row) for row in db.execute("SELECT study, arm, seed, run_id FROM run_summary")}
STEPS, EVALS = [{**s, **OF[s["run_id"]]} for s in steps()], [{**e, **OF[e["run_id"]]} for e in evals()]
assert STEPS and EVALS and any(math.isnan(s["loss"]) or math.isinf(s["loss"]) for s in STEPS), "the database must have values that are not finite"
RUNS = [dict(row) for row in db.execute("SELECT * FROM run_summary ORDER BY study, position, seed")]


def check(what, found, expected, names):
    assert len(found) == len(expected), f"{what}: {len(found)} rows, expected {len(expected)}"
    for f, e in zip(found, expected):
        for name in names:
            a, b = f[name], e[name]
            if isinstance(b, float):
                assert a is not None and bits(a) == bits(b), f"{what}.{name}: {a!r}, expected {b!r} in {e}"
            else:
                assert a == b, f"{what}.{name}: {a!r}, expected {b!r} in {e}"
    print(f"{what}: {len(found)} rows, every value")


STEP = ["study", "arm", "seed", "run_id", "step", "epoch", "examples", "loss", "accuracy", "lr", "grad_norm", "elapsed_ms", "finite"]
EVAL = ["study", "arm", "seed", "run_id", "split", "step", "epoch", "examples", "loss", "accuracy", "elapsed_ms", "finite"]
RUN = ["run_id", "study", "arm", "seed", "outcome", "steps", "validation_loss", "test_accuracy"]


def parquet():
    import duckdb
    import pandas

    def duck(table, order):
        answer = duckdb.sql(f"SELECT * FROM '{folder}/parquet/{table}.parquet' ORDER BY {order}")
        return [dict(zip(answer.columns, row)) for row in answer.fetchall()]

    check("DuckDB steps", duck("steps", "run_id, step"), STEPS, STEP)
    check("DuckDB evals", duck("evals", "run_id, split, step"), EVALS, EVAL)
    check("DuckDB runs", duck("runs", "study, position, seed"), RUNS, RUN)
    frame = pandas.read_parquet(folder / "parquet/steps.parquet").sort_values(["run_id", "step"], kind="stable")
    check("pandas steps", frame.to_dict("records"), STEPS, [name for name in STEP if name != "accuracy"])
    # pandas has one NaN for both.
    for a, e in zip(frame["accuracy"], STEPS):
        assert bits(a) == bits(float("nan") if e["accuracy"] is None else e["accuracy"])


def csv():
    import pandas

    frame = pandas.read_csv(folder / "csv/steps.csv").sort_values(["run_id", "step"], kind="stable")
    check("pandas CSV steps", frame.to_dict("records"), STEPS, [name for name in STEP if name != "accuracy"])


def jsonl():
    numbers = {"loss", "accuracy", "lr", "grad_norm", "elapsed_ms"}
    rows = [json.loads(line) for line in open(folder / "json/steps.jsonl")]
    rows = [{k: float(v) if k in numbers and v is not None else v for k, v in row.items()} for row in rows]
    rows.sort(key=lambda row: (row["run_id"], row["step"]))
    check("JSON steps", rows, STEPS, STEP)
    runs = [json.loads(line) for line in open(folder / "json/runs.jsonl")]
    assert all(isinstance(run["config"], dict) and isinstance(run["axes"], dict) for run in runs)


def curves():
    """What a curve of each run should be: (run, tag) → [(step, value)], with the tags that TensorBoard shows."""
    expected = {}
    for s in STEPS:
        for name in ("loss", "accuracy", "lr", "grad_norm"):
            if s[name] is not None:
                expected.setdefault((s["run_id"], name), []).append((s["step"], f32(s[name])))
    for e in EVALS:
        for name in ("loss", "accuracy"):
            if e[name] is not None:
                expected.setdefault((e["run_id"], f"{e['split']}/{name}"), []).append((e["step"], f32(e[name])))
    return expected


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tensorboard():
    from tensorboard.backend.event_processing import event_accumulator

    expected = curves()
    logs = folder / "tensorboard"
    files = sorted(logs.rglob("*tfevents*"))
    by_run = {path.name.rsplit(".", 1)[1]: path.parent for path in files}
    assert len(files) == len(RUNS) and set(by_run) == {run["run_id"] for run in RUNS}
    values = 0
    for run, place in by_run.items():
        events = event_accumulator.EventAccumulator(str(place), size_guidance={event_accumulator.SCALARS: 0}).Reload()
        for tag in events.Tags()["scalars"]:
            if tag.startswith(("position/", "measurement/")) or tag.endswith("noise_scale"):
                continue
            found = [(e.step, e.value) for e in events.Scalars(tag)]
            want = expected.pop((run, tag))
            assert len(found) == len(want) and all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(found, want)), (run, tag)
            values += len(found)
    assert not expected, f"not in TensorBoard: {sorted(expected)[:3]}"
    print(f"EventAccumulator: {values} values")

    # A server as its users start it.
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port), "--samples_per_plugin", "scalars=10000000"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def get(path):
            return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/data/{path}", timeout=20))

        for _ in range(240):
            try:
                if len(get("runs")) == len(RUNS):
                    break
            except OSError:
                pass
            time.sleep(0.5)
        expected, values = curves(), 0
        names = {str(place.relative_to(logs)): run for run, place in by_run.items()}
        tags = {}
        for _ in range(60):
            tags = get("plugin/scalars/tags")
            if set(tags) == set(names) and all("test/loss" in tags[n] or len(tags[n]) >= 4 for n in names):
                break
            time.sleep(0.5)
        for name, run in names.items():
            for (r, tag), want in expected.items():
                if r == run:
                    query = urllib.parse.urlencode({"run": name, "tag": tag})
                    found = [(step, float(value)) for _, step, value in get(f"plugin/scalars/scalars?{query}")]
                    assert len(found) == len(want) and all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(found, want)), (name, tag)
                    values += len(found)
        print(f"TensorBoard server: {values} values")
        experiment = urllib.request.Request(f"http://127.0.0.1:{port}/data/plugin/hparams/experiment", data=b"{}", headers={"Content-Type": "application/json"})
        hparams = json.load(urllib.request.urlopen(experiment, timeout=20))["hparamInfos"]
        assert {"lr", "optimizer", "seed"} <= {h["name"] for h in hparams}, hparams
        print(f"HParams: {len(hparams)} hyper-parameters")
    finally:
        server.terminate()
        server.wait()


def mlflow():
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    studies = {run["study"] for run in RUNS}
    assert studies <= set(experiments), experiments
    largest, values, seen = sys.float_info.max, 0, 0
    expected = {}
    for s in STEPS:
        for name in ("loss", "accuracy", "lr", "grad_norm"):
            if s[name] is not None:
                expected.setdefault((s["run_id"], name), []).append((s["step"], s[name]))
    for e in EVALS:
        for name in ("loss", "accuracy"):
            if e[name] is not None:
                expected.setdefault((e["run_id"], f"{e['split']}_{name}"), []).append((e["step"], e[name]))
    for study in studies:
        for run in client.search_runs([experiments[study]], max_results=5000):
            seen += 1
            tags, run_id = run.data.tags, run.data.tags["run_id"]
            summary = next(r for r in RUNS if r["run_id"] == run_id and r["study"] == study)
            assert (tags["arm"], tags["outcome"]) == (summary["arm"], summary["outcome"]) and run.data.params["seed"] == str(summary["seed"])
            for (r, key), want in expected.items():
                if r != run_id:
                    continue
                found = sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
                want = sorted(want)
                assert len(found) == len(want), (run_id, key, len(found), len(want))
                for (step, a), (at, b) in zip(found, want):
                    # MLflow has the largest number for infinity.
                    b = max(-largest, min(largest, b)) if not math.isnan(b) else b
                    assert step == at and same(float(a), float(b)), (run_id, key, step, a, b)
                    values += 1
                last = run.data.metrics[key]
                assert same(last, found[-1][1]) or math.isinf(last), (run_id, key)
    assert seen == len(RUNS), (seen, len(RUNS))
    print(f"MLflow: {seen} runs, {values} values")
    serve_mlflow(studies)


def serve_mlflow(studies):
    """Its user interface's server, asked for the experiments."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        query = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search", data=b'{"max_results": 100}', headers={"Content-Type": "application/json"}
        )
        for _ in range(240):
            try:
                answer = json.load(urllib.request.urlopen(query, timeout=20))
                break
            except OSError:
                assert server.poll() is None, "mlflow server has ended"
                time.sleep(0.5)
        assert studies <= {e["name"] for e in answer["experiments"]}, answer
        print("MLflow server: every study")
    finally:
        # It starts workers of its own.
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


for part in sys.argv[3:] or ["parquet", "csv", "jsonl", "tensorboard", "mlflow"]:
    globals()[part]()
