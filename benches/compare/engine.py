"""One task by one engine, Parquet in and out: `engine.py polars|duckdb|pandas TASK DATA OUT`.

Prints the CPU seconds and the wall seconds of the task, without those of the imports.
"""
import resource
import sys
import time

WINDOW_NS = 2_000_000_000
TOLERANCE_NS = 200_000_000


class Polars:
    def __init__(self, data, out):
        import polars
        self.pl, self.data, self.out = polars, data, out

    def scan(self, name):
        return self.pl.scan_parquet(f"{self.data}/{name}.parquet").set_sorted("ts_ns")

    def save(self, frame):
        frame.sink_parquet(self.out, compression="zstd", compression_level=1)

    def asof(self):
        self.save(self.scan("pairs").join_asof(self.scan("power"), on="ts_ns", tolerance=TOLERANCE_NS))

    def sides(self, name, keys):
        col = self.pl.col
        frames = self.pl.scan_parquet(f"{self.data}/{name}.parquet")
        a = frames.filter(col("stage") == "ingress").select("ts_ns", *keys)
        return a, frames.filter(col("stage") == "encoded").select(col("ts_ns").alias("end_ns"), *keys)

    def pair(self, name="frames", keys=("frame_id",)):
        col = self.pl.col
        a, b = self.sides(name, keys)
        both = a.join(b, on=keys).with_columns((col("end_ns") - col("ts_ns")).alias("lat_ns"))
        inside = both.filter(col("lat_ns").is_between(0, WINDOW_NS))
        self.save(inside.select("ts_ns", *keys, "lat_ns").sort("ts_ns"))

    def pair8(self):
        self.pair("frames8", ("pipeline", "frame_id"))

    def pair100(self):
        self.pair("frames100", ("pipeline", "frame_id"))

    def drops(self):
        col = self.pl.col
        a, b = self.sides("frames", ("frame_id",))
        took = col("end_ns") - col("ts_ns")
        inside = self.pl.when(took.is_between(0, WINDOW_NS)).then(took).alias("lat_ns")
        self.save(a.join(b, on="frame_id", how="left").select("ts_ns", "frame_id", inside).sort("ts_ns"))

    def energy(self):
        col = self.pl.col
        watts = col("sys_w").cast(self.pl.Float64)
        power = self.scan("power").select(
            "ts_ns", "sys_w", col("ts_ns").alias("sample_ns"),
            (watts.shift(1) * col("ts_ns").diff() / 1e9).fill_null(0).cum_sum().alias("since_j"))
        power = power.set_sorted("ts_ns")
        at = lambda ts: col("since_j") + watts * (col(ts) - col("sample_ns")) / 1e9
        begin = self.scan("pairs").join_asof(power, on="ts_ns", tolerance=TOLERANCE_NS)
        begin = begin.select("frame_id", (col("ts_ns") + col("lat_ns")).alias("end_ns"), at("ts_ns").alias("from_j"))
        end = begin.sort("end_ns").join_asof(power, left_on="end_ns", right_on="ts_ns", tolerance=TOLERANCE_NS)
        self.save(end.select("frame_id", (at("end_ns") - col("from_j")).alias("energy_j")))
        ms = col("lat_ns") / 1e6
        self.scan("pairs").select(*[ms.quantile(q, "linear").alias(f"p{q}") for q in (0.5, 0.95, 0.99)]).collect()


class DuckDB:
    def __init__(self, data, out):
        import duckdb
        self.db, self.out = duckdb.connect(), out
        for name in ("power", "frames", "frames8", "frames100", "pairs"):
            self.db.execute(f"CREATE VIEW {name} AS FROM '{data}/{name}.parquet'")

    def save(self, sql):
        self.db.execute(f"COPY ({sql}) TO '{self.out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")

    def asof(self):
        near = f"p.ts_ns - w.ts_ns <= {TOLERANCE_NS}"
        watts = ", ".join(f"CASE WHEN {near} THEN w.{c} END AS {c}" for c in ("sys_w", "cpu_w", "gpu_w"))
        self.save(f"SELECT p.*, {watts} FROM pairs p ASOF LEFT JOIN power w ON p.ts_ns >= w.ts_ns ORDER BY p.ts_ns")

    def pair(self, name="frames", keys="frame_id"):
        columns = ", ".join(f"a.{key}" for key in keys.split(", "))
        self.save(f"""SELECT a.ts_ns, {columns}, b.ts_ns - a.ts_ns AS lat_ns
            FROM {name} a JOIN {name} b USING ({keys})
            WHERE a.stage = 'ingress' AND b.stage = 'encoded' AND b.ts_ns - a.ts_ns BETWEEN 0 AND {WINDOW_NS}
            ORDER BY a.ts_ns""")

    def pair8(self):
        self.pair("frames8", "pipeline, frame_id")

    def pair100(self):
        self.pair("frames100", "pipeline, frame_id")

    def drops(self):
        # The window in the condition of the join takes it seventy times as long.
        took = "b.ts_ns - a.ts_ns"
        self.save(f"""SELECT a.ts_ns, a.frame_id, CASE WHEN {took} BETWEEN 0 AND {WINDOW_NS} THEN {took} END AS lat_ns
            FROM (FROM frames WHERE stage = 'ingress') a LEFT JOIN (FROM frames WHERE stage = 'encoded') b USING (frame_id)
            ORDER BY a.ts_ns""")

    def energy(self):
        at = lambda ts, w: f"({w}.since_j + {w}.sys_w::DOUBLE * ({ts} - {w}.ts_ns) / 1e9)"
        near = lambda ts, w: f"{ts} - {w}.ts_ns <= {TOLERANCE_NS}"
        end = "p.ts_ns + p.lat_ns"
        self.save(f"""WITH steps AS (
                SELECT ts_ns, sys_w, lag(sys_w) OVER o::DOUBLE * (ts_ns - lag(ts_ns) OVER o) / 1e9 AS step_j
                FROM power WINDOW o AS (ORDER BY ts_ns)),
            sums AS (SELECT ts_ns, sys_w, coalesce(sum(step_j) OVER (ORDER BY ts_ns), 0) AS since_j FROM steps)
            SELECT frame_id, CASE WHEN {near('p.ts_ns', 'a')} AND {near(end, 'b')}
                THEN {at(end, 'b')} - {at('p.ts_ns', 'a')} END AS energy_j
            FROM pairs p ASOF LEFT JOIN sums a ON p.ts_ns >= a.ts_ns ASOF LEFT JOIN sums b ON {end} >= b.ts_ns""")
        self.db.execute("SELECT quantile_cont(lat_ns / 1e6, [0.5, 0.95, 0.99]) FROM pairs").fetchall()


class Pandas:
    def __init__(self, data, out):
        import pandas
        self.pd, self.data, self.out = pandas, data, out

    def read(self, name):
        return self.pd.read_parquet(f"{self.data}/{name}.parquet")

    def save(self, frame):
        frame.to_parquet(self.out, compression="zstd", compression_level=1, index=False)

    def asof(self):
        self.save(self.pd.merge_asof(self.read("pairs"), self.read("power"), on="ts_ns", tolerance=TOLERANCE_NS))

    def sides(self, name, keys, how):
        frames = self.read(name)
        a = frames[frames["stage"] == "ingress"][["ts_ns", *keys]]
        b = frames[frames["stage"] == "encoded"][["ts_ns", *keys]].rename(columns={"ts_ns": "end_ns"})
        if how == "left":
            # Nullable: as floats the stamps of frames that arrived would lose their last digits.
            b["end_ns"] = b["end_ns"].astype("Int64")
        both = a.merge(b, on=keys, how=how)
        both["lat_ns"] = both.pop("end_ns") - both["ts_ns"]
        return both

    def pair(self, name="frames", keys=("frame_id",)):
        both = self.sides(name, list(keys), "inner")
        self.save(both[both["lat_ns"].between(0, WINDOW_NS)].sort_values("ts_ns"))

    def pair8(self):
        self.pair("frames8", ("pipeline", "frame_id"))

    def pair100(self):
        self.pair("frames100", ("pipeline", "frame_id"))

    def drops(self):
        both = self.sides("frames", ["frame_id"], "left")
        both["lat_ns"] = both["lat_ns"].where(both["lat_ns"].between(0, WINDOW_NS))
        self.save(both.sort_values("ts_ns"))

    def energy(self):
        power, pairs = self.read("power"), self.read("pairs")
        watts = power["sys_w"].astype("float64")
        power["since_j"] = (watts.shift(1) * power["ts_ns"].diff() / 1e9).fillna(0).cumsum()
        power["sample_ns"] = power["ts_ns"].astype("Int64")
        def at(ends):
            near = self.pd.merge_asof(ends, power, left_on="at_ns", right_on="ts_ns", tolerance=TOLERANCE_NS)
            held_s = (near["at_ns"] - near["sample_ns"]).astype("Float64") / 1e9
            near["j"] = near["since_j"] + near["sys_w"].astype("float64") * held_s
            return near.set_index("frame_id")["j"]
        begin = self.pd.DataFrame({"frame_id": pairs["frame_id"], "at_ns": pairs["ts_ns"]})
        end = begin.assign(at_ns=pairs["ts_ns"] + pairs["lat_ns"]).sort_values("at_ns")
        self.save((at(end) - at(begin)).rename("energy_j").reset_index())
        (pairs["lat_ns"] / 1e6).quantile([0.5, 0.95, 0.99])


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


engine, task, data, out = sys.argv[1:]
job = {"polars": Polars, "duckdb": DuckDB, "pandas": Pandas}[engine](data, out)
cpu, wall = cpu_seconds(), time.monotonic()
getattr(job, task)()
print(cpu_seconds() - cpu, time.monotonic() - wall)
