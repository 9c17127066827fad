-- How long power lags behind the load that causes it, for processors and graphics cards of each session.
--
-- The sensors and the supply average over time, so that a frame's power shows late. lag_ms is null where none can be
-- told: flat, unrelated or periodic series, or too few samples. err_ms is three standard deviations. cpu compares the
-- load of all processors with cpu_w of the board, gpu that of the first card with gpu_w.
--
-- $session  text    Session; every one that is asked about if null (default: null)
WITH series AS (
  SELECT session, 'cpu' AS of, ts, CAST(busy_pct AS DOUBLE) AS load, CAST(NULL AS DOUBLE) AS power
  FROM cpu WHERE cpu = 'all' AND ($session IS NULL OR session = $session)
  UNION ALL
  SELECT session, 'cpu', ts, NULL, cpu_w
  FROM benchlab WHERE $session IS NULL OR session = $session
  UNION ALL
  SELECT session, 'gpu', ts, CAST(util_pct AS DOUBLE), NULL
  FROM gpu WHERE gpu = 0 AND ($session IS NULL OR session = $session)
  UNION ALL
  SELECT session, 'gpu', ts, NULL, gpu_w
  FROM benchlab WHERE $session IS NULL OR session = $session
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
