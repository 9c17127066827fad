-- Frames of each session and pipeline in one line: how many, how many dropped, and how long they took.
--
-- ambiguous counts frames of which nobody can tell what became of them. Percentiles are exact and interpolate between ranks. fps counts frames that arrived, between the first and the
-- last that entered. The rest is what CapFrameX shows of the same frame times, by its definitions (docs/capframex.md):
-- low_1_pct_ms and low_01_pct_ms are its 1 % and 0.1 % low average as frame times, low_1_pct_average_fps the first of
-- them as it shows it, low_1_pct_integral_fps its 1 % low integral, p1_fps and p02_fps its P1 and P0.2.
--
-- $stage_a  text    Stage where frames begin (default: ingress)
-- $stage_b  text    Stage where they end (default: encoded)
-- $session  text    Session; every one that is asked about if null (default: null)
-- $pipeline text    Pipeline; every one if null (default: null)
WITH frames AS (
  SELECT session, pipeline, ts, latency_ms, dropped, reason, energy_j, power_w
  FROM latency
  WHERE stage_a = $stage_a AND stage_b = $stage_b
    AND ($session IS NULL OR session = $session)
    AND ($pipeline IS NULL OR pipeline = $pipeline)
),
summary AS (
  SELECT session, pipeline,
         count(*) AS frames,
         count(*) FILTER (WHERE dropped) AS dropped,
         count(*) FILTER (WHERE reason IS NOT NULL) AS ambiguous,
         avg(latency_ms) AS mean_ms,
         percentiles(latency_ms, 0, 0.5, 0.95, 0.99, 0.999, 1) AS p_ms,
         low_averages(latency_ms, 0.01, 0.001) AS average_ms,
         low_integrals(latency_ms, 0.01) AS integral_ms,
         fps_percentiles(latency_ms, 0.01, 0.002) AS p_fps,
         count(latency_ms) / nullif((CAST(max(ts) AS BIGINT) - CAST(min(ts) AS BIGINT)) / 1e9, 0) AS fps,
         avg(power_w) AS mean_w,
         avg(energy_j) AS mean_j
  FROM frames GROUP BY session, pipeline
)
SELECT session, pipeline, frames, dropped, ambiguous,
       100.0 * dropped / frames AS dropped_pct,
       p_ms[1] AS min_ms, mean_ms, p_ms[6] AS max_ms,
       p_ms[2] AS p50_ms, p_ms[3] AS p95_ms, p_ms[4] AS p99_ms, p_ms[5] AS p999_ms,
       average_ms[1] AS low_1_pct_ms, average_ms[2] AS low_01_pct_ms,
       1000 / nullif(average_ms[1], 0) AS low_1_pct_average_fps,
       1000 / nullif(integral_ms[1], 0) AS low_1_pct_integral_fps,
       p_fps[1] AS p1_fps, p_fps[2] AS p02_fps,
       fps, mean_w, mean_j
FROM summary
ORDER BY session, pipeline;
