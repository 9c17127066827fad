//! Servers that boards are read from.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bl_ingest::Source;
use bl_ingest::network::{FastApiSource, KitOptions, KitSource, MqttOptions, MqttSource};
use bl_ingest::source::SourceState;

use super::bench::Bench;

const SOURCES: [&str; 3] = ["benchlab.kit", "benchlab.api", "benchlab.mqtt"];

/// A server that does the same to everyone who connects, until it is dropped.
struct Peer {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
}

impl Peer {
    fn start(treat: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, stopping) =
            (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let own = Arc::clone(&stopping);
        let run = move || {
            for stream in listener.incoming().take_while(|_| !own.load(Ordering::SeqCst)) {
                treat(stream.unwrap());
            }
        };
        std::thread::Builder::new().name("peer".into()).spawn(run).unwrap();
        Self { address, stopping }
    }

    /// A server that reads one request and says that.
    fn saying(answer: &'static [u8]) -> Self {
        Self::start(move |mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                // Whoever is not pleased may have gone already.
                let _ = stream.write_all(answer);
            }
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// The sources of these servers: LinuxSupportKit's, benchlab-pytools', an MQTT broker.
fn sources(addresses: [SocketAddr; 3]) -> Vec<Box<dyn Source>> {
    let [kit, api, broker] = addresses;
    let options = KitOptions {
        endpoint: format!("http://{kit}"),
        api_key: None,
        device_timeout: Duration::from_millis(100),
        hz: 20.0,
    };
    let broker = MqttOptions { broker: broker.to_string(), prefix: "benchlab".into(), login: None };
    vec![
        Box::new(KitSource::new(options, None)),
        Box::new(FastApiSource::new(format!("http://{api}"), 20.0)),
        Box::new(MqttSource::new(broker)),
    ]
}

/// Each of the sources says so with these words, delivers nothing, and lets the others be.
fn assert_told(bench: Bench, expected: [(&str, &str, SourceState); 3]) {
    for (source, (reason, words, _)) in SOURCES.iter().zip(&expected) {
        bench.await_told(source, reason, words);
    }
    bench.assert_goes_on();
    for (source, (_, _, state)) in SOURCES.iter().zip(&expected) {
        assert_eq!((bench.rows(source), bench.state(source)), (0, *state), "{source}");
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}

#[test]
fn unplugged() {
    // Nobody listens where somebody has listened.
    let addresses =
        [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let refused = ("down", "refused", SourceState::Waiting);
    assert_told(Bench::start(sources(addresses)), [refused; 3]);
}

#[test]
fn hung() {
    // Connections are taken, and nothing is ever said.
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [0, 1, 2].map(|i: usize| listeners[i].local_addr().unwrap());
    let down = |words| ("down", words, SourceState::Waiting);
    let expected = ["nothing came for", "no answer in time", "does not answer"].map(down);
    assert_told(Bench::start(sources(addresses)), expected);
    drop(listeners);
}

#[test]
fn denied() {
    let http = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // CONNACK, code 5: not authorised.
    let peers = [Peer::saying(http), Peer::saying(http), Peer::saying(&[0x20, 2, 0, 5])];
    let addresses = [0, 1, 2].map(|i: usize| peers[i].address);
    let bench = Bench::start(sources(addresses));
    // A key or a login that is not configured is not tried again.
    assert_told(
        bench,
        [
            ("ended", "benchlab_sdk.api_key", SourceState::Ended),
            ("denied", "401", SourceState::Waiting),
            ("ended", "benchlab_sdk.mqtt_user", SourceState::Ended),
        ],
    );
}

#[test]
fn malformed() {
    let peers = [(); 3].map(|()| Peer::saying(b"\x00\xff what? \r\n\r\n"));
    let addresses = [0, 1, 2].map(|i: usize| peers[i].address);
    let nonsense = ("down", "", SourceState::Waiting);
    assert_told(Bench::start(sources(addresses)), [nonsense; 3]);
}
