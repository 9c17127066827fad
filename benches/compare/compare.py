"""bl beside Polars, DuckDB and pandas on the same files: `compare.py BL DATA [ROUNDS]`.

Each run is a process of its own, and the engines take turns. Printed are medians of CPU seconds and peak memory, and the
ratio of bl's CPU to that of each engine within a round. A result that is not the truth is said so, and ends the comparison.
This program itself stays small: Linux counts what a parent held at the fork into the peak memory of its child.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
TASKS = ["asof", "pair", "energy"]


def command(bl, engine, task, data, out):
    if engine != "bl":
        return [sys.executable, str(HERE / "engine.py"), engine, task, data, out]
    tables = [f"--table={name}={data}/{name}.parquet" for name in ("power", "frames", "pairs")]
    return [bl, "query", *tables, "-f", str(HERE / f"{task}.sql"), "-o", out]


def run(argv):
    """CPU seconds and peak MiB of the process."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    bl, data = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    engines = ["bl", "polars", "duckdb", "pandas"]
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            figures = {engine: [] for engine in engines}
            for _ in range(rounds):
                for engine in engines:
                    out = f"{folder}/{engine}.parquet"
                    figures[engine].append(run(command(bl, engine, task, data, out)))
                    subprocess.run([sys.executable, str(HERE / "check.py"), task, data, out], check=True)
            for engine in engines:
                cpu, memory = (statistics.median(column) for column in zip(*figures[engine]))
                ratio = statistics.median(b[0] / p[0] for b, p in zip(figures["bl"], figures[engine]))
                print(f"{task:7}{engine:8}{cpu:7.2f} CPU-s {memory:6.0f} MiB   bl's CPU is {ratio:.2f} of it", flush=True)


main()
