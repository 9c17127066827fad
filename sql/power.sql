-- Power of each rail of each board: mean, peak and energy. sys, cpu, gpu and mb are sums of rails.
--
-- Means are over time: energy by the time that it is known for. Two samples further apart than $gap_ms leave a gap,
-- which counts neither as energy nor as time. Rails that a board does not have are left out.
--
-- $session  text    Session; every one that is asked about if null (default: null)
-- $gap_ms   number  Longest time between two samples that is no gap (default: 1000)
WITH samples AS (
  -- One row a rail of each sample; its place in the list is the rail's.
  SELECT session, device_uid, ts, unnest(generate_series(1, 15)) AS place, unnest([
    sys_w, cpu_w, gpu_w, mb_w, eps1_w, eps2_w, atx3v_w, atx5v_w, atx5vsb_w, atx12v_w, pcie1_w, pcie2_w, pcie3_w,
    hpwr1_w, hpwr2_w]) AS watts
  FROM benchlab WHERE $session IS NULL OR session = $session
),
steps AS (
  SELECT place, session, device_uid, watts,
         (CAST(ts AS BIGINT) - CAST(lag(ts) OVER rail_in_time AS BIGINT)) / 1e9 AS seconds,
         (watts + lag(watts) OVER rail_in_time) / 2 AS mean_w
  FROM samples WHERE watts IS NOT NULL
  WINDOW rail_in_time AS (PARTITION BY place, session, device_uid ORDER BY ts)
),
known AS (
  SELECT *, seconds IS NOT NULL AND seconds <= CAST($gap_ms AS DOUBLE) / 1e3 AS is_known FROM steps
)
SELECT session, device_uid,
       ['sys', 'cpu', 'gpu', 'mb', 'eps1', 'eps2', 'atx3v', 'atx5v', 'atx5vsb', 'atx12v', 'pcie1', 'pcie2', 'pcie3',
        'hpwr1', 'hpwr2'][place] AS rail,
       count(*) AS samples,
       sum(mean_w * seconds) FILTER (WHERE is_known)
         / nullif(sum(seconds) FILTER (WHERE is_known), 0) AS mean_w,
       min(watts) AS min_w, max(watts) AS peak_w,
       sum(mean_w * seconds) FILTER (WHERE is_known) AS energy_j,
       sum(seconds) FILTER (WHERE is_known) AS known_s
FROM known
GROUP BY session, device_uid, place
ORDER BY session, device_uid, place;
