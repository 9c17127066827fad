//! The few packets of MQTT 3.1.1 that a listener at quality of service 0 needs (OASIS standard, 29 October 2014).

use std::io::{Error, ErrorKind};

/// A larger packet is none of ours.
const MAX_PACKET_BYTES: usize = 256 << 10;

/// Seconds within which the broker hears from us.
const KEEP_ALIVE_S: u16 = 30;

/// PINGREQ.
pub(super) const PING: [u8; 2] = [0xC0, 0];

/// DISCONNECT.
pub(super) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// A packet of the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The answer to the connection: 0 where it is accepted.
    ConnAck(u8),
    /// The answer to the subscription: 0x80 for each topic that is refused.
    SubAck(Vec<u8>),
    Publish {
        topic: String,
        retained: bool,
        payload: Vec<u8>,
    },
    Other,
}

/// CONNECT with a session that ends with the connection.
pub(super) fn connect(client: &str, login: Option<&(String, String)>) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    let flags = if login.is_some() { 0xC2 } else { 0x02 };
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    text(&mut body, client);
    if let Some((user, password)) = login {
        text(&mut body, user);
        text(&mut body, password);
    }
    framed(0x10, &body)
}

/// SUBSCRIBE at quality of service 0.
pub(super) fn subscribe(topics: &[String]) -> Vec<u8> {
    let mut body = vec![0, 1];
    for topic in topics {
        text(&mut body, topic);
        body.push(0);
    }
    framed(0x82, &body)
}

/// The packet at the beginning of `bytes` and its size, if all of it is there.
///
/// # Errors
/// When there is none that makes sense.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Packet, usize)>, Error> {
    let Some((size, header)) = remaining(bytes)? else { return Ok(None) };
    let Some(body) = bytes.get(header..header + size) else { return Ok(None) };
    let packet = match (bytes[0] >> 4, body) {
        (2, [_, code]) => Packet::ConnAck(*code),
        (3, _) => publish(bytes[0], body)?,
        (9, [_, _, codes @ ..]) => Packet::SubAck(codes.to_vec()),
        (2 | 9, _) => return Err(nonsense("an answer of the wrong size")),
        _ => Packet::Other,
    };
    Ok(Some((packet, header + size)))
}

/// The size of what follows the header, and that of the header.
fn remaining(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let mut size = 0;
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        size |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return match size {
                0..=MAX_PACKET_BYTES => Ok(Some((size, i + 2))),
                _ => Err(nonsense("a packet that is too large")),
            };
        }
    }
    if bytes.len() > 4 { Err(nonsense("a size of more than four bytes")) } else { Ok(None) }
}

fn publish(first: u8, body: &[u8]) -> Result<Packet, Error> {
    let size = body.first_chunk().map(|size| usize::from(u16::from_be_bytes(*size)));
    let topic = size.and_then(|size| body.get(2..2 + size));
    let Some(topic) = topic.and_then(|topic| std::str::from_utf8(topic).ok()) else {
        return Err(nonsense("a message without a topic"));
    };
    // Above quality of service 0, which we have not asked for, a number follows.
    let skip = 2 + topic.len() + if first & 0x06 == 0 { 0 } else { 2 };
    let payload = body.get(skip..).unwrap_or_default().to_vec();
    Ok(Packet::Publish { topic: topic.to_owned(), retained: first & 1 == 1, payload })
}

fn text(body: &mut Vec<u8>, text: &str) {
    // Longer ones are cut: no broker knows them.
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    body.extend((bytes.len() as u16).to_be_bytes());
    body.extend(bytes);
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left & 0x7F) as u8;
        left >>= 7;
        packet.push(if left == 0 { byte } else { byte | 0x80 });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

fn nonsense(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("it sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_bytes_of_the_standard() {
        let plain = [16, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 30, 0, 2, b'b', b'l'];
        assert_eq!(connect("bl", None), plain);
        let login = ("u".to_owned(), "pw".to_owned());
        let with_login = connect("bl", Some(&login));
        assert_eq!((with_login[1], with_login[9]), (21, 0xC2));
        assert_eq!(with_login[16..], [0, 1, b'u', 0, 2, b'p', b'w']);
        assert_eq!(subscribe(&["a/+".into()]), [0x82, 8, 0, 1, 0, 3, b'a', b'/', b'+', 0]);
        let long = subscribe(&["x".repeat(200)]);
        assert_eq!(long[1..3], [0xCD, 0x01]);
    }

    #[test]
    fn packets_are_read_whole_or_not_yet() {
        let payload = "7".repeat(300);
        let mut body = Vec::new();
        text(&mut body, "benchlab/00FF/telemetry");
        body.extend(payload.as_bytes());
        let mut bytes = framed(0x31, &body);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let size = bytes.len();
        bytes.extend([0x20, 2, 0, 5, 0x90, 4, 0, 1, 0, 0x80, 0xD0, 0]);
        let (packet, used) = parse(&bytes).unwrap().unwrap();
        let topic = "benchlab/00FF/telemetry".to_owned();
        assert_eq!(packet, Packet::Publish { topic, retained: true, payload: payload.into() });
        assert_eq!(used, size);
        assert_eq!(parse(&bytes[size..]).unwrap(), Some((Packet::ConnAck(5), 4)));
        assert_eq!(parse(&bytes[size + 4..]).unwrap(), Some((Packet::SubAck(vec![0, 0x80]), 6)));
        assert_eq!(parse(&bytes[size + 10..]).unwrap(), Some((Packet::Other, 2)));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]).is_err());
        assert!(parse(&[0x30, 0xFF, 0xFF, 0x7F]).is_err());
        assert!(parse(&[0x20, 1, 0]).is_err());
        assert!(parse(&[0x30, 2, 0, 9]).is_err());
        assert!(parse(&[0x30, 3, 0, 1, 0xFF]).is_err());
    }
}
