"""Whether a result is the truth, row by row: `check.py TASK DATA OUT`. Prints nothing if it is."""
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet

# Rows of one instant may come in any order.
ORDER = {
    "asof": ["ts_ns", "frame_id"],
    "pair": ["ts_ns", "frame_id"],
    "pair8": ["ts_ns", "pipeline", "frame_id"],
    "pair100": ["ts_ns", "pipeline", "frame_id"],
    "drops": ["ts_ns", "frame_id"],
    "energy": ["frame_id"],
    "keyless": ["ts_ns"],
}


def read(path, columns):
    table = pyarrow.parquet.read_table(path, columns=columns)
    plain = {}
    for name in columns:
        column = table[name].combine_chunks()
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(pyarrow.string())
        elif pyarrow.types.is_unsigned_integer(column.type):
            column = column.cast(pyarrow.int64())
        elif pyarrow.types.is_floating(column.type):
            # One of the engines writes NaN where the others have null.
            column = pyarrow.compute.if_else(pyarrow.compute.is_nan(column), None, column.cast(pyarrow.float64()))
        plain[name] = column
    return pyarrow.table(plain)


def is_in_order(table, task):
    ts = table["ts_ns"].to_numpy() if "ts_ns" in table.column_names else numpy.zeros(0)
    return task == "energy" or bool((numpy.diff(ts) >= 0).all())


def differing(told, true):
    """In which rows two columns differ; floats may by what another order of sums does: 1e-9, or a nanojoule."""
    told, true = told.combine_chunks(), true.combine_chunks()
    nulls = [numpy.asarray(pyarrow.compute.is_null(column)) for column in (told, true)]
    if pyarrow.types.is_string(true.type):
        same = numpy.asarray(pyarrow.compute.equal(told, true).fill_null(False))
    elif pyarrow.types.is_floating(true.type):
        a, b = (numpy.asarray(column.fill_null(0)) for column in (told, true))
        same = numpy.abs(a - b) <= 1e-9 * numpy.abs(b) + 1e-8
    else:
        a, b = (numpy.asarray(column.cast(pyarrow.int64()).fill_null(0)) for column in (told, true))
        same = a == b
    return ~((nulls[0] & nulls[1]) | (~nulls[0] & ~nulls[1] & same))


task, data, out = sys.argv[1:]
true = pyarrow.parquet.read_schema(pathlib.Path(data) / f"truth-{task}.parquet").names
extra = ["reason"] if task == "keyless" and "reason" in pyarrow.parquet.read_schema(out).names else []
told, true = read(out, true + extra), read(pathlib.Path(data) / f"truth-{task}.parquet", true)
if told.num_rows != true.num_rows:
    sys.exit(f"{task}: {told.num_rows} rows, the truth has {true.num_rows}")
if not is_in_order(told, task):
    sys.exit(f"{task}: the rows are not in order of time")
order = [(name, "ascending") for name in ORDER[task]]
told, true = told.sort_by(order), true.sort_by(order)
wrong = numpy.zeros(true.num_rows, bool)
for name in true.column_names:
    wrong |= differing(told[name], true[name])
if task == "keyless":
    # Told as unknown is no answer, and no wrong one. Drops go by no number, but by when they were.
    unknown = ~numpy.asarray(pyarrow.compute.is_null(told["reason"].combine_chunks()))
    print(f"keyless: {100 * (1 - unknown.mean()):.2f} % told, {int((wrong & ~unknown).sum())} of them wrong", file=sys.stderr)
    wrong &= ~unknown
    if wrong.mean() > 1e-3:
        sys.exit(f"{task}: {wrong.sum()} rows are told wrong")
elif wrong.any():
    at = int(numpy.flatnonzero(wrong)[0])
    sys.exit(f"{task}: {wrong.sum()} rows differ, the first: {told.slice(at, 1).to_pylist()}, the truth is {true.slice(at, 1).to_pylist()}")
