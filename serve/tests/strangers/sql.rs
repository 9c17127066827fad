//! Statements that want too much.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bl_serve::web::Limits;
use serde_json::{Value, json};

use super::rig::{FRAMES, PROCESS, Rig};

/// More rows than anybody waits for, in operators that take no memory.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a(v), \
                       generate_series(1, 1000000) AS b(v) WHERE a.v * 7 + b.v % 13 = -1";

#[test]
fn depth_is_capped_before_it_is_planned() {
    let rig = Rig::start();
    let terms = |sign: &str| format!("SELECT {}", vec!["1"; 1_500].join(sign));
    let joins = vec!["(VALUES (1)) AS t"; 700].join(" CROSS JOIN ");
    for sql in [
        terms("+"),
        terms(" OR "),
        terms("||"),
        format!("SELECT 1{}", "::int".repeat(1_500)),
        format!("SELECT * FROM {joins}"),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(500)),
        format!("SELECT {}1{}", "abs(".repeat(1_500), ")".repeat(1_500)),
    ] {
        let answer = rig.sql(&sql);
        assert_eq!(answer.status, 400, "{}: {}", &sql[..40], answer.body);
        assert!(!answer.detail().is_empty());
    }
    let sum = format!("SELECT {} AS n", vec!["1"; 190].join("+"));
    let sum: Value = serde_json::from_str(&rig.sql(&sum).body).unwrap();
    assert_eq!(sum["rows"], json!([{"n": 190}]), "what is within the limit is planned and run");
}

#[test]
fn select_into_is_refused_before_it_runs() {
    let rig = Rig::start();
    let begun = Instant::now();
    let sql = "SELECT * INTO foo FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let answer = rig.sql(sql);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.detail().contains("does more than read"), "{}", answer.body);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Ticks of the processor that the threads of that name took.
fn ticks(thread: &str) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        if name.ends_with(&format!("({thread}")) {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            sum += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    sum
}

#[test]
fn a_query_that_takes_too_long_ends_with_all_its_tasks() {
    let _alone = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { patience: Duration::from_millis(700), ..Limits::default() };
    let rig = Rig::alone(limits, None);
    let begun = Instant::now();
    let answer = rig.sql(ENDLESS);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.detail().contains("takes more than"), "{}", answer.body);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // A batch that is being worked on is worked through: some ten seconds where nothing is optimised.
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let before = ticks("sql");
        std::thread::sleep(Duration::from_millis(500));
        if ticks("sql") <= before + 1 {
            break;
        }
        assert!(Instant::now() < end, "its tasks go on");
    }
    assert!(ticks("sql") > 0, "the threads were looked for under their name");
}

#[test]
fn answers_are_streamed_and_their_bytes_capped() {
    let _alone = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    // Less than is allowed by default, and more time for it: this build is not optimised.
    let limits =
        Limits { answer_bytes: 2 << 20, patience: Duration::from_secs(50), ..Limits::default() };
    let rig = Rig::alone(limits, None);
    let memory = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    let before = memory();
    let is_done = AtomicBool::new(false);
    let (answer, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !is_done.load(Ordering::Relaxed) {
                peak = memory().max(peak);
                std::thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let answer = rig.sql("SELECT repeat('x',100000) AS x FROM generate_series(1,16000)");
        is_done.store(true, Ordering::Relaxed);
        (answer, watch.join().unwrap())
    });
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.len() <= limits.answer_bytes + 1_000, "{}", answer.body.len());
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(json["truncated"], true);
    assert_eq!(json["error"], Value::Null);
    assert_eq!(json["rows"].as_array().unwrap().len(), 20, "rows of 100,000 bytes and a name");
    // Of which this test itself holds the answer some times over.
    assert!(peak.saturating_sub(before) < 500, "{before} MB, then {peak} MB");
}

#[test]
fn rows_are_cut_where_they_were_asked_to_be() {
    let rig = Rig::start();
    let sql = super::rig::escaped("SELECT v FROM generate_series(1, 1000) AS t(v)");
    let some = rig.json(&format!("/api/query?sql={sql}&limit=300"));
    assert_eq!((some["rows"].as_array().unwrap().len(), &some["truncated"]), (300, &json!(true)));
    let all = rig.json(&format!("/api/query?sql={sql}&limit=1000"));
    assert_eq!((all["rows"].as_array().unwrap().len(), &all["truncated"]), (1_000, &json!(false)));
    let none =
        rig.json(&format!("/api/query?sql={}", super::rig::escaped("SELECT 1 AS x WHERE false")));
    assert_eq!(none, json!({"columns": ["x"], "rows": [], "truncated": false}));
    for long in ["SELECT repeat('x', 2000000000)", "SELECT repeat('x', 1+2000000000)"] {
        assert_eq!(rig.sql(long).status, 400, "{long}");
    }
}

#[test]
fn nobody_waits_for_a_heavy_query() {
    let limits = Limits { patience: Duration::from_secs(12), ..Limits::default() };
    let rig = Rig::with(limits, None);
    std::thread::scope(|scope| {
        let heavy: Vec<_> = (0..2).map(|_| scope.spawn(|| rig.sql(ENDLESS))).collect();
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let took = rig.health();
            assert!(took < Duration::from_secs(1), "healthz: {took:?}");
            assert_eq!(rig.get("/").status, 200);
            let past = rig.get(&format!("/api/sessions/{}/summary", rig.id));
            assert_eq!(past.status, 200, "{}", past.body);
            assert!(heavy.iter().all(|query| !query.is_finished()), "no longer heavy");
            std::thread::sleep(Duration::from_millis(50));
        }
        for query in heavy {
            let answer = query.join().unwrap();
            assert_eq!(answer.status, 400, "{}", answer.body);
        }
    });
}

/// The session was never aligned: the rows are made when they are asked for, as `bl query` does.
#[test]
fn table_latency_has_rows_before_anybody_aligns() {
    let rig = Rig::start();
    let answer = rig.sql("SELECT count(*) AS n, min(latency_ms) AS ms FROM latency");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(json["rows"], json!([{"n": FRAMES, "ms": 5.0}]));
}

/// `session.json` names no board, as that of an import does not.
#[test]
fn boards_are_those_of_the_rows() {
    let rig = Rig::start();
    let told = rig.json(&format!("/api/sessions/{}", rig.id));
    assert_eq!(told["session"]["devices"], json!(["B1"]), "{told}");
    assert_eq!(told["boards"][0]["uid"], "B1");
    let rails = rig.json(&format!("/api/sessions/{}/rails", rig.id));
    assert_eq!((&rails["device"], &rails["total"]), (&json!("B1"), &json!(FRAMES + 1)));
    let summary = rig.json(&format!("/api/sessions/{}/summary", rig.id));
    assert_eq!(summary["power"]["mean_w"], 100.0);
    assert_eq!(summary["session"]["devices"], json!(["B1"]));
}
