//! A board behind the service.

use serde_json::{Value, json};

use super::{KitOptions, refusal};
use crate::network::http::Client;
use crate::serial::protocol::Uid;
use crate::source::SourceError;

/// A board, as far as the service tells about it.
#[derive(Debug)]
pub(super) struct KitDevice {
    /// The service's name for it, such as `/dev/ttyACM0`.
    pub name: String,
    /// Its identity, or its name where the service tells none.
    pub uid: String,
    pub firmware: Option<i64>,
    info: Value,
}

impl KitDevice {
    /// Finds the board of that name, or the first one.
    ///
    /// # Errors
    /// When there is none, or the service refuses.
    pub fn find(
        client: &Client,
        options: &KitOptions,
        name: Option<&str>,
    ) -> Result<Self, SourceError> {
        let ask = |name: String| Self::ask(client, options, name);
        if let Some(name) = name {
            return ask(name.to_owned());
        }
        let listed = list(client)?;
        // Firmware with the short welcome is never recognised by the service, so the others are asked who they are.
        let (boards, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|l| l.is_benchlab);
        if let Some(board) = boards.into_iter().next() {
            return ask(board.name);
        }
        for other in others {
            let device = ask(other.name)?;
            if device.is_board() {
                return Ok(device);
            }
        }
        Err(SourceError::Retry(format!("{} has no BENCHLAB board", client.base())))
    }

    fn ask(client: &Client, options: &KitOptions, name: String) -> Result<Self, SourceError> {
        let mut device = Self { uid: name.clone(), name, firmware: None, info: Value::Null };
        // Names with slashes can only be streamed.
        let Some(segment) = device.segment() else { return Ok(device) };
        let timeout_ms = options.device_timeout.as_millis();
        let info = format!("/devices/{segment}/info?timeout={timeout_ms}");
        // Newer firmware greets who opens its port; once, that may be in the place of the answer.
        for _ in 0..2 {
            let answer = client.get(&info)?;
            match answer.status {
                401 => return Err(refusal(client, &info, &answer)),
                200 if answer.body["vendorId"] != "0x42" => {
                    device.firmware = answer.body["firmwareVersion"].as_i64();
                    device.info = answer.body;
                    break;
                }
                _ => {}
            }
        }
        let uid = client.get(&format!("/devices/{segment}/uid"))?;
        let uid = uid.body["uid"].as_str().and_then(|uid| uid.parse::<Uid>().ok());
        if let Some(uid) = uid {
            device.uid = uid.to_string();
        }
        Ok(device)
    }

    /// A board that was not asked.
    #[cfg(test)]
    pub fn known(name: &str, firmware: Option<i64>) -> Self {
        Self { name: name.into(), uid: name.into(), firmware, info: Value::Null }
    }

    /// Whether it says that it is one of the vendor's.
    pub fn is_board(&self) -> bool {
        self.info["vendorId"] == "0xEE"
    }

    /// The name as one segment of a path, if it is one.
    pub fn segment(&self) -> Option<String> {
        let segment = self.name.strip_prefix("/dev/").unwrap_or(&self.name);
        (!segment.contains('/')).then(|| percent(segment))
    }

    /// The name in a query.
    pub fn query(&self) -> String {
        percent(&self.name)
    }

    /// A number that the service writes as `0xEE`.
    fn byte(&self, key: &str) -> Option<u8> {
        u8::from_str_radix(self.info[key].as_str()?.strip_prefix("0x")?, 16).ok()
    }

    /// What `session.json` says about it.
    pub fn describe(&self, base: &str) -> Value {
        json!({
            "id": self.uid,
            "kind": "benchlab",
            "model": match self.info["productId"].as_str() {
                Some("0x10") => Value::from("BENCHLAB ORIGINAL"),
                Some("0x11") => Value::from("BENCHLAB 2"),
                _ => Value::Null,
            },
            "firmware": self.firmware,
            "vendor_id": self.byte("vendorId"),
            "product_id": self.byte("productId"),
            "name": self.info["name"],
            "path": self.name,
            "server": base,
            "simulated": false,
        })
    }
}

/// An entry of `/devices`.
#[derive(Debug)]
pub(super) struct Listed {
    pub name: String,
    pub is_benchlab: bool,
}

/// The devices of the service. It lists a board by its node and by its link: where there are nodes, links are left out.
///
/// # Errors
/// When it refuses.
pub(super) fn list(client: &Client) -> Result<Vec<Listed>, SourceError> {
    let answer = client.get("/devices")?;
    let Some(entries) = answer.body.as_array().filter(|_| answer.status == 200) else {
        return Err(refusal(client, "/devices", &answer));
    };
    let mut listed: Vec<Listed> = entries
        .iter()
        .filter_map(|entry| {
            let name = ["device", "Device"].iter().find_map(|key| entry[key].as_str())?;
            let is_benchlab =
                ["isBenchlab", "IsBenchlab"].iter().any(|key| entry[key] == Value::Bool(true));
            Some(Listed { name: name.to_owned(), is_benchlab })
        })
        .collect();
    let is_link = |device: &Listed| device.name.contains("/by-id/");
    if listed.iter().any(|device| !is_link(device)) {
        listed.retain(|device| !is_link(device));
    }
    Ok(listed)
}

/// Percent-encodes what has a meaning in an address.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
