//! Requests of other sites, and connections that never ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bl_serve::web::Limits;

use super::rig::Rig;

#[test]
fn pages_of_other_sites_cannot_ask() {
    let rig = Rig::start();
    let own = format!("Origin: http://{}\r\n", rig.web);
    for path in ["/api/query?sql=SELECT+1", "/api/status", "/api/live", "/api/sessions"] {
        for headers in [
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://127.0.0.1:1\r\n",
        ] {
            let answer = rig.get_with(path, headers);
            assert_eq!(answer.status, 403, "{path} {headers}: {}", answer.body);
            assert!(answer.head.contains("application/problem+json"));
        }
        for headers in ["", "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n", &own] {
            assert_eq!(rig.get_with(path, headers).status, 200, "{path} {headers}");
        }
    }
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
    assert_eq!(rig.get_with("/", link).status, 200, "a link to the page is welcome");
}

#[test]
fn names_of_this_host_are_known_in_any_case() {
    let rig = Rig::start();
    let port = rig.web.port();
    for host in ["localhost", "LOCALHOST", "LocalHost.", "127.0.0.1"] {
        let headers = format!("Host: {host}:{port}\r\n");
        assert_eq!(rig.get_with("/api/status", &headers).status, 200, "{host}");
    }
    let headers = format!("Host: evil.example:{port}\r\n");
    assert_eq!(rig.get_with("/api/status", &headers).status, 421);
}

/// Whether the server has closed the connection.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match socket.read(&mut [0; 64]) {
        // It may say 408 first.
        Ok(n) => n == 0 || is_closed(socket),
        Err(e) => {
            !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        }
    }
}

#[test]
fn connections_that_never_ask_are_few_and_short() {
    let limits =
        Limits { connections: 16, header_patience: Duration::from_secs(2), ..Limits::default() };
    let rig = Rig::with(limits, None);
    let mut held: Vec<TcpStream> = (0..180)
        .map(|_| {
            let mut socket = TcpStream::connect(rig.web).unwrap();
            // One that is refused may be closed by now.
            let _ = socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc");
            socket
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    held.retain_mut(|socket| !is_closed(socket));
    assert!(held.len() <= 16, "{} are held", held.len());
    let end = Instant::now() + Duration::from_secs(15);
    while !held.is_empty() {
        assert!(Instant::now() < end, "{} are held for ever", held.len());
        std::thread::sleep(Duration::from_millis(100));
        held.retain_mut(|socket| !is_closed(socket));
    }
    rig.health();
}

/// Two requests on one connection, and a connection that idles: the first are answered, the second is closed.
#[test]
fn connections_are_kept_for_a_while() {
    let limits = Limits { header_patience: Duration::from_secs(1), ..Limits::default() };
    let rig = Rig::with(limits, None);
    let mut socket = TcpStream::connect(rig.web).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for _ in 0..2 {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", rig.web);
        socket.write_all(text.as_bytes()).unwrap();
        let mut bytes = [0; 4096];
        let n = socket.read(&mut bytes).unwrap();
        assert!(bytes[..n].starts_with(b"HTTP/1.1 200"));
    }
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
}

#[test]
fn long_requests_are_refused() {
    let rig = Rig::start();
    let statement = format!("SELECT '{}'", "x".repeat(19_000));
    assert_eq!(rig.sql(&statement).status, 200, "what the limits allow fits into a request");
    let statement = format!("SELECT '{}'", "x".repeat(20_001));
    assert_eq!(rig.sql(&statement).status, 400);
    let line = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
    if let Ok(answer) = super::rig::request(rig.web, "GET", "/healthz", &line, "") {
        assert!([400, 414, 431].contains(&answer.status), "{}", answer.status);
    }
    rig.health();
}
