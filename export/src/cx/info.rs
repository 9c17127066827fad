//! What a JSON record tells about itself and the machine.

use bl_query::Query;
use bl_store::{Import, Manifest};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::capture::Capture;
use super::{Application, CxError, Metric, Report, Request, Source, rows};

/// The version whose form the record has. CapFrameX wants one of its own here.
const APP_VERSION: &str = "1.8.4.6";

/// Field by field as CapFrameX has them; what is not known is empty.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    app_version: &'static str,
    id: String,
    processor: String,
    game_name: String,
    process_name: String,
    creation_date: String,
    motherboard: String,
    #[serde(rename = "OS")]
    os: String,
    system_ram: String,
    base_driver_version: String,
    #[serde(rename = "GPUDriverVersion")]
    gpu_driver_version: String,
    driver_package: String,
    #[serde(rename = "GPU")]
    gpu: String,
    #[serde(rename = "GPUCount")]
    gpu_count: String,
    gpu_core_clock: String,
    gpu_memory_clock: String,
    comment: String,
    api_info: String,
    resizable_bar: String,
    win_game_mode: String,
    #[serde(rename = "HAGS")]
    hags: String,
    presentation_mode: String,
    resolution_info: String,
}

impl Info {
    pub async fn read(
        query: &Query,
        manifest: &Manifest,
        request: &Request,
        application: &Application,
        capture: &Capture,
        report: &Report,
    ) -> Result<Self, CxError> {
        let host = &manifest.host;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let cards = rows::names(
            query,
            "SELECT DISTINCT name FROM gpu WHERE name IS NOT NULL ORDER BY name",
        )
        .await?;
        let board = [&host["board"]["vendor"], &host["board"]["name"]].map(word).join(" ");
        let gibibytes = |bytes: f64| format!("{:.0} GB", bytes / f64::from(1 << 30));
        let mut info = Self {
            app_version: APP_VERSION,
            id: guid(identity(&(manifest.id.as_str(), "id"), request, capture)),
            processor: word(&host["cpu"]["model"]),
            game_name: application.to_string(),
            process_name: application.to_string(),
            creation_date: creation_date(capture.end_ns()),
            motherboard: board.trim().into(),
            os: word(&host["os"]),
            system_ram: host["memory_bytes"].as_f64().map(gibibytes).unwrap_or_default(),
            gpu: cards.first().cloned().flatten().unwrap_or_default(),
            gpu_count: if cards.is_empty() { String::new() } else { cards.len().to_string() },
            comment: comment(manifest, request, report),
            ..Self::default()
        };
        if let Some(told) = told_by_log(manifest, request) {
            info.take(told, request.application.is_some());
        }
        Ok(info)
    }

    /// Takes what an imported log tells about the machine and the game: it may be of another machine than the session's.
    /// `is_named` says that the application's name was chosen.
    fn take(&mut self, told: &Map<String, Value>, is_named: bool) {
        let names = |names: &[&str]| {
            names.iter().find_map(|name| told.get(*name)?.as_str()).map(str::to_string)
        };
        // Names of CapFrameX, and of OCAT where they differ.
        let fields: [(&mut String, &[&str]); 17] = [
            (&mut self.processor, &["Processor"]),
            (&mut self.motherboard, &["Motherboard"]),
            (&mut self.os, &["OS"]),
            (&mut self.system_ram, &["SystemRam", "System RAM"]),
            (&mut self.base_driver_version, &["BaseDriverVersion", "Base Driver Version"]),
            (&mut self.gpu_driver_version, &["GPUDriverVersion"]),
            (&mut self.driver_package, &["DriverPackage", "Driver Package"]),
            (&mut self.gpu, &["GPU"]),
            (&mut self.gpu_count, &["GPUCount", "GPU #"]),
            (&mut self.gpu_core_clock, &["GpuCoreClock", "GPU Core Clock (MHz)"]),
            (&mut self.gpu_memory_clock, &["GpuMemoryClock", "GPU Memory Clock (MHz)"]),
            (&mut self.api_info, &["ApiInfo"]),
            (&mut self.resizable_bar, &["ResizableBar"]),
            (&mut self.win_game_mode, &["WinGameMode"]),
            (&mut self.hags, &["HAGS"]),
            (&mut self.presentation_mode, &["PresentationMode"]),
            (&mut self.resolution_info, &["ResolutionInfo"]),
        ];
        for (field, called) in fields {
            if let Some(text) = names(called) {
                *field = text;
            }
        }
        if let (Some(game), false) = (names(&["GameName"]), is_named) {
            self.game_name = game;
        }
        if let Some(comment) = names(&["Comment"]) {
            self.comment = comment;
        }
    }
}

/// What the log that is exported tells beside its frames, where it was imported.
fn told_by_log<'a>(manifest: &'a Manifest, request: &Request) -> Option<&'a Map<String, Value>> {
    let Source::Log(log) = &request.source else { return None };
    let is_it = |import: &&Import| {
        import.first_frame.is_some() && log.as_ref().is_none_or(|log| *log == import.file)
    };
    manifest.imports.iter().rfind(is_it).map(|import| &import.info)
}

/// What the numbers mean, where they came from, and what is missing.
fn comment(manifest: &Manifest, request: &Request, report: &Report) -> String {
    let what = match &request.source {
        Source::Log(_) => "frame log".to_string(),
        Source::Stages(pair) => match pair.metric {
            Metric::Latency => {
                format!("latency from {} to {} as frame time", pair.stage_a, pair.stage_b)
            }
            Metric::Interval => format!("time between frames at {}", pair.stage_a),
        },
    };
    let simulated = if manifest.simulated { "simulated sources; " } else { "" };
    let mut text = format!("{simulated}{what}; bl session {}", manifest.id);
    for note in &report.notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

/// When CapFrameX would have saved the record, which is after its last frame: to the millisecond.
fn creation_date(utc_ns: i64) -> String {
    let instant = Timestamp::from_millisecond(utc_ns.div_euclid(1_000_000));
    instant.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A number that tells this content from any other: the same export has the same one, so that CapFrameX shows it
/// once.
pub(super) fn identity(salt: &impl std::fmt::Debug, request: &Request, capture: &Capture) -> u128 {
    // FNV-1a (Fowler, Noll, Vo) in 128 bits: its prime and offset basis.
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u128::from(*byte)).wrapping_mul((1 << 88) + 0x13b);
        }
    };
    add(format!("{salt:?} {request:?}").as_bytes());
    for frame in &capture.frames {
        add(&frame.ts_ns.to_le_bytes());
        add(&frame.frame_ns.to_le_bytes());
        add(&[u8::from(frame.dropped)]);
    }
    for (_, watts) in &capture.power {
        watts.iter().for_each(|watts| add(&watts.to_le_bytes()));
    }
    hash
}

/// As a GUID of the kind whose bits have no meaning (RFC 9562, version 8).
fn guid(number: u128) -> String {
    let number = number & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let digits = format!("{number:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_its_form() {
        assert_eq!(guid(0), "00000000-0000-8000-8000-000000000000");
        assert_eq!(guid(u128::MAX), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}
