"""Reads a session's sealed files with DuckDB, pyarrow, pandas and Polars; prints what each finds, as JSON."""
import glob
import json
import sys

import duckdb
import pandas
import polars
import pyarrow.compute as pc
import pyarrow.parquet as pq

files = sorted(glob.glob(f"{sys.argv[1]}/raw/benchlab/date=*/hour=*/*.parquet"))
table = pq.read_table(files)
n, total, first = duckdb.execute(
    "SELECT count(*), sum(sys_w), min(epoch_ns(ts)) FROM read_parquet(?)", [files]
).fetchone()
frame = pandas.concat(pandas.read_parquet(f) for f in files)
lazy = polars.scan_parquet(files).select(polars.len(), polars.col("sys_w").cast(polars.Float64).sum().alias("w")).collect()
print(json.dumps({
    "duckdb": [n, float(total), first],
    "pyarrow": [table.num_rows, float(pc.sum(table["sys_w"]).as_py()), pc.min(table["ts"]).value],
    "pandas": [len(frame), float(frame["sys_w"].astype(float).sum()), frame["ts"].min().value],
    "polars": [lazy["len"][0], lazy["w"][0], None],
    "sorted": bool((frame["ts"].diff().dropna() >= pandas.Timedelta(0)).all()),
    "null_ts": table["ts"].null_count,
}))
