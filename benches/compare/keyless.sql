-- Every frame of a camera without numbers, in order, with drops found; reason says where timing cannot tell.
SELECT ts_ns, latency_ns AS lat_ns, CASE WHEN dropped IS NULL THEN 'ambiguous' END AS reason
FROM pair('ingress', 'encoded', relation => keyless, ts => ts_ns, window_ms => 2000, drops => true)
ORDER BY ts_ns
