-- What is missing: stretches without power samples, without events of a stage, and what sources told of losses.
--
-- $session  text    Session; every one that is asked about if null (default: null)
-- $gap_ms   number  Longest time between two power samples or two events that is no gap (default: 200)
WITH times AS (
  SELECT session, 'power' AS of, device_uid AS name, ts FROM benchlab
  WHERE $session IS NULL OR session = $session
  UNION ALL
  SELECT session, 'stage', CASE WHEN pipeline IS NULL THEN stage ELSE concat(pipeline, ' ', stage) END, ts
  FROM pipeline WHERE $session IS NULL OR session = $session
),
steps AS (
  SELECT session, of, name, lag(ts) OVER in_time AS from_ts, ts AS to_ts,
         (CAST(ts AS BIGINT) - CAST(lag(ts) OVER in_time AS BIGINT)) / 1e6 AS gap_ms
  FROM times
  WINDOW in_time AS (PARTITION BY session, of, name ORDER BY ts)
)
SELECT session, of, name, from_ts, to_ts, gap_ms, CAST(NULL AS BIGINT) AS count
FROM steps WHERE gap_ms > CAST($gap_ms AS DOUBLE)
UNION ALL
SELECT session, 'health', concat(source, ' ', reason), min(ts), max(ts), NULL, sum(count)
FROM health WHERE $session IS NULL OR session = $session
GROUP BY session, source, reason
ORDER BY session, of, name, from_ts;
