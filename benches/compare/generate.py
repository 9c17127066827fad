"""The data of the comparison: `generate.py FOLDER [SCALE]`, seeded, so that it is the same each time.

At scale 1: power.parquet, an hour of samples at 1 kHz with stalls; frames.parquet, the events of 5 million frames at two
stages, in the order of time, 2 % of them lost at one stage; frames8.parquet and frames100.parquet, the same events as those
of 8 and 100 pipelines, interleaved, each with frame numbers of its own; keyless.parquet, the events of a camera whose frames
have no number; pairs.parquet, what the tasks as-of and energy begin with; truth-TASK.parquet, what each task has to give.
"""
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet

START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
TOLERANCE_NS = 200_000_000
SEED = 11


def power(random, count):
    """Stamps (ns), and watts of the system, the CPU and the GPU, in whole milliwatts."""
    jitter = random.uniform(-300_000, 300_000, count).astype(numpy.int64)
    ts = START_NS + numpy.arange(count, dtype=numpy.int64) * 1_000_000 + jitter
    there = numpy.ones(count, bool)
    for begin in random.integers(0, count, max(4, count // 90_000)):
        there[begin:begin + random.integers(40, 700)] = False
    swing = numpy.sin(numpy.arange(count) / 7_500)
    gpu = 180 + 90 * swing + random.normal(0, 6, count)
    cpu = 65 + 25 * swing + random.normal(0, 4, count)
    system = gpu + cpu + 40 + random.normal(0, 1, count)
    watts = [numpy.round(w, 3).astype(numpy.float32)[there] for w in (system, cpu, gpu)]
    return ts[there], watts


def events(random, frames, span_ns):
    """Of each frame: its number, when it entered, how long it took, and at which of the two stages it was seen."""
    number = numpy.arange(1, frames + 1, dtype=numpy.uint64)
    entered = START_NS + numpy.sort(random.integers(0, span_ns, frames))
    took = random.lognormal(numpy.log(9e6), 0.5, frames).astype(numpy.int64)
    late = random.random(frames) < 0.0004
    took[late] += WINDOW_NS
    lost = random.random(frames)
    return number, entered, took, lost >= 0.006, (lost < 0.006) | (lost >= 0.02)


def interleaved(number, pipelines):
    """The pipeline of each frame, and its number there."""
    names = pyarrow.array([f"camera{at}" for at in range(pipelines)])
    at = pyarrow.array((number % pipelines).astype(numpy.int32))
    return pyarrow.DictionaryArray.from_arrays(at, names), number // pipelines


def keyless(random, frames):
    """A camera at 60 frames a second with 10 % jitter: stamps, whether of the second stage, and the latencies (-1: dropped)."""
    period_ns = 1e9 / 60
    entered = START_NS + (numpy.arange(frames) * period_ns + random.normal(0, 0.1 * period_ns, frames)).astype(numpy.int64)
    entered.sort()
    took = (period_ns * random.uniform(0.3, 0.5, frames)).astype(numpy.int64)
    arrived = random.random(frames) >= 0.02
    ends = (entered + took)[arrived]
    ts = numpy.concatenate([entered, ends])
    stage = numpy.concatenate([numpy.zeros(frames, numpy.int8), numpy.ones(len(ends), numpy.int8)])
    order = numpy.argsort(ts, kind="stable")
    return ts[order], stage[order], entered, numpy.where(arrived, took, -1)


def save(path, columns):
    table = pyarrow.table(columns)
    dictionaries = [f.name for f in table.schema if pyarrow.types.is_dictionary(f.type)]
    pyarrow.parquet.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=dictionaries)


def joules(ts, watts, at):
    """Energy since the first sample with power held from sample to sample, and whether a sample is near enough."""
    since = numpy.concatenate([[0.0], numpy.cumsum(watts[:-1].astype(float) * numpy.diff(ts) / 1e9)])
    row = numpy.searchsorted(ts, at, side="right") - 1
    near = (row >= 0) & (at - ts[row] <= TOLERANCE_NS)
    return since[row] + watts[row] * ((at - ts[row]) / 1e9), near, row


def main():
    folder = pathlib.Path(sys.argv[1])
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(SEED)
    samples = int(3_600_000 * scale)
    ts, watts = power(random, samples)
    save(folder / "power.parquet", {"ts_ns": ts, "sys_w": watts[0], "cpu_w": watts[1], "gpu_w": watts[2]})

    number, entered, took, at_a, at_b = events(random, int(5_100_000 * scale), samples * 1_000_000)
    when = numpy.concatenate([entered[at_a], (entered + took)[at_b]])
    stage = numpy.concatenate([numpy.zeros(at_a.sum(), numpy.int8), numpy.ones(at_b.sum(), numpy.int8)])
    frame = numpy.concatenate([number[at_a], number[at_b]])
    order = numpy.argsort(when, kind="stable")
    stages = lambda stage: pyarrow.DictionaryArray.from_arrays(pyarrow.array(stage), ["ingress", "encoded"])
    save(folder / "frames.parquet", {"ts_ns": when[order], "stage": stages(stage[order]), "frame_id": frame[order]})
    for pipelines in (8, 100):
        name, inner = interleaved(frame[order], pipelines)
        columns = {"ts_ns": when[order], "pipeline": name, "stage": stages(stage[order]), "frame_id": inner}
        save(folder / f"frames{pipelines}.parquet", columns)

    began, seen, took_ns = entered[at_a], number[at_a], took[at_a]
    arrived = at_b[at_a] & (took_ns <= WINDOW_NS)
    lat = pyarrow.array(took_ns, mask=~arrived)
    save(folder / "truth-drops.parquet", {"ts_ns": began, "frame_id": seen, "lat_ns": lat})

    ts_k, stage_k, entered_k, took_k = keyless(random, int(1_000_000 * scale))
    save(folder / "keyless.parquet", {"ts_ns": ts_k, "stage": stages(stage_k)})
    save(folder / "truth-keyless.parquet", {"ts_ns": entered_k, "lat_ns": pyarrow.array(took_k, mask=took_k < 0)})

    paired = at_a & at_b & (took <= WINDOW_NS)
    entered, took, number = entered[paired], took[paired], number[paired]
    pairs = {"ts_ns": entered, "frame_id": number, "lat_ns": took}
    save(folder / "pairs.parquet", pairs)
    save(folder / "truth-pair.parquet", pairs)
    for pipelines in (8, 100):
        name, inner = interleaved(number, pipelines)
        columns = {"ts_ns": entered, "pipeline": name, "frame_id": inner, "lat_ns": took}
        save(folder / f"truth-pair{pipelines}.parquet", columns)

    from_j, from_near, row = joules(ts, watts[0], entered)
    to_j, to_near, _ = joules(ts, watts[0], entered + took)
    near = {name: pyarrow.array(w[row], mask=~from_near) for name, w in zip(("sys_w", "cpu_w", "gpu_w"), watts)}
    save(folder / "truth-asof.parquet", {**pairs, **near})
    energy = pyarrow.array(to_j - from_j, mask=~(from_near & to_near))
    save(folder / "truth-energy.parquet", {"frame_id": number, "energy_j": energy})


main()
