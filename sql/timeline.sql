-- Second by second: frames, drops, latency, power, and the load of the processors.
--
-- A second without a frame or sample has null there. Power is the mean of the samples of the board with the first
-- sample of the session.
--
-- $stage_a  text    Stage where frames begin (default: ingress)
-- $stage_b  text    Stage where they end (default: encoded)
-- $session  text    Session; every one that is asked about if null (default: null)
WITH frames AS (
  SELECT session, date_trunc('second', ts) AS second, count(*) AS frames,
         count(*) FILTER (WHERE dropped) AS dropped,
         avg(latency_ms) AS mean_ms, max(latency_ms) AS max_ms, sum(energy_j) AS frames_j
  FROM latency
  WHERE stage_a = $stage_a AND stage_b = $stage_b AND ($session IS NULL OR session = $session)
  GROUP BY 1, 2
),
board AS (
  SELECT session, first_value(device_uid ORDER BY ts, device_uid) AS device_uid
  FROM benchlab WHERE $session IS NULL OR session = $session GROUP BY session
),
power AS (
  SELECT b.session, date_trunc('second', b.ts) AS second,
         avg(b.sys_w) AS sys_w, avg(b.cpu_w) AS cpu_w, avg(b.gpu_w) AS gpu_w
  FROM benchlab b JOIN board
    ON b.session = board.session AND b.device_uid IS NOT DISTINCT FROM board.device_uid
  GROUP BY 1, 2
),
load AS (
  SELECT session, date_trunc('second', ts) AS second, avg(busy_pct) AS cpu_busy_pct
  FROM cpu WHERE cpu = 'all' AND ($session IS NULL OR session = $session)
  GROUP BY 1, 2
),
seconds AS (
  SELECT session, second FROM frames
  UNION SELECT session, second FROM power
  UNION SELECT session, second FROM load
)
SELECT s.session, s.second, f.frames, f.dropped, f.mean_ms, f.max_ms, f.frames_j,
       p.sys_w, p.cpu_w, p.gpu_w, l.cpu_busy_pct
FROM seconds s
LEFT JOIN frames f ON s.session = f.session AND s.second = f.second
LEFT JOIN power p ON s.session = p.session AND s.second = p.second
LEFT JOIN load l ON s.session = l.session AND s.second = l.second
ORDER BY s.session, s.second;
