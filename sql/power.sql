-- Power of each rail of each board: mean, peak and energy. sys, cpu, gpu and mb are sums of rails.
--
-- Means are over time: energy by the time that it is known for. Two samples further apart than $gap_ms leave a gap,
-- which counts neither as energy nor as time. Rails that a board does not have are left out.
--
-- $session  text    Session; every one that is asked about if null (default: null)
-- $gap_ms   number  Longest time between two samples that is no gap (default: 1000)
WITH samples AS (
  SELECT * FROM benchlab WHERE $session IS NULL OR session = $session
),
rails AS (
  SELECT 0 AS place, 'sys' AS rail, session, device_uid, ts, sys_w AS watts FROM samples
  UNION ALL SELECT 1, 'cpu', session, device_uid, ts, cpu_w FROM samples
  UNION ALL SELECT 2, 'gpu', session, device_uid, ts, gpu_w FROM samples
  UNION ALL SELECT 3, 'mb', session, device_uid, ts, mb_w FROM samples
  UNION ALL SELECT 4, 'eps1', session, device_uid, ts, eps1_w FROM samples
  UNION ALL SELECT 5, 'eps2', session, device_uid, ts, eps2_w FROM samples
  UNION ALL SELECT 6, 'atx3v', session, device_uid, ts, atx3v_w FROM samples
  UNION ALL SELECT 7, 'atx5v', session, device_uid, ts, atx5v_w FROM samples
  UNION ALL SELECT 8, 'atx5vsb', session, device_uid, ts, atx5vsb_w FROM samples
  UNION ALL SELECT 9, 'atx12v', session, device_uid, ts, atx12v_w FROM samples
  UNION ALL SELECT 10, 'pcie1', session, device_uid, ts, pcie1_w FROM samples
  UNION ALL SELECT 11, 'pcie2', session, device_uid, ts, pcie2_w FROM samples
  UNION ALL SELECT 12, 'pcie3', session, device_uid, ts, pcie3_w FROM samples
  UNION ALL SELECT 13, 'hpwr1', session, device_uid, ts, hpwr1_w FROM samples
  UNION ALL SELECT 14, 'hpwr2', session, device_uid, ts, hpwr2_w FROM samples
),
steps AS (
  SELECT place, rail, session, device_uid, watts,
         (CAST(ts AS BIGINT) - CAST(lag(ts) OVER rail_in_time AS BIGINT)) / 1e9 AS seconds,
         (watts + lag(watts) OVER rail_in_time) / 2 AS mean_w
  FROM rails WHERE watts IS NOT NULL
  WINDOW rail_in_time AS (PARTITION BY place, session, device_uid ORDER BY ts)
),
known AS (
  SELECT *, seconds IS NOT NULL AND seconds <= CAST($gap_ms AS DOUBLE) / 1e3 AS is_known FROM steps
)
SELECT session, device_uid, rail, count(*) AS samples,
       sum(mean_w * seconds) FILTER (WHERE is_known)
         / nullif(sum(seconds) FILTER (WHERE is_known), 0) AS mean_w,
       min(watts) AS min_w, max(watts) AS peak_w,
       sum(mean_w * seconds) FILTER (WHERE is_known) AS energy_j,
       sum(seconds) FILTER (WHERE is_known) AS known_s
FROM known
GROUP BY session, device_uid, place, rail
ORDER BY session, device_uid, place;
