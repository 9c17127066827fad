-- What frames cost: milliseconds per watt, joules per frame and frames per joule, over all frames with a known
-- latency and energy, over the most efficient ones, and in three buckets of power from low to high.
--
-- The most efficient frames are those that cost the least energy. Buckets hold equally many frames (thirds in
-- order of power); from_ts and to_ts are the first and last frame of a line.
--
-- $stage_a  text    Stage where frames begin (default: ingress)
-- $stage_b  text    Stage where they end (default: encoded)
-- $session  text    Session; every one that is asked about if null (default: null)
-- $share    number  Share of frames that count as the most efficient (default: 0.05)
WITH frames AS (
  SELECT session, ts, latency_ms, power_w, energy_j,
         ntile(3) OVER (PARTITION BY session ORDER BY power_w, ts) AS third,
         row_number() OVER (PARTITION BY session ORDER BY energy_j, ts) AS place,
         count(*) OVER (PARTITION BY session) AS frames
  FROM latency
  WHERE stage_a = $stage_a AND stage_b = $stage_b
    AND ($session IS NULL OR session = $session)
    AND latency_ms IS NOT NULL AND power_w IS NOT NULL AND energy_j IS NOT NULL
),
lines AS (
  SELECT 1 AS line, 'all' AS frames_of, * FROM frames
  UNION ALL
  SELECT 2, 'most efficient', * FROM frames WHERE place <= ceil(frames * CAST($share AS DOUBLE))
  UNION ALL
  SELECT 2 + third, CASE third WHEN 1 THEN 'low power' WHEN 2 THEN 'medium power' ELSE 'high power' END, *
  FROM frames
)
SELECT session, frames_of, count(*) AS frames,
       min(ts) AS from_ts, max(ts) AS to_ts,
       min(power_w) AS min_w, avg(power_w) AS mean_w, max(power_w) AS max_w,
       avg(latency_ms) AS mean_ms,
       avg(latency_ms / nullif(power_w, 0)) AS ms_per_w,
       avg(energy_j) AS j_per_frame,
       count(*) / nullif(sum(energy_j), 0) AS frames_per_j
FROM lines
GROUP BY session, frames_of, line
ORDER BY session, line;
