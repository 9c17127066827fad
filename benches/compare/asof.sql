-- Each row of pairs with the last power sample at or before it, null when that is older than 200 ms.
SELECT p.ts_ns, p.frame_id, p.lat_ns, w.sys_w, w.cpu_w, w.gpu_w
FROM pairs p
ASOF JOIN power w MATCH_CONDITION (p.ts_ns >= w.ts_ns AND p.ts_ns - w.ts_ns <= 200000000)
ORDER BY p.ts_ns
