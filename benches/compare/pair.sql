-- Every frame that reached 'encoded' within two seconds of 'ingress'. The events left unpaired are counted by the
-- operator (metrics dropped and orphans).
SELECT ts_ns, frame_id, latency_ns AS lat_ns
FROM pair('ingress', 'encoded', relation => frames, ts => ts_ns, key => frame_id, window_ms => 2000, drops => false)
ORDER BY ts_ns
