-- Every frame that entered 'ingress'; lat_ns is null where it did not reach 'encoded' within two seconds.
SELECT ts_ns, frame_id, latency_ns AS lat_ns
FROM pair('ingress', 'encoded', relation => frames, ts => ts_ns, key => frame_id, window_ms => 2000, drops => true)
ORDER BY ts_ns
