"""bl beside Polars, DuckDB and pandas on the same files: `compare.py BL DATA [ROUNDS [TASK …]]`.

Each run is a process of its own, and the engines take turns. Printed are medians of CPU seconds, wall seconds and peak memory,
and the ratio of bl's CPU and wall to those of each engine within a round. The start and the imports of the others' processes are
left out, those of bl are counted. Each result is compared with the truth row by row; a wrong one ends the comparison.
This program itself stays small: Linux counts what a parent held at the fork into the peak memory of its child.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TASKS = ["asof", "pair", "pair8", "pair100", "drops", "energy", "keyless"]
ENGINES = ["bl", "polars", "duckdb", "pandas"]
# Pairing without a key, with drops found, is nothing that the others do.
ALONE = ["keyless"]
TABLES = ["power", "frames", "frames8", "frames100", "keyless", "pairs"]


def command(bl, engine, task, data, out):
    if engine != "bl":
        return [sys.executable, str(HERE / "engine.py"), engine, task, data, out]
    tables = [f"--table={name}={data}/{name}.parquet" for name in TABLES]
    return [bl, "query", *tables, "-f", str(HERE / f"{task}.sql"), "-o", out]


def run(engine, argv):
    """CPU seconds, wall seconds and peak MiB of the task."""
    began = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} ended with {process.returncode}")
    if engine == "bl":
        return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024
    cpu, wall = map(float, told.split())
    return cpu, wall, usage.ru_maxrss / 1024


def main():
    bl, data = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with tempfile.TemporaryDirectory() as folder:
        for task in sys.argv[4:] or TASKS:
            engines = ["bl"] if task in ALONE else ENGINES
            figures = {engine: [] for engine in engines}
            for _ in range(rounds):
                for engine in engines:
                    out = f"{folder}/{engine}.parquet"
                    figures[engine].append(run(engine, command(bl, engine, task, data, out)))
                    subprocess.run([sys.executable, str(HERE / "check.py"), task, data, out], check=True)
            for engine in engines:
                cpu, wall, memory = (statistics.median(column) for column in zip(*figures[engine]))
                ratios = [
                    statistics.median(b[of] / p[of] for b, p in zip(figures["bl"], figures[engine])) for of in (0, 1)
                ]
                print(
                    f"{task:8}{engine:8}{cpu:7.2f} CPU-s {wall:7.2f} wall-s {memory:6.0f} MiB   "
                    f"bl: {ratios[0]:.2f} of its CPU, {ratios[1]:.2f} of its wall",
                    flush=True,
                )


main()
