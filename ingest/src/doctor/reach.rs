//! Sockets and services.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Finding, machine};

const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `bl serve` could listen there now.
pub fn listen(subject: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::works(subject, format!("{address} is free")),
        Err(e) if e.kind() == ErrorKind::AddrInUse => Finding::limited(
            subject,
            format!("{address} is in use: by a running bl serve, or another program"),
        )
        .mended_by(format!("ss -ltnp 'sport = :{}'", address.port())),
        Err(e) => Finding::failing(subject, format!("{address}: {e}"), true),
    }
}

/// The socket that stage events come in by.
pub fn events_socket(path: &Path) -> Finding {
    const SUBJECT: &str = "stage events";
    match UnixStream::connect(path) {
        Ok(_) => Finding::works(SUBJECT, format!("a recorder listens on {}", path.display())),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Finding::failing(SUBJECT, format!("{}: {e}", path.display()), true)
        }
        Err(_) => {
            let folder = path.parent().unwrap_or(Path::new("."));
            let finding = machine::data_root(folder);
            let text = format!("{} will be made by bl ingest", path.display());
            match finding.state {
                super::State::Works => Finding::works(SUBJECT, text),
                _ => Finding {
                    subject: SUBJECT,
                    remedy: Some("bl ingest --events PATH".into()),
                    ..finding
                },
            }
        }
    }
}

/// A configured service, as `host:port`.
pub fn service(subject: &'static str, address: &str) -> Finding {
    let reached = address.to_socket_addrs().and_then(|mut addresses| {
        let first = addresses.next().ok_or(ErrorKind::AddrNotAvailable)?;
        TcpStream::connect_timeout(&first, PATIENCE)
    });
    match reached {
        Ok(_) => Finding::works(subject, format!("{address} answers")),
        Err(e) => Finding::failing(subject, format!("{address}: {e}"), true),
    }
}
