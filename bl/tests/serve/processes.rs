//! Processes of `bl`, and asking them over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Listens on free ports.
pub const BINDS: [&str; 4] = ["--web-bind", "127.0.0.1:0", "--prom-bind", "127.0.0.1:0"];

/// A call of `bl` whose store, configuration and socket are in the folder.
pub fn bl(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
    command
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    std::fs::write(
        folder.join("config.toml"),
        format!(
            "[general]\nruntime_dir = {folder:?}\n[web]\nbind = \"127.0.0.1:0\"\n\
             [prometheus]\nbind = \"127.0.0.1:0\"\n[pipeline]\nevents = {:?}\n",
            folder.join("bl.sock")
        ),
    )
    .unwrap();
    command
}

/// Standard output of a call that has to succeed.
pub fn ok(folder: &Path, arguments: &[&str]) -> String {
    let out = bl(folder, arguments).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The answer of one row and one column.
pub fn number(folder: &Path, sql: &str) -> f64 {
    let csv = ok(folder, &["query", "--session", "latest", "--format", "csv", sql]);
    csv.lines().nth(1).unwrap().parse().unwrap_or_else(|_| panic!("{sql}: {csv}"))
}

/// A process that talks on standard error. It is killed when the test fails.
pub struct Running {
    child: Child,
    said: Vec<String>,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::sync_channel(1_000);
        let read = move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("stderr".into()).spawn(read).unwrap();
        Self { child, said: Vec::new(), lines }
    }

    /// What follows `before` in a line to come, up to a blank.
    pub fn await_word(&mut self, before: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.said.iter().find_map(|l| l.split_once(before)) {
                return at.1.split_whitespace().next().unwrap_or_default().to_string();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(e) => panic!("{before:?} is not said ({e}): {:?}", self.said),
            }
        }
    }

    /// Ends it as Ctrl-C does; returns how long that took, and all that it said.
    pub fn interrupt(mut self) -> (Duration, Vec<String>) {
        let began = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        let took = began.elapsed();
        self.said.extend(self.lines.iter());
        assert!(status.success(), "{status}: {:?}", self.said);
        (took, std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request, of HTTP 1.0 so that no answer comes in chunks, to `http://address/path`; the connection is closed after the answer.
pub fn request(url: &str) -> TcpStream {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(connection, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    connection
}

/// The whole answer, which has to be a 200.
pub fn get(url: &str) -> String {
    let mut answer = String::new();
    request(url).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{url}: {answer}");
    answer
}

/// Asks until `enough` likes the answer.
pub fn await_answer(url: &str, enough: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let answer = get(url);
        if enough(&answer) {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{url} goes on to answer {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The same call in a process that may open few files.
pub fn with_few_descriptors(command: &Command, descriptors: u32) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", &format!("ulimit -n {descriptors} && exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    limited
}
