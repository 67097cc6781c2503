#!/usr/bin/env python3
"""Compare our training with PyTorch's and Keras's on this machine, and write docs/benchmarks.md.

Needs `target/release/pipeline` and `target/release/examples/step`. The first time, it makes a virtual environment with the
packages of requirements.txt. `--only` measures a part, and prints the result unless `--out` says where it goes.

Usage: python3 compare.py [--only 'small-cnn 32 sgd'] [--rounds 3] [--seconds 3]
"""

import argparse
import json
import math
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PIPELINE = TARGET / "release" / "pipeline"
STEP = TARGET / "release" / "examples" / "step"

OURS = "ours"
PEERS = {"torch": "PyTorch", "keras": "Keras"}
DENSE_MODES = ["torch", "torch:fused", "keras:function", "keras:fit"]
CONV_MODES = ["torch", "torch:channels_last", "torch:fused", "torch:channels_last:fused", "keras:function", "keras:fit"]

# Name in worker.py: heading, what a grid file says, what the network is.
Network = namedtuple("Network", "title model about")
NETWORKS = {
    "stacked-cnn": Network(
        "Course network",
        'model = "stacked-cnn"',
        "Images of 32×32×3; convolutions 1×1 64, 1×1 64, 3×3 128 and 5×5 256, max-pooling 3×3 that keeps the size, dense 512, "
        "dense 10; 90 million parameters.",
    ),
    "small-cnn": Network(
        "Small CNN",
        'model = "small-cnn"',
        "Images of 28×28×1; convolution 3×3 16, pooling 2, convolution 3×3 32, pooling 2, dense 64, dense 10.",
    ),
    "mlp": Network("MLP", 'model = { name = "mlp", hidden = 128 }', "Images of 28×28×1; dense 128, dense 10."),
    "inception": Network(
        "Inception",
        'model = { name = "inception", batch_norm = false }',
        "Images of 28×28×1; convolution 3×3 32, two Inception modules of 96 channels with pooling 2 between, global average, "
        "dense 10.",
    ),
    "inception-bn": Network(
        "Inception with batch normalisation",
        'model = { name = "inception", batch_norm = true }',
        "The same with batch normalisation after every convolution.",
    ),
}
COURSE = "stacked-cnn"


class Workload(namedtuple("Workload", "model batch optimizer threads")):
    def __str__(self):
        return " ".join(map(str, self))

    def modes(self):
        return DENSE_MODES if self.model == "mlp" else CONV_MODES


WORKLOADS = [
    Workload(COURSE, 32, "adam", 2),
    *(Workload("small-cnn", batch, optimizer, n) for batch in (32, 256) for optimizer in ("sgd", "adam") for n in (1, 2)),
    *(Workload("mlp", 32, optimizer, n) for optimizer in ("sgd", "adam") for n in (1, 2)),
    Workload("inception", 64, "adam", 2),
    Workload("inception-bn", 64, "adam", 2),
]

CEILING_SIDE = 2048
CEILING_THREADS = (1, 2)

# Higher rates make some of the runs diverge. Ours end there, the peers' would go on: they would not do the same work.
GRID_RATES = [float(f"{1e-3 * 100 ** (i / 7):.4g}") for i in range(8)]
GRID_SEEDS = 3
GRID_BATCH = 64
# Mode: framework, processes, threads of each.
GRID_PEERS = {f"{peer}:{n}": (peer, n, 2 // n) for peer in PEERS for n in (1, 2)}

# The section of the page that another program writes: analysis/benches/tables.py.
KEPT = "## Tables of many steps"

# A measurement during which other programs take more than this share of the cores is repeated, but not for ever.
QUIET = 0.1
ATTEMPTS = 3


class Failure(Exception):
    """A measurement that gave no number."""


# Running programs.


def run(command):
    """What a program prints, and its peak memory in MiB."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise Failure(f"{command[0]}: {error.strerror}") from error
        try:
            with child.stdout:
                output = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()[-5:]
            raise Failure("\n".join([f"exit status {child.returncode}: {' '.join(command)}", *lines]))
    per_mib = 1024 if sys.platform.startswith("linux") else 1024**2
    return output.decode(), usage.ru_maxrss / per_mib


def run_json(command):
    """The JSON object on the last line that a program prints, and its peak memory in MiB."""
    output, peak = run(command)
    try:
        return json.loads(output.strip().splitlines()[-1]), peak
    except (IndexError, ValueError) as error:
        raise Failure(f"no JSON at the end of the output of {' '.join(map(str, command))}") from error


def busy_seconds():
    """Processor time that everything on this machine has used and was denied; None if the system doesn't tell."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def watched(measurement):
    """The sample that a measurement gives, with the share of the cores that other programs took from it."""

    def now():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return busy_seconds(), children.ru_utime + children.ru_stime, time.perf_counter()

    busy, used, start = now()
    sample = measurement()
    busy_after, used_after, end = now()
    if busy is not None:
        taken = busy_after - busy - (used_after - used)
        sample["others"] = max(0.0, taken / ((end - start) * os.cpu_count()))
    return sample


def quietest(measurement):
    """A sample that other programs hardly disturbed, or the least disturbed one of a few attempts."""
    samples = []
    while not samples or (len(samples) < ATTEMPTS and samples[-1].get("others", 0) > QUIET):
        samples.append(watched(measurement))
    return min(samples, key=lambda sample: sample.get("others", 0))


# Measurements. Each returns a sample: its value, and what else there is to know.


def sweep(grid, *options):
    """Runs our program on the text of a grid file.

    Returns the training time in ms at every logged step, the program's wall time in s, and its peak memory in MiB.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, db = Path(folder, "grid.toml"), Path(folder, "results.db")
        file.write_text(grid)
        start = time.perf_counter()
        _, peak = run([PIPELINE, "--db", db, "--quiet", "sweep", file, "--no-report", "--device", "cpu", *options])
        wall = time.perf_counter() - start
        connection = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
        runs = connection.execute("SELECT outcome, steps, planned_steps FROM run").fetchall()
        elapsed = [ms for (ms,) in connection.execute("SELECT elapsed_ms FROM step ORDER BY run_id, step")]
        connection.close()
    cut = [outcome for outcome, steps, planned in runs if outcome != "completed" or steps != planned]
    if cut or not elapsed or len(elapsed) != sum(steps for _, steps, _ in runs):
        raise Failure(f"{len(cut)} of {len(runs)} runs were not trained to their end ({', '.join(map(str, cut))})")
    return elapsed, wall, peak


def grid_file(base, rest=""):
    return f"""[study]
question = "How long does training take?"
metric = "train_loss"

[base]
dataset = "fashion-mnist-mini"
validation_fraction = 0
{base}
{rest}"""


def our_step(workload, seconds, guesses):
    """Our time per step; `guesses` keeps what it was last, so that the next measurement lasts as long as it should."""
    model, batch, optimizer, threads = workload
    if model == COURSE:
        found, peak = run_json([STEP, model, batch, optimizer, threads, seconds])
        return {"value": found["ms"], "peak_mib": peak, "flops": found["flops"]}

    def measure(steps):
        base = f'{NETWORKS[model].model}\noptimizer = "{optimizer}"\nlr = 1e-4\nbatch_size = {batch}\nsteps = {steps}'
        elapsed, _, peak = sweep(grid_file(base), "-j", 1, "--threads", threads)
        times = [after - before for before, after in zip(elapsed, elapsed[1:])]
        guesses[workload] = statistics.median(times[max(3, steps // 5) - 1 :])
        return {"value": guesses[workload], "peak_mib": peak, "steps": steps}

    if workload not in guesses:
        measure(8)
    return measure(int(min(max(seconds * 1e3 / guesses[workload], 8), 5000)))


def peer_step(python, mode, workload, seconds):
    found, peak = run_json([python, HERE / "worker.py", mode, *workload, seconds])
    return {"value": found["ms"], "peak_mib": peak}


def ceiling(python, threads, seconds):
    """GFLOP/s of a matrix product."""
    found, peak = run_json([python, HERE / "worker.py", "torch:matmul", "matmul", CEILING_SIDE, "none", threads, seconds])
    return {"value": 2 * CEILING_SIDE**3 / found["ms"] / 1e6, "peak_mib": peak}


def our_grid():
    base = f'model = "small-cnn"\noptimizer = "sgd"\nbatch_size = {GRID_BATCH}\nepochs = 1'
    _, wall, peak = sweep(grid_file(base, f"[grid]\nlr = {GRID_RATES}\n\n[replicates]\nseeds = {GRID_SEEDS}\n"), "-j", 2)
    return {"value": wall, "peak_mib": peak}


def peer_grid(python, framework, processes, threads):
    pairs = [f"{lr}:{seed}" for lr in GRID_RATES for seed in range(GRID_SEEDS)]
    commands = [[python, HERE / "grid_worker.py", framework, threads, *pairs[i::processes]] for i in range(processes)]
    start = time.perf_counter()
    with ThreadPoolExecutor(processes) as pool:
        peaks = [peak for _, peak in pool.map(run_json, commands)]
    return {"value": time.perf_counter() - start, "peak_mib": sum(peaks)}


def in_turn(measurements, rounds):
    """All measurements one after the other, `rounds` times, so that noise of the machine hits all alike.

    Takes functions and returns lists of samples, both by workload and mode. What fails is reported and left out.
    """
    samples = {key: [] for key in measurements}
    for number in range(1, rounds + 1):
        for (workload, mode), measure in measurements.items():
            name = f"{workload}, {mode}"
            if (workload, mode) not in samples:
                continue
            try:
                sample = quietest(measure)
            except (Failure, sqlite3.Error, KeyError) as failure:
                del samples[workload, mode]
                print(f"{name}: left out: {failure}", file=sys.stderr, flush=True)
                continue
            samples[workload, mode].append(sample)
            others = sample.get("others", 0)
            noise = f" (other programs took {others:.0%} of the cores)" if others > QUIET else ""
            print(f"{name}, {number} of {rounds}: {short(sample['value'])}{noise}", file=sys.stderr, flush=True)
    return samples


def measure_all(python, args):
    """Samples by workload and mode."""

    def group(rounds, measurements):
        wanted = {key: measure for key, measure in measurements.items() if args.only in key[0]}
        return in_turn(wanted, rounds)

    guesses = {}
    ceilings = {
        (f"ceiling {n}", "torch:matmul"): lambda n=n: ceiling(python, n, args.seconds)
        for n in CEILING_THREADS
    }  # fmt: skip
    samples = {}
    for w in WORKLOADS:
        # The ceiling is measured along with the network that it is compared with.
        measurements = dict(ceilings) if w.model == COURSE else {}
        measurements[str(w), OURS] = lambda w=w: our_step(w, args.seconds, guesses)
        for mode in w.modes():
            measurements[str(w), mode] = lambda w=w, mode=mode: peer_step(python, mode, w, args.seconds)
        samples.update(group(args.rounds, measurements))
    grid = {("grid", OURS): our_grid}
    for mode, how in GRID_PEERS.items():
        grid["grid", mode] = lambda how=how: peer_grid(python, *how)
    samples.update(group(args.grid_rounds, grid))
    if max(noise_of(samples), default=0) > QUIET:
        text = "warning: other programs were busy; what runs on all cores suffers most, the peers more than ours"
        print(text, file=sys.stderr)
    return samples


def noise_of(samples):
    return [sample["others"] for of_mode in samples.values() for sample in of_mode if "others" in sample]


# What is written about it.


def short(x):
    """Three significant digits."""
    x = float(f"{x:.2e}")
    return f"{x:.{max(2 - math.floor(math.log10(abs(x))), 0) if x else 0}f}"


def median(samples, workload, mode, what="value"):
    values = [sample[what] for sample in samples.get((str(workload), mode), [])]
    return statistics.median(values) if values else None


def best(samples, workload, peer, what="value"):
    """The smallest median of a peer's modes, and that mode; None if no mode has one."""
    modes = [mode for (name, mode) in samples if name == str(workload) and mode.split(":")[0] == peer]
    found = [(median(samples, workload, mode, what), mode) for mode in modes]
    return min(((value, mode) for value, mode in found if value is not None), default=None)


def label(mode):
    return ", ".join(mode.split(":")[1:]) or "plain"


def cell(found):
    """A value, with the mode if it comes with one."""
    if found is None:
        return "—"
    return short(found) if isinstance(found, float) else f"{short(found[0])} ({label(found[1])})"


def ratio(value, ours):
    return f"{value / ours:.2f}" if value is not None and ours is not None else "—"


def table(header, rows):
    """A Markdown table; columns whose header starts with `>` are aligned to the right."""
    align = ["---:" if name.startswith(">") else "---" for name in header]
    lines = [[name.lstrip(">") for name in header], align, *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 128, break_long_words=False, break_on_hyphens=False)


def plural(n, word):
    return f"{n:g} {word}" + ("" if n == 1 else "s")


def step_sections(samples):
    for model, network in NETWORKS.items():
        rows = []
        for w in (w for w in WORKLOADS if w.model == model and any(name == str(w) for name, _ in samples)):
            ours = median(samples, w, OURS)
            peers = [best(samples, w, peer) for peer in PEERS]
            fastest = min((found[0] for found in peers if found), default=None)
            rows.append([w.batch, w.optimizer, w.threads, cell(ours), *map(cell, peers), ratio(fastest, ours)])
        if rows:
            header = [">batch", "optimizer", ">threads", ">ours, ms", ">PyTorch, ms", ">Keras, ms", ">best peer / ours"]
            yield f"### {network.title}\n\n{paragraph(network.about)}\n\n{table(header, rows)}"


def ceiling_section(samples):
    workload = WORKLOADS[0]
    rates = {n: median(samples, f"ceiling {n}", "torch:matmul") for n in CEILING_THREADS}
    rows = [["matrix product, PyTorch", n, short(rate), ""] for n, rate in rates.items() if rate]
    top, flops = rates[workload.threads], median(samples, workload, OURS, "flops")
    if flops:
        peers = [(title, best(samples, workload, peer)) for peer, title in PEERS.items()]
        times = [(OURS, median(samples, workload, OURS)), *((title, found[0]) for title, found in peers if found)]
        for title, ms in times:
            rate = flops / ms / 1e6
            share = f"{rate / top:.0%}" if top else ""
            rows.append([f"course network, {title}", workload.threads, short(rate), share])
    if not any(rates.values()):
        return
    about = f"""How fast the processor could be at best: the product of two matrices of {CEILING_SIDE}×{CEILING_SIDE} numbers
        (f32) in PyTorch, measured in turn with the course network."""
    if flops:
        about += f" A step of that network with batch {workload.batch} is {short(flops / 1e9)} GFLOP."
    header = ["", ">threads", ">GFLOP/s", ">share of the ceiling"]
    yield f"## The ceiling\n\n{paragraph(about)}\n\n{table(header, rows)}"


def memory_section(samples):
    workload = WORKLOADS[0]
    found = [(OURS, median(samples, workload, OURS, "peak_mib"))]
    found += [(title, best(samples, workload, peer, "peak_mib")) for peer, title in PEERS.items()]
    rows = [[title, cell(peak)] for title, peak in found if peak]
    if not rows:
        return
    about = """Peak resident memory of the whole process that trains the course network, as the kernel counts it; of a peer, in
        the mode that needs least."""
    yield f"## Memory\n\n{paragraph(about)}\n\n{table(['', '>MiB (mode)'], rows)}"


def grid_section(samples, rounds):
    ours = median(samples, "grid", OURS)
    rows = [["ours", "2 runs at a time", short(ours), "1.00"]] if ours else []
    for mode, (peer, processes, _) in GRID_PEERS.items():
        wall = median(samples, "grid", mode)
        if wall:
            how = "2 processes of 1 thread" if processes == 2 else "1 process of 2 threads"
            rows.append([PEERS[peer], how, short(wall), ratio(wall, ours)])
    if not rows:
        return
    middle = f", median of {rounds}" if rounds > 1 else ""
    about = f"""{len(GRID_RATES) * GRID_SEEDS} runs of the small CNN: {len(GRID_RATES)} learning rates from
        {min(GRID_RATES):g} to {max(GRID_RATES):g}, {GRID_SEEDS} seeds, SGD, batch {GRID_BATCH}, one epoch of 10 000
        images. Wall time from the start of the program to its end{middle}. Ours is `pipeline sweep -j 2` with every step
        logged to SQLite; it also evaluates 1000 training images before and after each run, and the 2000 test images at its
        end. The peers log and evaluate nothing: PyTorch holds the data in one tensor (channels last), shuffles it and slices it;
        Keras has one compiled function for an epoch, which serves all runs."""
    header = ["", "how", ">s", ">so many times ours"]
    yield f"## A grid\n\n{paragraph(about)}\n\n{table(header, rows)}"


def machine():
    """What was measured on, by property."""
    cpu, flags = platform.processor() or platform.machine(), []
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            cpu = value if key == "model name" else cpu
            flags = value.split() if key in ("flags", "Features") else flags
    except OSError:
        pass
    try:
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
        system = release["PRETTY_NAME"].strip('"')
    except (OSError, KeyError):
        system = platform.platform(terse=True)
    vectors = [flag for flag in flags if flag.startswith(("avx", "fma", "amx", "asimd", "sve"))]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": cpu + (" (virtual machine)" if "hypervisor" in flags else ""),
        "cores": str(os.cpu_count()),
        "instruction set": platform.machine() + (f" with {' '.join(vectors)}" if vectors else ""),
        "memory": f"{memory:.1f} GiB",
        "system": system,
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def versions(python):
    def ask(*command):
        try:
            return run(command)[0].strip()
        except Failure:
            return "unknown"

    found = {"pipeline": ask(PIPELINE, "--version").split()[-1], "rustc": ask("rustc", "--version").replace("rustc ", "", 1)}
    for package in ("torch", "tensorflow", "keras"):
        found[package] = ask(python, "-c", f"from importlib.metadata import version; print(version({package!r}))")
    return found


def document(samples, facts, args):
    noise = noise_of(samples)
    about = f"""How long a training step takes here, in PyTorch and in Keras: forward pass, backward pass and the update
        of every weight. Ours is timed in real runs of `pipeline sweep` on Fashion-MNIST with every step logged to SQLite: the
        median from one logged step to the next, putting the batch together included, after the first fifth of the run. (The
        course network wants images that no dataset in the binary has; there, `cargo run --release --example step` repeats one
        batch.) A peer trains the same network on one batch that never changes, logs nothing, and has a process of its own. It
        is timed in several modes, and the best one counts: PyTorch as it comes (plain), with images and weights in the memory
        format `channels_last`, with the optimizer's `fused` update, and with both; Keras with a step compiled by
        `tf.function`, and with `fit`. Ours and all modes are measured in turn, in {plural(args.rounds, 'round')} of
        {plural(args.seconds, 'second')} each; a number is the median of the rounds."""
    if noise:
        about += f""" A measurement during which other programs take more than {QUIET:.0%} of the cores' time is repeated,
            at most twice, and the least disturbed one is kept; in those that count, they took
            {statistics.median(noise):.0%} (median; at most {max(noise):.0%})."""
    parts = [
        "# Benchmarks",
        paragraph(about),
        "    just bench-peers",
        paragraph("measures again and writes this page. The last column of the tables says how many times as long as ours the "
                  "best peer takes: above 1, ours is faster."),
        "## Machine and versions",
        table(["", ""], [[key, f"`{value}`" if key == "instruction set" else value] for key, value in facts.items()]),
    ]  # fmt: skip
    steps = list(step_sections(samples))
    parts += ["## Time per step", *steps] if steps else []
    parts += [*ceiling_section(samples), *memory_section(samples), *grid_section(samples, args.grid_rounds)]
    return "\n\n".join(parts) + "\n"


def kept(page):
    """The section of another program that a page has, from its heading to the next; nothing if it has none."""
    if KEPT not in page:
        return ""
    start = page.index(KEPT)
    end = page.find("\n## ", start)
    return page[start : end + 1 if end >= 0 else len(page)].rstrip() + "\n"


def keeping(page, section):
    """A page with the other program's section, which stands at its end."""
    if kept(page):
        page = page.replace(kept(page).rstrip(), "").rstrip() + "\n"
    return f"{page}\n{section}" if section else page


def raw(samples, facts, args):
    rows = [
        {"workload": workload, "mode": mode, "median": median(samples, workload, mode), "samples": of_mode}
        for (workload, mode), of_mode in samples.items() if of_mode
    ]  # fmt: skip
    return json.dumps({"facts": facts, "rounds": args.rounds, "seconds": args.seconds, "measurements": rows}, indent=1) + "\n"


def environment(folder):
    """The Python of the virtual environment with the peers, which is made if it isn't there."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing PyTorch and Keras into {folder}", file=sys.stderr, flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
        except BaseException:
            # What is half made would be taken for whole the next time.
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return python


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="measurements of each mode [default: 3]")
    add("--seconds", type=float, default=3, metavar="S", help="how long each lasts [default: 3]")
    add("--grid-rounds", type=int, default=1, metavar="N", help="measurements of the grid [default: 1]")
    add("--only", default="", metavar="TEXT", help="workloads with this in their name, such as 'small-cnn 32 sgd 2'")
    add("--out", metavar="FILE", help="where it is written [default: docs/benchmarks.md; printed with --only]")
    add("--json", metavar="FILE", help="where every sample is written, too")
    add("--venv", type=Path, default=TARGET / "peers", metavar="DIR", help="virtual environment [default: target/peers]")
    add("--python", type=Path, metavar="FILE", help="a Python that has the peers; then no environment is made")
    args = parser.parse_args()
    names = [*map(str, WORKLOADS), *(f"ceiling {n}" for n in CEILING_THREADS), "grid"]
    if not any(args.only in name for name in names):
        parser.error(f"no workload has `{args.only}` in its name; there are: {', '.join(names)}")
    if min(args.rounds, args.grid_rounds) < 1 or not args.seconds > 0:
        parser.error("rounds and seconds must be positive")
    for program in (PIPELINE, STEP):
        if not program.exists():
            parser.error(f"{program} is missing; build it with: cargo build --release --bin pipeline --example step")
    return args


def main():
    args = arguments()
    try:
        python = args.python or environment(args.venv)
        facts = {**machine(), **versions(python)}
        samples = measure_all(python, args)
    except subprocess.CalledProcessError as error:
        return f"error: {error}"
    except KeyboardInterrupt:
        return 130
    text = document(samples, facts, args)
    if args.out or not args.only:
        out = Path(args.out or ROOT / "docs" / "benchmarks.md")
        old = out.read_text() if out.exists() else ""
        out.write_text(keeping(text, kept(old)))
        print(f"wrote {out}", file=sys.stderr)
    else:
        print(text, end="")
    if args.json:
        Path(args.json).write_text(raw(samples, facts, args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
