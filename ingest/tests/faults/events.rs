//! Senders of stage events.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;

use bl_ingest::socket::EventsSocket;

use super::bench::{Bench, become_nobody, wait_for};

const SOURCE: &str = bl_ingest::socket::SOURCE;

#[test]
fn each_fault_of_a_sender_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bl.sock");
    let bench = Bench::start(vec![Box::new(EventsSocket::bind(&path).unwrap())]);
    let connect = || UnixStream::connect(&path).unwrap();
    let mut steady = connect();
    let mut sent = 0;
    let mut goes_on = || {
        sent += 1;
        writeln!(steady, r#"{{"stage":"steady","frame":{sent}}}"#).unwrap();
        wait_for("the steady sender", || bench.known("pipeline", "frame", SOURCE) == sent);
        bench.assert_goes_on();
    };
    goes_on();
    // Unplugged: it goes away within a line. Malformed: what it says makes no sense. Hung: it never ends its line.
    connect().write_all(br#"{"stage":"torn","fra"#).unwrap();
    bench.await_told(SOURCE, "malformed", "sender 2");
    goes_on();
    connect().write_all(b"what?\n").unwrap();
    bench.await_told(SOURCE, "malformed", "sender 3");
    goes_on();
    let mut hung = connect();
    hung.write_all(br#"{"stage":"late","frame""#).unwrap();
    goes_on();
    // Denied: the socket is for its user and group.
    let refused = std::thread::scope(|scope| {
        let run_as_nobody = || {
            become_nobody();
            UnixStream::connect(&path).map(drop)
        };
        std::thread::Builder::new().spawn_scoped(scope, run_as_nobody).unwrap().join().unwrap()
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    goes_on();
    assert_eq!(bench.told(SOURCE).len(), 2, "{:?}", bench.told(SOURCE));
    drop(hung);
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}
