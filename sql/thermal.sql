-- Heat: each temperature of boards and graphics cards, from its first reading to its last, with its trend.
--
-- rise_c_per_min is the slope of the line through all readings. Sensors that never told anything are left out.
--
-- $session  text    Session; every one that is asked about if null (default: null)
WITH boards AS (
  SELECT * FROM benchlab WHERE $session IS NULL OR session = $session
),
cards AS (
  SELECT * FROM gpu WHERE $session IS NULL OR session = $session
),
readings AS (
  SELECT session, ts, device_uid AS device, 'chip' AS sensor, CAST(chip_c AS DOUBLE) AS temp_c FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ambient', CAST(ambient_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts1', CAST(ts1_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts2', CAST(ts2_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts3', CAST(ts3_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts4', CAST(ts4_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts_hpwr1_in', CAST(ts_hpwr1_in_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts_hpwr1_out', CAST(ts_hpwr1_out_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts_hpwr2_in', CAST(ts_hpwr2_in_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, device_uid, 'ts_hpwr2_out', CAST(ts_hpwr2_out_c AS DOUBLE) FROM boards
  UNION ALL SELECT session, ts, uuid, 'gpu', CAST(temp_c AS DOUBLE) FROM cards
  UNION ALL SELECT session, ts, uuid, 'gpu hotspot', CAST(hotspot_c AS DOUBLE) FROM cards
  UNION ALL SELECT session, ts, uuid, 'gpu memory', CAST(mem_temp_c AS DOUBLE) FROM cards
)
SELECT session, device, sensor, count(*) AS readings,
       first_value(temp_c ORDER BY ts) AS first_c,
       min(temp_c) AS min_c, avg(temp_c) AS mean_c, max(temp_c) AS max_c,
       last_value(temp_c ORDER BY ts) AS last_c,
       regr_slope(temp_c, CAST(ts - first_ts AS DOUBLE) / 6e10) AS rise_c_per_min
FROM (
  SELECT session, device, sensor, temp_c, CAST(ts AS BIGINT) AS ts,
         min(CAST(ts AS BIGINT)) OVER (PARTITION BY session) AS first_ts
  FROM readings WHERE temp_c IS NOT NULL
)
GROUP BY session, device, sensor
ORDER BY session, device, sensor;
