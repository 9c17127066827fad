//! Random statements and requests: whatever comes, the server answers, and goes on.
//!
//! A few seconds each; `BL_FUZZ_SECONDS` and the ignored test (a minute each, `make long`) take longer. The seed is told,
//! and taken from `BL_FUZZ_SEED` where that is set.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bl_serve::web::Limits;

use super::rig::Rig;

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const VALUES: [&str; 14] = [
    "1",
    "-9223372036854775808",
    "NULL",
    "'x'",
    "ts",
    "sys_w",
    "frame",
    "1e308",
    "'%'",
    "now()",
    "[1,2]",
    "INTERVAL '1 day'",
    "DATE '2026-02-30'",
    "x'ff'",
];
const SIGNS: [&str; 14] = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "=",
    "<",
    " AND ",
    " OR ",
    " LIKE ",
    " IS DISTINCT FROM ",
    "^",
    "~",
];
const FUNCTIONS: [&str; 14] = [
    "abs",
    "repeat",
    "lpad",
    "sum",
    "count",
    "max",
    "power_lag",
    "percentile_cont",
    "date_bin",
    "regexp_match",
    "array_agg",
    "nothing",
    "coalesce",
    "on_clock",
];
const TABLES: [&str; 12] = [
    "benchlab",
    "pipeline",
    "latency",
    "marks",
    "health",
    "sessions",
    "generate_series(1, 1000000)",
    "range(5)",
    "information_schema.tables",
    "nowhere",
    "(VALUES (1), (2)) AS v(x)",
    "latency('a', 'b')",
];

fn expression(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return dice.one(&VALUES).into();
    }
    match dice.roll(8) {
        0 | 1 => {
            let most = if dice.roll(20) == 0 { 400 } else { 4 };
            let times = 1 + dice.roll(most);
            let sign = dice.one(&SIGNS);
            (0..=times).map(|_| expression(dice, depth - 1)).collect::<Vec<_>>().join(sign)
        }
        2 | 3 => {
            let arguments: Vec<String> =
                (0..dice.roll(4)).map(|_| expression(dice, depth - 1)).collect();
            format!("{}({})", dice.one(&FUNCTIONS), arguments.join(", "))
        }
        4 => format!(
            "CAST({} AS {})",
            expression(dice, depth - 1),
            dice.one(&["INT", "TEXT", "TIMESTAMP", "DECIMAL(76,3)"])
        ),
        5 => format!("({})", select(dice, depth - 1)),
        6 => format!(
            "CASE WHEN {} THEN {} END",
            expression(dice, depth - 1),
            expression(dice, depth - 1)
        ),
        _ => format!("{} IN ({})", expression(dice, depth - 1), expression(dice, depth - 1)),
    }
}

fn select(dice: &mut Dice, depth: usize) -> String {
    let mut sql =
        format!("SELECT {}", if dice.roll(3) == 0 { "*".into() } else { expression(dice, depth) });
    if dice.roll(20) == 0 {
        sql += " INTO made";
    }
    if dice.roll(4) > 0 {
        let tables: Vec<&str> = (0..1 + dice.roll(3)).map(|_| dice.one(&TABLES)).collect();
        sql += &format!(
            " FROM {}",
            tables.join(dice.one(&[", ", " JOIN ", " CROSS JOIN ", " ASOF JOIN "]))
        );
    }
    if dice.roll(2) == 0 {
        sql += &format!(" WHERE {}", expression(dice, depth));
    }
    if dice.roll(3) == 0 {
        sql += dice.one(&[
            " GROUP BY 1",
            " ORDER BY 1",
            " LIMIT 3",
            " UNION SELECT 1",
            " OFFSET 9",
            " HAVING true",
        ]);
    }
    sql
}

fn statement(dice: &mut Dice) -> String {
    let depth = 1 + dice.roll(4);
    let mut sql = match dice.roll(12) {
        0 => format!("EXPLAIN {}", select(dice, depth)),
        1 => format!("WITH w AS ({}) SELECT * FROM w", select(dice, depth)),
        2 => dice
            .one(&[
                "SHOW TABLES",
                "SET a = 1",
                "DROP TABLE benchlab",
                "INSERT INTO marks SELECT 1",
                "COPY benchlab TO '/tmp/x'",
                ";;",
            ])
            .into(),
        _ => select(dice, depth),
    };
    // Bytes that are no SQL, now and then.
    for _ in 0..dice.roll(12).saturating_sub(8) {
        let mut at = dice.roll(sql.len() + 1);
        while !sql.is_char_boundary(at) {
            at -= 1;
        }
        sql.insert_str(
            at,
            dice.one(&["'", "\"", "(", ")", "--", "/*", "\0", "é", ";", "::", "$1", "\u{202e}"]),
        );
    }
    sql
}

fn seed() -> u64 {
    let given = std::env::var("BL_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or(20_261_125);
    eprintln!("BL_FUZZ_SEED={seed}");
    seed
}

fn time(standard: u64) -> Duration {
    let given = std::env::var("BL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(standard))
}

fn statements(seed: u64, time: Duration) {
    let limits = Limits { patience: Duration::from_millis(500), ..Limits::default() };
    let rig = Rig::with(limits, None);
    let (mut dice, end, mut count) = (Dice(seed), Instant::now() + time, 0);
    while Instant::now() < end {
        let sql = statement(&mut dice);
        let answer = rig.sql(&sql);
        // An address that is too long is refused before anybody sees it.
        if [414, 431].contains(&answer.status) {
            continue;
        }
        let begins: String = sql.chars().take(2_000).collect();
        // A fault of DataFusion is its own, as long as the server says so and goes on.
        assert!([200, 400, 429, 500].contains(&answer.status), "{}: {begins}", answer.status);
        let json = serde_json::from_str::<serde_json::Value>(&answer.body);
        assert!(json.is_ok(), "{begins}: {}", answer.body);
        count += 1;
        if count % 20 == 0 {
            rig.health();
        }
    }
    rig.health();
    assert!(count > 0);
    eprintln!("{count} statements");
}

fn request(dice: &mut Dice, host: &str) -> Vec<u8> {
    let method = dice.one(&["GET", "HEAD", "POST", "PUT", "get", "G\0T", "OPTIONS", ""]);
    let path = dice.one(&[
        "/",
        "/api/live?window=1",
        "/api/status",
        "/healthz",
        "/../../etc/passwd",
        "/%2e%2e/%00",
        "*",
        "http://evil/",
        "/api/sessions/../x/summary",
        "/api/sessions?limit=99999999999999999999",
        "/api/live?window=NaN",
        "//",
        "/?token=%",
        "/api/sessions/%FF/marks",
        "/api/query?sql=%FF",
        "/sign-in",
    ]);
    let version = dice.one(&["HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP/2.0", ""]);
    let mut text =
        format!("{method} {path} {version}\r\nConnection: close\r\nHost: {host}\r\n").into_bytes();
    for _ in 0..dice.roll(5) {
        text.extend(
            dice.one(&[
                "Content-Length: 5\r\n",
                "Content-Length: -1\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked, identity\r\n",
                "Host: evil.example\r\n",
                "Cookie: ;;;=\r\n",
                "Accept-Encoding: gzip;q=x\r\n",
                "Last-Event-ID: 1-1\r\n",
                "Origin: \u{e9}\r\n",
                "Sec-Fetch-Site: \r\n",
                "Authorization: Bearer \r\n",
                "Expect: 100-continue\r\n",
                "Upgrade: h2c\r\n",
                ": x\r\n",
                " folded\r\n",
                "\n",
            ])
            .bytes(),
        );
    }
    text.extend(b"\r\n");
    for _ in 0..dice.roll(4) {
        let at = dice.roll(text.len());
        text[at] = dice.roll(256) as u8;
    }
    text.truncate(if dice.roll(5) == 0 { dice.roll(text.len()) } else { text.len() });
    text
}

fn requests(seed: u64, time: Duration) {
    let limits = Limits { header_patience: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::with(limits, None);
    let (mut dice, end, mut count) = (Dice(seed), Instant::now() + time, 0);
    while Instant::now() < end {
        let text = request(&mut dice, &rig.web.to_string());
        let mut socket = TcpStream::connect(rig.web).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may answer and close before all is sent.
        let _ = socket.write_all(&text);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        let shown = String::from_utf8_lossy(&text);
        if let Err(e) = read {
            assert!(
                e.kind() == std::io::ErrorKind::ConnectionReset,
                "never answered: {shown:?}: {e}"
            );
        }
        if !answer.is_empty() {
            assert!(answer.starts_with(b"HTTP/1."), "{shown:?}");
            let status = String::from_utf8_lossy(&answer[9..12]).into_owned();
            assert!(!status.starts_with('5'), "{shown:?}: {status}");
        }
        count += 1;
        if count % 50 == 0 {
            rig.health();
        }
    }
    rig.health();
    eprintln!("{count} requests");
}

#[test]
fn random_statements_do_no_harm() {
    statements(seed(), time(4));
}

#[test]
fn random_requests_do_no_harm() {
    requests(seed(), time(4));
}

/// A minute of each, drawn anew.
#[test]
#[ignore = "takes two minutes: make long"]
fn a_minute_of_random_statements_and_requests_does_no_harm() {
    let seed = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or_else(|_| seed(), |t| t.as_nanos() as u64);
    eprintln!("BL_FUZZ_SEED={seed}");
    statements(seed, time(60));
    requests(seed, time(60));
}
