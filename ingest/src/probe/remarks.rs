//! What to say after a run: most of all, why no event came.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Outcome, PLUGIN_FILE, Probe};

impl Outcome {
    /// What the user should know, a line each; nothing if all is well. `received` is the number of events that
    /// came over the socket. Asks gst-inspect-1.0 where nothing else tells why none came.
    pub fn remarks(&self, probe: &Probe, received: u64) -> Vec<String> {
        let mut remarks: Vec<String> =
            self.reports.iter().flat_map(|report| report.remarks(probe)).collect();
        if received == 0 && remarks.is_empty() {
            remarks.push(match self.reports.is_empty() {
                true => why_no_tracer(probe),
                false => format!(
                    "the tracer worked and no event arrived: does something listen on {}?",
                    probe.socket.display()
                ),
            });
        }
        remarks
    }
}

impl super::Report {
    fn remarks(&self, probe: &Probe) -> Vec<String> {
        if !self.ended {
            return vec![
                "a process with the tracer was killed or still runs: its last events may be missing"
                    .to_owned(),
            ];
        }
        if self.pads.is_empty() {
            return vec![
                "a process started GStreamer, but no buffer went through any pad".to_owned(),
            ];
        }
        let seen = self.pads.join(", ");
        let named = self.stages.iter().filter_map(|s| Some((s.pad.as_deref()?, s)));
        let mut remarks: Vec<String> = named
            .filter(|(_, stage)| stage.events == 0)
            .map(|(pad, stage)| {
                let why = match self.pads.iter().any(|name| name == pad) {
                    true => "what passed there has no time, only bytes".to_owned(),
                    false => format!(
                        "there is no such pad, or nothing reached it; pads that buffers went through: {seen}"
                    ),
                };
                format!("no frame passed stage {} ({pad}): {why}", stage.stage)
            })
            .collect();
        if self.events == 0 && remarks.is_empty() {
            remarks.push(format!(
                "no source or sink had frames with a time; name the pads with --stages, out of: {seen}"
            ));
        }
        if self.sent < self.events {
            remarks.push(format!(
                "{} of {} stage events could not be sent to {}",
                self.events - self.sent,
                self.events,
                probe.socket.display()
            ));
        }
        remarks
    }
}

/// Why the tracer worked in no process. GStreamer itself passes over a tracer that it does not know.
fn why_no_tracer(probe: &Probe) -> String {
    let library = probe.plugin_folder.join(PLUGIN_FILE);
    let shown = library.display();
    if !library.is_file() {
        return format!("the tracer {shown} is not there (any more)");
    }
    let Some(loaded) = gst_inspect(probe, Path::new("bl")) else {
        return "GStreamer's tools are not installed, so GStreamer perhaps is not either (Debian and Ubuntu: \
                apt install gstreamer1.0-tools); without it the command has no stages to report"
            .to_owned();
    };
    if loaded.is_ok() {
        return "no process of the command has started GStreamer with the tracer: it does not use GStreamer, or the \
                variables GST_PLUGIN_PATH and GST_TRACERS do not reach it (sudo, setuid, a container, a \
                service that is only asked to play)"
            .to_owned();
    }
    match gst_inspect(probe, &library) {
        Some(Err(problem)) => format!("GStreamer cannot load {shown}: {problem}"),
        // It is remembered as broken, or not looked for.
        _ => format!(
            "GStreamer can load {shown}, but does not list it: its registry is out of date; remove \
             ~/.cache/gstreamer-1.0/registry.*.bin, and unset GST_REGISTRY_UPDATE if it is set"
        ),
    }
}

/// Asks gst-inspect-1.0 about a plugin. None: it is not installed. Err: what it says on stderr.
fn gst_inspect(probe: &Probe, plugin: &Path) -> Option<Result<(), String>> {
    let output = Command::new("gst-inspect-1.0")
        .arg(plugin)
        .env("GST_PLUGIN_PATH", &probe.plugin_folder)
        .env_remove("GST_TRACERS")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    Some(match output.status.success() {
        true => Ok(()),
        false => Err(said.split_whitespace().collect::<Vec<_>>().join(" ")),
    })
}
