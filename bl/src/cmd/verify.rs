//! `bl verify`: whether every file is as it was written.

use std::io::{IsTerminal, Write};

use bl_store::verify::{Report, Verdict, verify_telling};
use bl_store::{SessionId, Store, repair};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::config::{Config, Sources};
use crate::terminal::grouped;

/// Arguments of `bl verify`.
///
/// Reads every file and compares it with the checksum taken while it was written. The exit code is 0 if all is whole, 1 if
/// something is damaged or gone, 3 if nothing is known to be damaged, but not of every file can be told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session; without it, all are verified.
    session: Option<String>,
    /// Mend what can be mended: seal what dead recorders left, make indexes anew, make up session.json from the rows. Damaged
    /// files are kept beside, as *.damaged.
    #[arg(long)]
    repair: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `bl verify`; returns its exit code.
///
/// # Errors
/// When the store cannot be listed.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<u8> {
    let store = Store::new(Config::load(sources)?.general.data_root);
    let ids = match &args.session {
        Some(name) => vec![name.parse::<SessionId>()?],
        None => store.session_ids()?,
    };
    if args.session.is_some() && !store.dir(&ids[0]).path().is_dir() {
        // The sentence that tells which sessions there are.
        store.session(&ids[0])?;
    }
    let progress = progress();
    let checked = ids.iter().map(|id| Checked::of(&store, id, args.repair, &progress));
    let checked: Vec<Checked> = checked.collect();
    progress.finish_and_clear();
    let mut out = std::io::stdout().lock();
    match args.json {
        true => {
            let all: Vec<Value> = checked.iter().map(Checked::document).collect();
            serde_json::to_writer_pretty(&mut out, &all)?;
            writeln!(out)?;
        }
        false => checked.iter().try_for_each(|session| session.show(&mut out))?,
    }
    Ok(match checked.iter().map(|session| session.verdict()).max() {
        None | Some(Verdict::Whole) => 0,
        Some(Verdict::Damaged) => 1,
        Some(Verdict::CannotTell) => 3,
    })
}

/// What became of one session.
struct Checked {
    id: SessionId,
    report: Report,
    mended: Vec<String>,
    /// What could not be read or not be mended.
    failed: Vec<String>,
}

impl Checked {
    fn of(store: &Store, id: &SessionId, repairs: bool, progress: &ProgressBar) -> Self {
        progress.set_message(id.to_string());
        let dir = store.dir(id);
        let mut checked =
            Self { id: id.clone(), report: Report::default(), mended: vec![], failed: vec![] };
        let report = match repairs {
            true => repair(&dir).map(|done| {
                checked.mended = done.mended.iter().map(ToString::to_string).collect();
                checked.failed = done.failed.iter().map(ToString::to_string).collect();
                done.report
            }),
            false => verify_telling(&dir, |bytes| progress.inc(bytes)),
        };
        match report {
            Ok(report) => checked.report = report,
            Err(e) => checked.failed.push(e.to_string()),
        }
        checked
    }

    /// What cannot be read, nothing can be told of.
    fn verdict(&self) -> Verdict {
        match self.failed.is_empty() {
            true => self.report.verdict(),
            false => self.report.verdict().max(Verdict::CannotTell),
        }
    }

    fn show(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Report { files, bytes, segments, findings } = &self.report;
        let size = grouped(bytes / (1 << 20));
        let (files, segments) = (grouped(*files), grouped(*segments));
        let verdict = self.verdict();
        writeln!(out, "{}: {verdict}: {files} files, {size} MiB, {segments} segments", self.id)?;
        for line in &self.mended {
            writeln!(out, "  mended: {line}")?;
        }
        for line in findings {
            writeln!(out, "  {line}")?;
        }
        for line in &self.failed {
            writeln!(out, "  failed: {line}")?;
        }
        Ok(())
    }

    fn document(&self) -> Value {
        let findings = self.report.findings.iter().map(|f| {
            json!({ "path": f.path.display().to_string(), "kind": f.kind.to_string(), "what": f.what })
        });
        json!({
            "session": self.id.as_str(),
            "verdict": self.verdict().to_string(),
            "files": self.report.files,
            "bytes": self.report.bytes,
            "segments": self.report.segments,
            "findings": findings.collect::<Vec<_>>(),
            "mended": self.mended,
            "failed": self.failed,
        })
    }
}

/// Bytes read so far, on a terminal.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}: {bytes} read, {bytes_per_sec}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}
