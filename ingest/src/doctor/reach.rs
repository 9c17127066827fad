//! Sockets and services.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Finding, machine};
use crate::network::{FastApiSource, KitOptions, KitSource, MqttOptions, MqttSource};
use crate::source::{SourceError, Stop};

/// Whether `bl serve` could listen there now.
pub fn listen(subject: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::works(subject, format!("{address} is free")),
        Err(e) if e.kind() == ErrorKind::AddrInUse => Finding::limited(
            subject,
            format!("{address} is in use: by a running bl serve, or another program"),
        )
        .mended_by(format!("ss -ltnp 'sport = :{}'", address.port())),
        Err(e) => Finding::failing(subject, format!("{address}: {e}"), true)
            .mended_by("ip -br address   # which addresses this machine has; or another port"),
    }
}

/// The socket that stage events come in by.
pub fn events_socket(path: &Path) -> Finding {
    const SUBJECT: &str = "stage events";
    match UnixStream::connect(path) {
        Ok(_) => Finding::works(SUBJECT, format!("a recorder listens on {}", path.display())),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Finding::failing(SUBJECT, format!("{}: {e}", path.display()), true)
                .mended_by(format!("ls -l {}   # or bl ingest --events PATH", path.display()))
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

/// A configured LinuxSupportKit service: whether it answers, and as one.
pub fn support_kit(options: &KitOptions, stop: &Stop) -> Finding {
    let asked = KitSource::check(options, stop);
    http("support kit", &options.endpoint, asked)
}

/// A configured server of benchlab-pytools: whether it answers, and as one.
pub fn pytools(endpoint: &str, stop: &Stop) -> Finding {
    http("pytools server", endpoint, FastApiSource::check(endpoint, stop))
}

fn http(subject: &'static str, endpoint: &str, asked: Result<usize, SourceError>) -> Finding {
    match asked {
        Ok(0) => Finding::limited(subject, format!("{endpoint} answers, and has no board")),
        Ok(1) => Finding::works(subject, format!("{endpoint} has 1 board")),
        Ok(count) => Finding::works(subject, format!("{endpoint} has {count} boards")),
        Err(e) => Finding::failing(subject, e.to_string(), true).mended_by(format!(
            "curl -i {}/devices   # start the server, or correct its address",
            endpoint.trim_end_matches('/')
        )),
    }
}

/// A configured MQTT broker: whether it lets this machine in.
pub fn broker(options: &MqttOptions, stop: &Stop) -> Finding {
    const SUBJECT: &str = "MQTT broker";
    let address = &options.broker;
    match MqttSource::check(options, stop) {
        Ok(()) => Finding::works(SUBJECT, format!("{address} lets this machine in")),
        Err(e) => Finding::failing(SUBJECT, e.to_string(), true).mended_by(format!(
            "mosquitto_sub -h {} -t '#' -C 1   # start the broker, or correct its address and login",
            address.replace(':', " -p ")
        )),
    }
}
