//! Sends stage events as fast as the socket takes them: `events_sender SOCKET COUNT`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next().ok_or("name the socket")?;
    let count: u64 = arguments.next().ok_or("say how many")?.parse()?;
    let mut stream = UnixStream::connect(socket)?;
    let began = Instant::now();
    let mut lines = String::with_capacity(1 << 20);
    for frame in 0..count {
        let stage = if frame % 2 == 0 { "ingress" } else { "encoded" };
        let _ = writeln!(lines, "{{\"stage\":\"{stage}\",\"frame\":{},\"seq\":{frame}}}", frame / 2);
        if lines.len() > (1 << 20) - 128 {
            stream.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    stream.write_all(lines.as_bytes())?;
    let seconds = began.elapsed().as_secs_f64();
    println!("sent {count} events in {seconds:.2} s: {:.2} million a second", count as f64 / seconds / 1e6);
    Ok(())
}
