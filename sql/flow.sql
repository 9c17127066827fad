-- The steps of a flow: each from its mark of kind begin to the next of kind end (or begin) of that name, with the
-- latency of its frames, the energy of the system, and whether its target was met.
--
-- Targets are rows of table flow_steps (step, latency_target_ms, place), made from [flows] of the configuration; a
-- step is met when the $percentile of its frames' latencies is at most its target, null where either is unknown. A
-- step of the flow that no mark began is there with nulls. energy_j is null where the power samples of the step have
-- a gap longer than $gap_ms, or do not cover it.
--
-- $stage_a    text    Stage where frames begin (default: ingress)
-- $stage_b    text    Stage where they end (default: encoded)
-- $session    text    Session; every one that is asked about if null (default: null)
-- $percentile number  Share of frames that have to keep the target (default: 0.95)
-- $gap_ms     number  Longest time between two power samples that is no gap (default: 1000)
WITH wanted_marks AS (
  SELECT session, ts, name, kind,
         lead(ts) OVER in_time AS next_ts, lead(kind) OVER in_time AS next_kind
  FROM marks
  WHERE kind IN ('begin', 'end') AND ($session IS NULL OR session = $session)
  WINDOW in_time AS (PARTITION BY session, name ORDER BY ts)
),
begun AS (
  SELECT session, name AS step, ts AS begin_ts, next_ts AS end_ts,
         row_number() OVER (PARTITION BY session ORDER BY ts, name) AS run
  FROM wanted_marks WHERE kind = 'begin'
),
seconds AS (
  -- The seconds that a step touches: a frame is compared with the steps of its second alone.
  SELECT session, run, begin_ts, end_ts,
         unnest(generate_series(CAST(begin_ts AS BIGINT) / 1000000000,
                                CAST(end_ts AS BIGINT) / 1000000000)) AS second
  FROM begun WHERE end_ts IS NOT NULL
),
frames AS (
  SELECT session, ts, CAST(ts AS BIGINT) / 1000000000 AS second, dropped, latency_ms, energy_j
  FROM latency
  WHERE stage_a = $stage_a AND stage_b = $stage_b AND ($session IS NULL OR session = $session)
),
framed AS (
  SELECT s.session, s.run, count(f.ts) AS frames,
         count(*) FILTER (WHERE f.dropped) AS dropped,
         avg(f.latency_ms) AS mean_ms, max(f.latency_ms) AS max_ms,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY f.latency_ms) AS p50_ms,
         percentile_cont($percentile) WITHIN GROUP (ORDER BY f.latency_ms) AS kept_ms,
         avg(f.energy_j) AS j_per_frame
  FROM seconds s JOIN frames f
    ON f.session = s.session AND f.second = s.second AND f.ts >= s.begin_ts AND f.ts < s.end_ts
  GROUP BY s.session, s.run
),
board AS (
  SELECT session, first_value(device_uid ORDER BY ts, device_uid) AS device_uid
  FROM benchlab WHERE $session IS NULL OR session = $session GROUP BY session
),
samples AS (
  SELECT p.session, p.ts, p.sys_w
  FROM benchlab p JOIN board
    ON p.session = board.session AND p.device_uid IS NOT DISTINCT FROM board.device_uid
),
powered AS (
  SELECT session, run, energy_j
  FROM energy(relation => (SELECT session, run, begin_ts, end_ts FROM begun), "from" => begin_ts, "to" => end_ts,
              by => session, power => (SELECT session, ts, sys_w FROM samples), tolerance_ms => $gap_ms)
)
SELECT b.session, coalesce(b.step, t.step) AS step, t.latency_target_ms, b.begin_ts, b.end_ts,
       (CAST(b.end_ts AS BIGINT) - CAST(b.begin_ts AS BIGINT)) / 1e6 AS step_ms,
       f.frames, f.dropped, f.mean_ms, f.p50_ms, f.kept_ms, f.max_ms, f.j_per_frame, p.energy_j,
       f.kept_ms <= t.latency_target_ms AS met
FROM begun b
FULL JOIN flow_steps t ON b.step = t.step
LEFT JOIN framed f ON f.session = b.session AND f.run = b.run
LEFT JOIN powered p ON p.session = b.session AND p.run = b.run
ORDER BY b.session NULLS LAST, b.run NULLS LAST, t.place;
