-- How long power lags behind the load that causes it, for processors and graphics cards of each session.
--
-- The sensors and the supply average over time, so that a frame's power shows late. lag_ms is null where none can be
-- told: flat, unrelated or periodic series, or too few samples. err_ms is three standard deviations. cpu compares the
-- load of all processors with cpu_w of the board with the first sample of the session, gpu that of the first card with
-- its gpu_w.
--
-- $session  text    Session; every one that is asked about if null (default: null)
WITH board AS (
  SELECT session, first_value(device_uid ORDER BY ts, device_uid) AS device_uid
  FROM benchlab WHERE $session IS NULL OR session = $session GROUP BY session
),
samples AS (
  SELECT p.session, p.ts, p.cpu_w, p.gpu_w
  FROM benchlab p JOIN board
    ON p.session = board.session AND p.device_uid IS NOT DISTINCT FROM board.device_uid
),
series AS (
  SELECT session, 'cpu' AS of, ts, CAST(busy_pct AS DOUBLE) AS load, CAST(NULL AS DOUBLE) AS power
  FROM cpu WHERE cpu = 'all' AND ($session IS NULL OR session = $session)
  UNION ALL
  SELECT session, 'cpu', ts, NULL, cpu_w
  FROM samples
  UNION ALL
  SELECT session, 'gpu', ts, CAST(util_pct AS DOUBLE), NULL
  FROM gpu WHERE gpu = 0 AND ($session IS NULL OR session = $session)
  UNION ALL
  SELECT session, 'gpu', ts, NULL, gpu_w
  FROM samples
),
lags AS (
  SELECT session, of, count(load) AS load_samples, count(power) AS power_samples,
         power_lag(ts, load, power) AS lag
  FROM series GROUP BY session, of
)
SELECT session, of, load_samples, power_samples,
       lag['lag_ms'] AS lag_ms, lag['err_ms'] AS err_ms,
       lag['correlation'] AS correlation, lag['confidence'] AS confidence
FROM lags
ORDER BY session, of;
