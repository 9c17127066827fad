"""Whether a result is the truth: `check.py asof|pair|energy DATA OUT`."""
import json
import pathlib
import sys

import pyarrow.compute
import pyarrow.parquet

VALUE = {"asof": "sys_w", "pair": "lat_ns", "energy": "energy_j"}

task, data, out = sys.argv[1:]
truth = json.loads((pathlib.Path(data) / "truth.json").read_text())[task]
column = pyarrow.parquet.read_table(out, columns=[VALUE[task]])[VALUE[task]].cast("float64")
# One of the engines writes NaN where the others have null.
column = column.filter(pyarrow.compute.is_finite(column).fill_null(True))
got = {
    "rows": pyarrow.parquet.read_metadata(out).num_rows,
    "known": len(column) - column.null_count,
    "sum": pyarrow.compute.sum(column).as_py(),
}
same = got["rows"] == truth["rows"] and got["known"] == truth["known"]
if not same or abs(got["sum"] / truth["sum"] - 1) > 1e-6:
    sys.exit(f"{task}: got {got}, the truth is {truth}")
