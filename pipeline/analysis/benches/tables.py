#!/usr/bin/env python3
"""Compare making a table from every step of a results file with pandas, plain SQL and MLflow's client on this machine.

Writes its section of docs/benchmarks.md. Needs `target/release/pipeline` and `target/release/examples/{fill,tables}`. The first
time, it makes a virtual environment with pandas and MLflow, and the files that are read (target/tables/).

Usage: python3 tables.py [RUNS STEPS] [--rounds 5]
"""

import argparse
import json
import math
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "pipeline" / "engine" / "benches" / "peers"))

from compare import KEPT, TARGET, Failure, keeping, machine, paragraph, quietest, run, run_json, short, table  # noqa: E402

FOLDER = TARGET / "tables"
FILL = TARGET / "release" / "examples" / "fill"
TABLES = TARGET / "release" / "examples" / "tables"

# Runs and steps of each. MLflow's client is measured on the small one alone: it would take ten minutes for the large one.
SIZES = [(200, 1000), (2000, 5000)]
MLFLOW_MOST = 200_000

# The columns of every table: arm, finished runs, mean and standard deviation of their final loss, runs that were below 0.5,
# mean steps until then, mean area under the loss of finished runs.
QUERY = """
WITH of_run AS (
    SELECT run_key, AVG(loss) AS area, MIN(CASE WHEN loss < 0.5 THEN step END) AS below FROM step_log GROUP BY run_key
), runs AS (
    SELECT sr.position, sr.arm, of_run.below,
        CASE WHEN run.outcome IN ('completed', 'stopped_early') THEN of_run.area END AS area,
        CASE WHEN run.outcome IN ('completed', 'stopped_early') THEN
            (SELECT loss FROM step_log WHERE run_key = run.key ORDER BY step DESC LIMIT 1)
        END AS final
    FROM study_run AS sr JOIN run ON run.id = sr.run_id JOIN of_run ON of_run.run_key = run.key
), means AS (
    SELECT position, AVG(final) AS mean FROM runs GROUP BY position
)
SELECT arm, COUNT(final), mean, SQRT(SUM((final - mean) * (final - mean)) / (COUNT(final) - 1)), COUNT(below), AVG(below), AVG(area)
FROM runs JOIN means USING (position) GROUP BY position ORDER BY position
"""
RUNS = """
SELECT run.key AS run_key, sr.position, sr.arm, run.outcome IN ('completed', 'stopped_early') AS finished
FROM study_run AS sr JOIN run ON run.id = sr.run_id
"""

OURS, SQL, SQL_PYTHON, PANDAS, MLFLOW = "ours", "one SQL query (ours)", "one SQL query (Python)", "pandas", "MLflow's client"


# What the child processes do: each gives the table's rows.


def read_sql(path):
    return [list(row) for row in sqlite3.connect(path).execute(QUERY)]


def read_pandas(path):
    import pandas

    connection = sqlite3.connect(path)
    runs = pandas.read_sql_query(RUNS, connection).set_index("run_key")
    steps = pandas.read_sql_query("SELECT run_key, step, loss FROM step_log", connection)
    loss = steps.groupby("run_key")["loss"]
    runs["final"], runs["area"] = loss.last().where(runs["finished"] == 1), loss.mean().where(runs["finished"] == 1)
    runs["below"] = steps[steps["loss"] < 0.5].groupby("run_key")["step"].first()
    arms = runs.groupby(["position", "arm"])
    columns = [arms["final"].count(), arms["final"].mean(), arms["final"].std(), arms["below"].count(), arms["below"].mean(), arms["area"].mean()]
    return [[arm, *values] for ((_, arm), values) in zip(columns[0].index, zip(*(column.tolist() for column in columns)))]


def read_mlflow(client):
    (experiment,) = client.search_experiments(filter_string="name = 'filled'")
    arms, token = {}, None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        for of in page:
            history = sorted(client.get_metric_history(of.info.run_id, "loss"), key=lambda metric: metric.step)
            tags = of.data.tags
            finished = tags["finished"] == "1"
            below = next((metric.step for metric in history if metric.value < 0.5), None)
            area = statistics.fmean(metric.value for metric in history) if finished else None
            arm = arms.setdefault((int(tags["position"]), tags["arm"]), [])
            arm.append((history[-1].value if finished else None, below, area))
        token = page.token
        if not token:
            break
    rows = []
    for (_, arm), of in sorted(arms.items()):
        final, below, area = ([value for value in column if value is not None] for column in zip(*of))
        mean = statistics.fmean
        rows.append([arm, len(final), mean(final), statistics.stdev(final), len(below), mean(below) if below else None, mean(area)])
    return rows


def fill_mlflow(path, store):
    """The same runs and losses in a store of MLflow's."""
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.create_experiment("filled")
    connection = sqlite3.connect(path)
    for key, position, arm, finished in connection.execute(RUNS).fetchall():
        tags = {"position": str(position), "arm": arm, "finished": str(finished)}
        run_id = client.create_run(experiment, tags=tags).info.run_id
        losses = connection.execute("SELECT loss, step FROM step_log WHERE run_key = ? ORDER BY step", [key])
        metrics = [Metric("loss", math.nan if loss is None else loss, 1_700_000_000_000 + step, step) for loss, step in losses]
        for start in range(0, len(metrics), 1000):
            client.log_batch(run_id, metrics=metrics[start : start + 1000])
        client.set_terminated(run_id)


def child(mode, path):
    """Imports and connecting to a store are not timed."""
    if mode == "fill-mlflow":
        fill_mlflow(path, f"{path}.mlflow.partial")
        os.rename(f"{path}.mlflow.partial", f"{path}.mlflow")
        return
    if mode == MLFLOW:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{path}.mlflow")
        client.search_experiments()
        work = lambda: read_mlflow(client)  # noqa: E731
    else:
        if mode == PANDAS:
            import pandas  # noqa: F401
        work = lambda: {SQL_PYTHON: read_sql, PANDAS: read_pandas}[mode](path)  # noqa: E731
    start, cpu = time.perf_counter(), time.process_time()
    rows = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    rows = [[None if isinstance(x, float) and math.isnan(x) else x for x in row] for row in rows]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": peak, "rows": rows}))


# Measuring.


def environment(folder):
    """The Python of the virtual environment with the peers, and whether it has MLflow."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing pandas and MLflow into {folder}", file=sys.stderr, flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "pandas"], check=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "mlflow"]).returncode:
            print("warning: MLflow can't be installed", file=sys.stderr)
    return python


def version(python, package):
    try:
        return run([python, "-c", f"from importlib.metadata import version; print(version({package!r}))"])[0].strip()
    except Failure:
        return None


def measured(command):
    found, _ = run_json(command)
    return {"value": found["seconds"], **found}


def commands(python, path, with_mlflow):
    here = [python, Path(__file__).resolve(), "--child"]
    found = {OURS: [TABLES, path], SQL: [TABLES, path, QUERY]}
    found |= {mode: [*here, mode, path] for mode in (SQL_PYTHON, PANDAS, MLFLOW) if mode != MLFLOW or with_mlflow}
    return found


def prepare(python, runs, steps, with_mlflow):
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{runs}x{steps}.db"
    if not path.exists():
        partial = FOLDER / "partial.db"
        for old in FOLDER.glob("partial.db*"):
            old.unlink()
        print(run([FILL, runs, steps, partial])[0].strip(), file=sys.stderr, flush=True)
        partial.rename(path)
    if with_mlflow and not Path(f"{path}.mlflow").exists():
        for old in FOLDER.glob(f"{path.name}.mlflow*"):
            old.unlink()
        print("filling a store of MLflow's with the same numbers", file=sys.stderr, flush=True)
        run([python, Path(__file__).resolve(), "--child", "fill-mlflow", path])
    return path


def same(rows, expected, mode):
    """Fails unless two tables agree to twelve digits: sums may be added up in another order."""
    close = lambda a, b: a == b or (isinstance(a, (int, float)) and isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-11))  # noqa: E731
    for ours, theirs in zip(expected, rows, strict=True):
        if not all(close(a, b) for a, b in zip(ours, theirs, strict=True)):
            raise Failure(f"{mode} gives other numbers: {theirs} instead of {ours}")


def measure(python, runs, steps, rounds, with_mlflow):
    """Samples by mode, and the steps in the file."""
    with_mlflow = with_mlflow and runs * steps <= MLFLOW_MOST
    path = prepare(python, runs, steps, with_mlflow)
    samples = {}
    # The first round brings the file into the system's memory, and is not counted; the slow ones can do without.
    for number in range(rounds + 1):
        for mode, command in commands(python, path, with_mlflow).items():
            if number == 0 and mode in (PANDAS, MLFLOW):
                continue
            sample = quietest(lambda command=command: measured(command))
            if number > 0:
                samples.setdefault(mode, []).append(sample)
            print(f"{runs}x{steps}, {mode}, {number} of {rounds}: {short(sample['value'])} s", file=sys.stderr, flush=True)
    for mode, of_mode in samples.items():
        for sample in of_mode:
            same(sample["rows"], samples[OURS][0]["rows"], mode)
    (count,) = sqlite3.connect(path).execute("SELECT COUNT(*) FROM step_log").fetchone()
    return samples, count


# What is written about it.


def middle(samples, mode, what="value"):
    return statistics.median(sample[what] for sample in samples[mode])


def size_section(runs, steps, samples, count):
    rows = []
    for mode in samples:
        times = [sample["value"] for sample in samples[mode]]
        # Each round's ratio: what disturbs a round disturbs all that is measured in it.
        ratios = [theirs / ours["value"] for theirs, ours in zip(times, samples[OURS])]
        spread = f"{short(min(times))}–{short(max(times))}"
        memory = f"{middle(samples, mode, 'peak_mib'):.0f}"
        rows.append([mode, short(statistics.median(times)), spread, short(statistics.median(ratios)), short(middle(samples, mode, "cpu")), memory])
    header = ["", ">s", ">least to most", ">so many times ours", ">processor s", ">peak MiB"]
    title = f"### {runs} runs × {steps} steps"
    about = f"The file has {count:,} rows of steps: runs that diverged end early.".replace(",", " ")
    return f"{title}\n\n{about}\n\n{table(header, rows)}"


def section(found, facts, rounds):
    noise = [s["others"] for samples, _ in found.values() for of in samples.values() for s in of if "others" in s]
    about = f"""How long it takes to make a table from every step of a results file: for each of 20 arms, mean and standard
        deviation of the final loss, steps to a loss below 0.5, and area under the loss. Ours is what a report does: it reads
        step, examples, loss and accuracy of every step on as many threads as there are cores, and sums up all that the tables,
        curves and diagnoses of a study need, of which this table is a small part. The SQL query scans the steps once, on one
        thread, for this table alone: in our program, and in Python with its own SQLite. pandas reads run, step and loss of the same
        file into one frame and groups it. MLflow's client asks a SQLite store of MLflow's, filled with the same losses, for the
        history of each run. Every measurement is a process of its own; the start of Python, imports and the connection to MLflow's
        store are not counted. All are measured in turn, in {rounds} rounds, with the file in the system's memory; a number is the median of
        the rounds, a ratio the median of the rounds' ratios. Peak memory is the whole process's resident set, Python's
        own included. All tables agree to eleven digits."""
    if noise:
        about += f""" Other programs took {statistics.median(noise):.0%} of the cores' time (median; at most {max(noise):.0%});
            that hits what runs on two threads most: ours. Processor seconds are disturbed less."""
    parts = [KEPT, paragraph(about), "    just bench-tables", paragraph("measures again and writes this section.")]
    parts.append(table(["", ""], [[key, value] for key, value in facts.items()]))
    parts += [size_section(runs, steps, samples, count) for (runs, steps), (samples, count) in found.items()]
    return "\n\n".join(parts) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("size", type=int, nargs="*", metavar="RUNS STEPS", help="one size instead of both; the section is printed, not written")
    add("--rounds", type=int, default=5, metavar="N", help="measurements of each [default: 5]")
    add("--venv", type=Path, default=TARGET / "tables-venv", metavar="DIR", help="virtual environment [default: target/tables-venv]")
    args = parser.parse_args()
    if len(args.size) not in (0, 2):
        parser.error("give RUNS and STEPS, or neither")
    if args.rounds < 1:
        parser.error("rounds must be positive")
    for program in (FILL, TABLES):
        if not program.exists():
            parser.error(f"{program} is missing; build it with: cargo build --release --workspace --example fill --example tables")
    return args


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:])
    args = arguments()
    sizes = [tuple(args.size)] if args.size else SIZES
    try:
        python = environment(args.venv)
        mlflow = version(python, "mlflow")
        if mlflow is None:
            print("SKIPPED: MLflow's client is not measured, because MLflow is not installed", file=sys.stderr)
        found = {(runs, steps): measure(python, runs, steps, args.rounds, mlflow is not None) for runs, steps in sizes}
    except (Failure, subprocess.CalledProcessError) as error:
        return f"error: {error}"
    except KeyboardInterrupt:
        return 130
    here = machine()
    facts = {key: here[key] for key in ("processor", "cores", "memory", "kernel")}
    facts["Python"] = f"{sys.version.split()[0]}, its SQLite {sqlite3.sqlite_version}"
    facts["pandas"], facts["MLflow"] = version(python, "pandas"), mlflow or "not installed, not measured"
    text = section(found, facts, args.rounds)
    if args.size:
        print(text, end="")
        return 0
    page = ROOT / "docs" / "benchmarks.md"
    page.write_text(keeping(page.read_text(), text))
    print(f"wrote {page}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
