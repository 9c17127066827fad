-- Frames of each session and pipeline in one line: how many, how many dropped, and how long they took.
--
-- Percentiles are exact and interpolate between ranks. fps counts frames that arrived, between the first and the
-- last that entered. low_1_pct_ms is the mean latency of the slowest 1 % of frames, as in CapFrameX' "1 % low
-- average"; low_01_pct_ms that of the slowest 0.1 %.
--
-- $stage_a  text    Stage where frames begin (default: ingress)
-- $stage_b  text    Stage where they end (default: encoded)
-- $session  text    Session; every one that is asked about if null (default: null)
-- $pipeline text    Pipeline; every one if null (default: null)
WITH frames AS (
  SELECT session, pipeline, ts, latency_ms, dropped, energy_j, power_w
  FROM latency
  WHERE stage_a = $stage_a AND stage_b = $stage_b
    AND ($session IS NULL OR session = $session)
    AND ($pipeline IS NULL OR pipeline = $pipeline)
),
summary AS (
  SELECT session, pipeline,
         count(*) AS frames,
         count(*) FILTER (WHERE dropped) AS dropped,
         min(latency_ms) AS min_ms,
         avg(latency_ms) AS mean_ms,
         max(latency_ms) AS max_ms,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_ms,
         percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_ms,
         percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99_ms,
         percentile_cont(0.999) WITHIN GROUP (ORDER BY latency_ms) AS p999_ms,
         count(latency_ms) / nullif((CAST(max(ts) AS BIGINT) - CAST(min(ts) AS BIGINT)) / 1e9, 0) AS fps,
         avg(power_w) AS mean_w,
         avg(energy_j) AS mean_j
  FROM frames GROUP BY session, pipeline
),
lows AS (
  SELECT f.session, f.pipeline,
         avg(f.latency_ms) FILTER (WHERE f.latency_ms >= s.p99_ms) AS low_1_pct_ms,
         avg(f.latency_ms) FILTER (WHERE f.latency_ms >= s.p999_ms) AS low_01_pct_ms
  FROM frames f JOIN summary s
    ON f.session = s.session AND f.pipeline IS NOT DISTINCT FROM s.pipeline
  GROUP BY f.session, f.pipeline
)
SELECT s.session, s.pipeline, s.frames, s.dropped,
       100.0 * s.dropped / s.frames AS dropped_pct,
       s.min_ms, s.mean_ms, s.max_ms, s.p50_ms, s.p95_ms, s.p99_ms, s.p999_ms,
       l.low_1_pct_ms, l.low_01_pct_ms, s.fps, s.mean_w, s.mean_j
FROM summary s JOIN lows l
  ON s.session = l.session AND s.pipeline IS NOT DISTINCT FROM l.pipeline
ORDER BY s.session, s.pipeline;
