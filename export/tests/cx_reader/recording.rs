//! Sessions with known rows.

use bl_store::clock::Anchor;
use bl_store::{Rows, Session, SessionSpec, SessionWriter, Store, WriteOptions};

/// 2025-11-11T14:30:00Z.
pub const START_NS: i64 = 1_762_871_400_000_000_000;

pub const MS: i64 = 1_000_000;

/// A store of one session in a folder of its own.
pub struct Recording {
    _folder: tempfile::TempDir,
    pub store: Store,
    writer: Option<SessionWriter>,
}

/// One stage event; the frame number may be missing.
pub struct Event<'a> {
    pub at_ns: i64,
    pub stage: &'a str,
    pub frame: Option<i64>,
    pub pipeline: Option<&'a str>,
}

/// One sample of a board: instant, watts of processor and card.
pub type Sample = (i64, Option<f64>, Option<f64>);

impl Recording {
    pub fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let anchor = Anchor { utc_minus_monotonic_ns: START_NS, err_ns: 0 };
        let host = serde_json::json!({
            "os": "Debian GNU/Linux 13", "cpu": { "model": "Test CPU 9000" }, "memory_bytes": 34_359_738_368_u64,
            "board": { "vendor": "Acme", "name": "X1" },
        });
        let spec = SessionSpec {
            id: Some("run".parse().unwrap()),
            node: "host".into(),
            host,
            estimated_anchor: Some(anchor),
            ..Default::default()
        };
        let writer = SessionWriter::begin(&store, spec, WriteOptions::default()).unwrap();
        Self { _folder: folder, store, writer: Some(writer) }
    }

    fn append(&self, rows: &mut Rows) {
        self.writer.as_ref().unwrap().append(rows.table(), rows.finish()).unwrap();
    }

    pub fn events(&self, events: &[Event<'_>]) {
        let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
        let columns = ["stage", "frame", "pipeline"].map(|name| rows.column(name));
        for event in events {
            rows.begin(START_NS + event.at_ns, "test");
            rows.str(columns[0], event.stage);
            rows.i64(columns[1], event.frame);
            rows.str(columns[2], event.pipeline);
        }
        self.append(&mut rows);
    }

    /// `count` frames, 16 ms apart from 1 s on, with a latency of 5 ms and 1 us a frame; those that `drops`
    /// lists never arrive.
    pub fn frames(&self, count: i64, drops: &[i64]) {
        let mut events = Vec::new();
        for frame in 0..count {
            let at_ns = 1000 * MS + frame * 16 * MS;
            let event = |at_ns, stage| Event { at_ns, stage, frame: Some(frame), pipeline: None };
            events.push(event(at_ns, "ingress"));
            if !drops.contains(&frame) {
                events.push(event(at_ns + 5 * MS + frame * 1000, "encoded"));
            }
        }
        events.sort_by_key(|event| event.at_ns);
        self.events(&events);
    }

    pub fn board(&self, uid: &str, samples: impl IntoIterator<Item = Sample>) {
        let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
        let names = ["device_uid", "sys_w", "cpu_w", "gpu_w", "eps1_w", "ambient_c"];
        let columns = names.map(|name| rows.column(name));
        for (at_ns, cpu_w, gpu_w) in samples {
            rows.begin(START_NS + at_ns, "benchlab");
            rows.str(columns[0], uid);
            let milli = |watts: Option<f64>| watts.map(|watts| (watts * 1e3).round() as i32);
            let sum = cpu_w.zip(gpu_w).map(|(cpu, gpu)| cpu + gpu + 20.0);
            rows.decimal(columns[1], milli(sum));
            rows.decimal(columns[2], milli(cpu_w));
            rows.decimal(columns[3], milli(gpu_w));
            rows.decimal(columns[4], milli(cpu_w));
            rows.decimal(columns[5], 215);
        }
        self.append(&mut rows);
    }

    /// A frame log: frame time, display time, dropped.
    pub fn log(&self, name: &str, frames: &[(Option<f64>, Option<f64>, Option<bool>)]) {
        let mut rows = Rows::new(bl_schemas::table("frames").unwrap());
        let names = ["application", "log", "frame", "frametime_ms", "display_ms", "dropped"];
        let columns = names.map(|name| rows.column(name));
        let mut at_ms = 0.0;
        for (frame, (frametime_ms, display_ms, dropped)) in frames.iter().enumerate() {
            at_ms += frametime_ms.unwrap_or(0.0);
            rows.begin(START_NS + (at_ms * 1e6) as i64, "test");
            rows.str(columns[0], "Some Game");
            rows.str(columns[1], name);
            rows.i64(columns[2], frame as i64);
            rows.f64(columns[3], *frametime_ms);
            rows.f64(columns[4], *display_ms);
            rows.bool(columns[5], *dropped);
        }
        self.append(&mut rows);
    }

    /// Ends the session at an instant; by itself it ends long after its rows.
    pub fn end_at(&mut self, at_ns: i64) -> Session {
        let ended_ns = Some(START_NS + at_ns);
        self.writer.as_ref().unwrap().update(|manifest| manifest.ended_ns = ended_ns).unwrap();
        self.end()
    }

    /// Ends the session.
    pub fn end(&mut self) -> Session {
        self.writer.take().unwrap().finish().unwrap();
        self.store.session(&"run".parse().unwrap()).unwrap()
    }
}
