-- Every frame of 100 interleaved pipelines that reached 'encoded' within two seconds of 'ingress'.
SELECT ts_ns, pipeline, frame_id, latency_ns AS lat_ns
FROM pair('ingress', 'encoded', relation => frames100, ts => ts_ns, key => frame_id, "group" => pipeline,
          window_ms => 2000, drops => false)
ORDER BY ts_ns
