-- Exact latency percentiles in milliseconds, and the energy of each frame: power held from sample to sample, null when an
-- end has no sample within 200 ms.
SELECT percentiles(lat_ns / 1e6, 0.5, 0.95, 0.99) AS latency_ms FROM pairs;

SELECT frame_id, energy_j
FROM energy(relation => pairs, from => ts_ns, to => ts_ns + lat_ns, power => power, power_w => sys_w,
            method => 'hold', gaps => 'bridge', tolerance_ms => 200)
