//! The bounded queue between the pipeline and the socket, and the thread that empties it.
//!
//! The pipeline only ever tries to put an event into the queue. The thread sends fifty times a second what
//! has gathered, and sleeps without a timer when there is nothing. While nobody listens it keeps the latest
//! events and tries to connect four times a second.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::bell::Bell;
use crate::event::{Event, hello};

/// Events that fit into the queue: 136 s of two stages at 60 frames a second, 0.8 MB.
const CAPACITY: usize = 16_384;
/// Events kept while nobody listens, with room above for a burst.
const KEPT_UNSENT: usize = 12_288;
/// Lines are sent once they are that long, or when there are no more.
const CHUNK_BYTES: usize = 32 * 1024;
/// How long events gather before they are sent.
const GATHER: Duration = Duration::from_millis(20);
/// Pause between attempts to connect.
const RECONNECT: Duration = Duration::from_millis(250);
/// A write waits that long before it looks whether the process ends.
const WRITE_STEP: Duration = Duration::from_millis(50);
/// At the end: how long what is queued may still take.
pub const FLUSH: Duration = Duration::from_millis(500);

/// Where the pipeline leaves its events.
#[derive(Debug)]
pub struct Queue {
    events: Sender<Event>,
    bell: Arc<Bell>,
}

impl Queue {
    /// Takes the event, or counts it as lost when the queue is full. Never waits.
    pub fn offer(&self, event: Event) {
        if let Err(refused) = self.events.try_send(event) {
            refused.into_inner().point.pipeline.lose_one();
        }
        self.bell.ring();
    }
}

impl Drop for Queue {
    /// Has the rest sent.
    fn drop(&mut self) {
        self.bell.end();
    }
}

/// How the thread is asked to finish.
#[derive(Debug)]
pub struct Handle {
    bell: Arc<Bell>,
    ended: Receiver<()>,
    sent: Arc<AtomicU64>,
}

impl Handle {
    /// Has what is queued sent, and waits for that, [`FLUSH`] at the longest. Returns the events sent, of all.
    pub fn finish(&self) -> u64 {
        self.bell.end();
        // Nothing is ever received: the other side is dropped when the thread ends.
        let _ = self.ended.recv_timeout(FLUSH);
        self.sent.load(Ordering::Acquire)
    }
}

/// Starts the thread that sends events to `socket`. It ends when asked to, or after the [`Queue`] is dropped.
///
/// # Errors
/// When the process can have no more threads.
pub fn start(socket: PathBuf) -> io::Result<(Queue, Handle)> {
    let (writer, queue, handle) = Writer::new(socket);
    spawn_without_signals(move || writer.run())?;
    Ok((queue, handle))
}

/// A thread that gets none of the application's signals: they are not for it, and some applications count on
/// where they arrive.
fn spawn_without_signals(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // SAFETY: both sets are plain data that the calls initialise; a new thread inherits the mask, and this
    // one's is put back at once.
    let before = unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let spawned = std::thread::Builder::new().name("bl-trace".into()).spawn(body);
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    spawned.map(drop)
}

struct Writer {
    socket: PathBuf,
    queue: Receiver<Event>,
    bell: Arc<Bell>,
    sent: Arc<AtomicU64>,
    stream: Option<UnixStream>,
    /// Lines on their way, of which `written` bytes have gone.
    lines: Vec<u8>,
    written: usize,
    /// Set once the end has come.
    deadline: Option<Instant>,
    /// Tells the [`Handle`] that the thread has ended, by being dropped.
    _ended: Sender<()>,
}

impl Writer {
    fn new(socket: PathBuf) -> (Self, Queue, Handle) {
        let (events, queue) = bounded(CAPACITY);
        let bell = Arc::new(Bell::default());
        let (ended_sender, ended) = bounded(0);
        let sent = Arc::new(AtomicU64::new(0));
        let writer = Self {
            socket,
            queue,
            bell: bell.clone(),
            sent: sent.clone(),
            stream: None,
            lines: Vec::new(),
            written: 0,
            deadline: None,
            _ended: ended_sender,
        };
        let queue = Queue { events, bell: bell.clone() };
        (writer, queue, Handle { bell, ended, sent })
    }

    fn run(mut self) {
        self.bell.answer();
        while self.gather() {
            if self.stream.is_some() || self.connect() {
                self.write();
            } else if self.deadline.is_none() {
                self.forget_oldest();
                self.pause(RECONNECT);
            } else {
                return;
            }
        }
    }

    /// Waits until there are lines to send. False: the end has come, and all is sent or its time is over.
    fn gather(&mut self) -> bool {
        while self.lines.is_empty() && self.deadline.is_none() {
            match self.queue.try_recv() {
                Ok(event) => {
                    event.render(&mut self.lines);
                    self.pause(GATHER);
                }
                Err(_) if self.bell.ending() => self.end(),
                Err(_) => self.bell.sleep_unless(|| !self.queue.is_empty()),
            }
        }
        while self.written == 0 && self.lines.len() < CHUNK_BYTES {
            let Ok(event) = self.queue.try_recv() else { break };
            event.render(&mut self.lines);
        }
        let in_time = self.deadline.is_none_or(|deadline| Instant::now() < deadline);
        in_time && (self.deadline.is_none() || !self.lines.is_empty())
    }

    /// Tries to connect, and says hello.
    fn connect(&mut self) -> bool {
        let connected = UnixStream::connect(&self.socket).and_then(|mut stream| {
            stream.set_write_timeout(Some(WRITE_STEP))?;
            stream.write_all(hello().as_bytes())?;
            Ok(stream)
        });
        self.stream = connected.ok();
        self.stream.is_some()
    }

    /// Writes until the lines have gone, the connection breaks, or a step's time is over.
    fn write(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        // std sends on sockets with MSG_NOSIGNAL: a receiver that went away is no SIGPIPE for the application.
        match stream.write(&self.lines[self.written..]) {
            Ok(count) => {
                let gone = &self.lines[self.written..self.written + count];
                let whole_lines = gone.iter().filter(|byte| **byte == b'\n').count();
                self.sent.fetch_add(whole_lines as u64, Ordering::Release);
                self.written += count;
                if self.written == self.lines.len() {
                    self.lines.clear();
                    self.written = 0;
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // The receiver does not read now.
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.pause(Duration::ZERO),
            Err(_) => {
                // The next receiver gets the line that was torn.
                let last_end = self.lines[..self.written].iter().rposition(|byte| *byte == b'\n');
                self.lines.drain(..last_end.map_or(0, |end| end + 1));
                self.written = 0;
                self.stream = None;
            }
        }
    }

    /// While nobody listens: makes room for what comes.
    fn forget_oldest(&mut self) {
        if self.queue.len() > KEPT_UNSENT {
            // Their numbers are given already, which leaves a gap.
            self.lines.clear();
        }
        while self.queue.len() > KEPT_UNSENT {
            let Ok(oldest) = self.queue.try_recv() else { break };
            oldest.point.pipeline.lose_one();
        }
    }

    fn pause(&mut self, time: Duration) {
        if self.deadline.is_none() {
            self.bell.rest(time);
            if self.bell.ending() {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        // A step less than what the other side waits.
        self.deadline = Some(Instant::now() + FLUSH - 2 * WRITE_STEP);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::pipeline::Pipeline;
    use crate::point::Point;

    fn point() -> Arc<Point> {
        Arc::new(Point::new("s", Arc::new(Pipeline::new(None))))
    }

    fn offer(queue: &Queue, point: &Arc<Point>, count: u64) {
        for ts_ns in 0..count {
            queue.offer(Event { point: point.clone(), ts_ns, key_ns: None, pts_ns: None });
        }
    }

    fn seq_and_ts(line: &str) -> (u64, u64) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        (value["seq"].as_u64().unwrap(), value["ts_ns"].as_u64().unwrap())
    }

    #[test]
    fn a_full_queue_loses_the_newest_and_their_number_is_a_gap() {
        let (folder, point) = (tempfile::tempdir().unwrap(), point());
        let socket = folder.path().join("s");
        let (mut writer, queue, _handle) = Writer::new(socket);
        offer(&queue, &point, CAPACITY as u64 + 10);
        while let Ok(event) = writer.queue.try_recv() {
            event.render(&mut writer.lines);
        }
        offer(&queue, &point, 1);
        let event = writer.queue.try_recv().unwrap();
        event.render(&mut writer.lines);
        let lines = std::str::from_utf8(&writer.lines).unwrap().lines();
        let seqs: Vec<u64> = lines.map(|line| seq_and_ts(line).0).collect();
        // The loss shows with the first event that the writer takes up afterwards.
        let expected: Vec<u64> = (10..CAPACITY as u64 + 11).collect();
        assert!(seqs == expected, "{:?} .. {:?}", seqs.first(), seqs.last());
    }

    #[test]
    fn while_nobody_listens_the_latest_are_kept() {
        let (folder, point) = (tempfile::tempdir().unwrap(), point());
        let socket = folder.path().join("s");
        let (mut writer, queue, handle) = Writer::new(socket.clone());
        offer(&queue, &point, CAPACITY as u64);
        assert!(writer.gather() && !writer.connect());
        writer.forget_oldest();
        assert_eq!(writer.queue.len(), KEPT_UNSENT);

        let listener = UnixListener::bind(&socket).unwrap();
        let reader = std::thread::Builder::new().spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream).lines().skip(1);
            lines.map(|line| seq_and_ts(&line.unwrap())).collect::<Vec<_>>()
        });
        drop(queue);
        writer.run();
        let received = reader.unwrap().join().unwrap();
        let oldest = (CAPACITY - KEPT_UNSENT) as u64;
        let kept: Vec<(u64, u64)> = (oldest..CAPACITY as u64).map(|n| (n, n)).collect();
        assert!(received == kept, "{:?} .. {:?}", received.first(), received.last());
        assert_eq!(handle.finish(), KEPT_UNSENT as u64);
    }

    #[test]
    fn a_torn_line_is_sent_again_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _queue, _handle) = Writer::new(folder.path().join("s"));
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        writer.stream = Some(ours);
        writer.lines = b"first\nsecond\nthird\n".to_vec();
        writer.written = 9;
        writer.write();
        assert!(writer.stream.is_none());
        assert_eq!((writer.written, writer.lines.as_slice()), (0, b"second\nthird\n".as_slice()));
    }
}
