//! The real peers of the metrics: `promtool` has nothing to say against them, and a Prometheus that scrapes them answers
//! every query of the Grafana dashboard.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::processes::{Running, await_answer, bl, get, ok};

const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboards/bl.json");

/// The folder with the programs of Debian's package `prometheus`.
fn programs() -> PathBuf {
    std::env::var_os("BL_PROMETHEUS").expect("BL_PROMETHEUS names no folder").into()
}

/// `promtool check metrics` accepts the text and has nothing to remark.
fn check(text: &str) {
    let mut child = Command::new(programs().join("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success() && said.is_empty(), "promtool: {said}");
}

/// Starts a Prometheus that scrapes `target` twice a second; returns it with its address.
fn scrape(folder: &Path, target: &str) -> (Running, String) {
    let config = folder.join("prometheus.yaml");
    let text = format!(
        "global: {{scrape_interval: 500ms}}\n\
         scrape_configs: [{{job_name: bl, static_configs: [{{targets: [{target:?}]}}]}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(programs().join("prometheus"));
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address={free}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut prometheus = Running::start(command);
    prometheus.await_word("Server is ready to receive web");
    (prometheus, format!("http://{free}"))
}

/// The series that a query finds now.
fn ask(prometheus: &str, query: &str) -> Vec<Value> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = get(&format!("{prometheus}/api/v1/query?query={encoded}"));
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let document: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    document["data"]["result"].as_array().unwrap().clone()
}

/// The queries of the dashboard's panels, over every instance.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|t| t["expr"].as_str().unwrap().replace("$instance", ".*")).collect()
}

#[test]
#[ignore = "needs BL_PROMETHEUS, a folder with Debian's prometheus and promtool"]
fn a_real_prometheus_scrapes_what_the_dashboard_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let mut bl_serves = Running::start(bl(folder, &["ingest", "--simulate", "--serve"]));
    let metrics = bl_serves.await_word("metrics for Prometheus are at ");
    let answer = await_answer(&metrics, |text| {
        text.contains("bl_stage_latency_seconds_count") && text.contains("bl_device_info{")
    });
    check(answer.split_once("\r\n\r\n").unwrap().1);
    check(&ok(folder, &["export", "prom"]));

    let target = metrics.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let (prometheus, address) = scrape(folder, target);
    let began = Instant::now();
    let enough = "count_over_time(bl_power_sum_watts{part=\"sys\"}[1m]) > 5";
    while ask(&address, enough).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "it scrapes nothing of {target}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let up = ask(&address, "up");
    assert_eq!((up.len(), up[0]["value"][1].as_str()), (1, Some("1")), "{up:?}");
    for query in queries() {
        // A series of each, but for a GPU, which the machine may not have.
        let found = ask(&address, &query);
        assert!(!found.is_empty() || query.contains("bl_gpu_"), "nothing for {query}");
    }
    let rows = ask(&address, "bl_device_info");
    assert!(rows[0]["metric"]["model"].as_str().unwrap().starts_with("BENCHLAB"), "{rows:?}");
    prometheus.interrupt();
    bl_serves.interrupt();
}
