-- The clock of each session against the wall clock of its node, so that nodes can be compared: offset, drift and bound.
--
-- At at_ts of the session the wall clock of the node was offset_ms ahead of the session's stamps, and it runs faster by
-- drift_ppm; err_ms bounds the error of that line from from_ts to to_ts. steps are jumps of the wall clock that no slewing
-- explains; err_ms covers them. How true the wall clock itself is, its node's time service tells, not this.
--
-- $session  text    Session; every one that is asked about if null (default: null)
WITH fits AS (
  SELECT session, node, min(ts) AS from_ts, max(ts) AS to_ts, clock_fit(ts, realtime_ns, err_ns) AS fit
  FROM clock
  WHERE realtime_ns IS NOT NULL AND ($session IS NULL OR session = $session)
  GROUP BY session, node
)
SELECT session, node, from_ts, to_ts, fit['readings'] AS readings,
       arrow_cast(fit['at_ns'], 'Timestamp(ns, "UTC")') AS at_ts, fit['offset_ns'] / 1e6 AS offset_ms,
       fit['drift_ppm'] AS drift_ppm, fit['err_ns'] / 1e6 AS err_ms, fit['steps'] AS steps
FROM fits
ORDER BY session, node;
