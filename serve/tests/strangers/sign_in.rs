//! How people with a browser get in.

use bl_serve::web::Limits;

use super::rig::{Rig, escaped, request};

const TOKEN: &str = "ab+/cd==ef%20;\"gh 12";
const BROWSER: &str = "Accept: text/html,application/xhtml+xml\r\n";

fn cookie(head: &str, whole: &str) -> String {
    assert!(head.contains("httponly; samesite=lax"), "{head}");
    let line = whole.lines().find(|l| l.to_lowercase().starts_with("set-cookie:")).unwrap();
    line.split_once(':').unwrap().1.split(';').next().unwrap().trim().to_string()
}

#[test]
fn a_browser_gets_a_form_and_a_program_a_problem() {
    let rig = Rig::with(Limits::default(), Some(TOKEN));
    let form = rig.get_with("/", BROWSER);
    assert_eq!(form.status, 401);
    assert!(form.head.contains("text/html") && form.head.contains("form-action 'self'"));
    assert!(form.body.contains("<form method=\"post\" action=\"/sign-in\">"), "{}", form.body);
    assert!(!form.body.contains("not the token"));
    let wrong = rig.get_with("/?token=0123456789abcdef", BROWSER);
    assert!(wrong.status == 401 && wrong.body.contains("not the token"));
    for (path, headers) in [("/", ""), ("/api/status", BROWSER)] {
        let problem = rig.get_with(path, headers);
        assert_eq!(problem.status, 401);
        assert!(problem.head.contains("application/problem+json"), "{}", problem.head);
    }
}

/// The answer as it was sent, with its case.
fn raw(rig: &Rig, method: &str, path: &str, headers: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(rig.web).unwrap();
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        rig.web,
        body.len()
    );
    socket.write_all(text.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn any_token_signs_in_by_form_and_by_link() {
    let rig = Rig::with(Limits::default(), Some(TOKEN));
    let body = format!("token={}", escaped(TOKEN));
    let origin = format!("Origin: http://{}\r\n", rig.web);
    let answers = [
        raw(&rig, "POST", "/sign-in", &origin, &body),
        raw(
            &rig,
            "GET",
            &format!("/?token={}", escaped(TOKEN)),
            "Sec-Fetch-Site: cross-site\r\n",
            "",
        ),
    ];
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.0 303"), "{answer}");
        let cookie = cookie(&answer.to_lowercase(), &answer);
        let name = cookie.split('=').next().unwrap();
        assert_eq!(name, format!("bl_token_{}", rig.web.port()), "one a port");
        let with = format!("Cookie: bl_token_1=other; {cookie}\r\n");
        assert_eq!(rig.get_with("/api/status", &with).status, 200, "{cookie}");
        assert_eq!(rig.get_with("/", &with).status, 200);
    }
    let wrong = request(rig.web, "POST", "/sign-in", BROWSER, "token=no").unwrap();
    assert!(wrong.status == 401 && wrong.body.contains("not the token"));
    let foreign = "Origin: http://evil.example\r\n";
    assert_eq!(request(rig.web, "POST", "/sign-in", foreign, &body).unwrap().status, 403);
    let long = format!("token={}", "x".repeat(100_000));
    if let Ok(answer) = request(rig.web, "POST", "/sign-in", "", &long) {
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn the_name_of_the_scheme_is_read_in_any_case() {
    let token = "0123456789+/abc=";
    let rig = Rig::with(Limits::default(), Some(token));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let headers = format!("Authorization: {scheme} {token}\r\n");
        assert_eq!(rig.get_with("/api/status", &headers).status, 200, "{scheme}");
    }
    for headers in [format!("Authorization: Basic {token}\r\n"), "Authorization: Bearer\r\n".into()]
    {
        assert_eq!(rig.get_with("/api/status", &headers).status, 401, "{headers}");
    }
    // Typed by hand, a plus is a plus.
    assert_eq!(rig.get(&format!("/?token={token}")).status, 303);
}
