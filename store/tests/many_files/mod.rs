//! A session of very many sealed files, whose footers nobody can read.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;

use bl_store::{Session, SessionWriter, Store, WriteOptions};

pub const HOUR_NS: i64 = 3_600_000_000_000;
/// 2026-10-25 00:00 UTC.
pub const START_NS: i64 = 1_792_886_400_000_000_000;
/// What a segment covers by default.
pub const SPAN_NS: i64 = 300_000_000_000;

/// A session with so many files of table `pipeline`, each of `span_ns`, with indexes as `docs/format.md` draws them.
pub fn many(root: &Path, files: u64, span_ns: i64) -> Session {
    let store = Store::new(root);
    let spec = bl_store::SessionSpec { id: Some("run".parse().unwrap()), ..Default::default() };
    SessionWriter::begin(&store, spec, WriteOptions::default()).unwrap().finish().unwrap();
    let raw = root.join("sessions/run/raw/pipeline");
    let mut days: BTreeMap<String, String> = BTreeMap::new();
    for seq in 1..=files {
        let from = START_NS + (seq as i64 - 1) * span_ns;
        let time = jiff::Timestamp::from_nanosecond(from.into()).unwrap();
        let date = time.strftime("date=%Y-%m-%d").to_string();
        let file = time.strftime(&format!("hour=%H/{seq:06}.parquet")).to_string();
        let path = raw.join(&date).join(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, [0; 512]).unwrap();
        let to = from + span_ns.min(HOUR_NS) - 1;
        let line = format!(
            "{{\"file\":\"{file}\",\"rows\":3000,\"bytes\":512,\"min_ts\":{from},\"max_ts\":{to},\
             \"crc32\":\"0a1b2c3d\",\"format\":1}}\n"
        );
        days.entry(date).or_default().push_str(&line);
    }
    for (date, lines) in days {
        let crc = crc32fast::hash(format!("1{lines}").as_bytes());
        let index = format!("bl-index 1 {crc:08x}\n{lines}");
        std::fs::write(raw.join(date).join("_index"), index).unwrap();
    }
    store.session(&"run".parse().unwrap()).unwrap()
}
