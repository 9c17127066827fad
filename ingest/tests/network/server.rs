//! A server for one test: it hands every connection to a closure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
}

/// A connection, with the number of those before it.
pub struct Connection {
    pub number: usize,
    pub stream: TcpStream,
    stopping: Arc<AtomicBool>,
}

/// The head of a request.
pub struct Request {
    pub path: String,
    pub authorization: Option<String>,
}

impl Server {
    pub fn start(handle: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (own, handle) = (Arc::clone(&stopping), Arc::new(handle));
        thread("server", move || {
            for (number, stream) in listener.incoming().enumerate() {
                if own.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                // No test takes longer.
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                let connection = Connection { number, stream, stopping: Arc::clone(&own) };
                let handle = Arc::clone(&handle);
                thread("connection", move || handle(connection));
            }
        });
        Self { address, stopping }
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl Connection {
    /// The path of the request that waits, without taking it.
    pub fn peek_path(&self) -> String {
        let mut head = [0; 512];
        let mut count = 0;
        while !head[..count].contains(&b'\n') {
            let more = self.stream.peek(&mut head).unwrap();
            if more == count {
                return String::new();
            }
            count = more;
        }
        path_of(&String::from_utf8_lossy(&head[..count]))
    }

    /// Reads a request without a body.
    pub fn request(&self) -> Request {
        let mut reader = BufReader::new(&self.stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let path = path_of(&line);
        let mut authorization = None;
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap() <= 2 {
                return Request { path, authorization };
            }
            let (name, value) = line.split_once(':').unwrap();
            if name.eq_ignore_ascii_case("authorization") {
                authorization = Some(value.trim().to_owned());
            }
        }
    }

    /// Answers and ends the connection.
    pub fn answer(mut self, status: u16, body: &str) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        self.send(&(head + body));
    }

    /// Begins an answer without end.
    pub fn begin_chunks(&mut self) {
        self.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
    }

    /// Sends a piece of it; returns whether somebody listens.
    pub fn chunk(&mut self, text: &str) -> bool {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len()))
    }

    pub fn send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).is_ok()
    }

    /// Waits until the other side goes, or the server is dropped.
    pub fn wait_for_end(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        while !self.stopping.load(Ordering::SeqCst) {
            match self.stream.read(&mut [0; 256]) {
                Ok(0) => return,
                Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

fn path_of(line: &str) -> String {
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.into()).spawn(run).unwrap();
}
