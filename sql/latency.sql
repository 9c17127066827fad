-- Every frame: when it entered the first stage, how long it took, what power it met and what energy it cost.
--
-- $stage_a  text    Stage where frames begin (default: ingress)
-- $stage_b  text    Stage where they end (default: encoded)
-- $session  text    Session; every one that is asked about if null (default: null)
-- $pipeline text    Pipeline; every one if null (default: null)
SELECT ts, session, pipeline, frame, key_ns, latency_ms, dropped,
       power_w, cpu_w, gpu_w, power_age_ms, power_err_ns, energy_j
FROM latency
WHERE stage_a = $stage_a AND stage_b = $stage_b
  AND ($session IS NULL OR session = $session)
  AND ($pipeline IS NULL OR pipeline = $pipeline)
ORDER BY session, ts, pipeline, frame;
