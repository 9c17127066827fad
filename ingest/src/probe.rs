//! `bl probe`: runs a command with the GStreamer tracer in its environment, and says why nothing came.
//!
//! GStreamer is never linked: everything goes by environment variables, and by what the tracer reports in a
//! file when its process ends (see `ingest/gst`).

mod child;
mod environment;
mod plugin;
mod remarks;
mod report;
mod stage;

use std::ffi::OsString;
use std::path::PathBuf;

pub use plugin::{PLUGIN_FILE, find_plugin};
pub use report::{Report, StageReport};
pub use stage::{Stage, StageError};

/// A command to run with the tracer.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The pads to watch; none: what the tracer chooses, the ends of pipelines.
    pub stages: Vec<Stage>,
    /// The events socket.
    pub socket: PathBuf,
    /// The folder with the tracer, see [`find_plugin`].
    pub plugin_folder: PathBuf,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; 128 + the signal's number if a signal ended it.
    pub exit_code: i32,
    /// What the tracer reported, one for each process in which it worked.
    pub reports: Vec<Report>,
}

/// Why a command could not be run with the tracer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is nothing to run.
    #[error("no command is given; write it after --, or a launch line after --pipeline")]
    NoCommand,
    /// The library is nowhere.
    #[error(
        "the GStreamer tracer {PLUGIN_FILE} is not there (looked in {}); `make gst-plugin` in the sources of bl \
         builds it; where it is elsewhere, set BL_GST_PLUGIN_DIR to its folder",
        list(.0)
    )]
    NoPlugin(Vec<PathBuf>),
    /// GStreamer's parser of `GST_TRACERS` has no escape for some characters.
    #[error(
        "{what} {value:?} cannot be handed to GStreamer: it contains {character:?}; choose another"
    )]
    Unspeakable {
        /// What it is.
        what: &'static str,
        /// Its text.
        value: String,
        /// The character in the way.
        character: char,
    },
    /// A folder for the reports cannot be made.
    #[error("a temporary folder cannot be made: {0}; is TMPDIR writable?")]
    Scratch(std::io::Error),
    /// The command cannot be started.
    #[error("{program} cannot be started: {cause}{}", hint(program))]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Signals cannot be caught, or the command's end cannot be waited for.
    #[error("the command cannot be watched: {0}")]
    Watch(std::io::Error),
}

fn list(folders: &[PathBuf]) -> String {
    let names: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    names.join(", ")
}

fn hint(program: &str) -> &'static str {
    match program.starts_with("gst-launch") {
        true => " (Debian and Ubuntu: apt install gstreamer1.0-tools)",
        false => "",
    }
}

impl Probe {
    /// Runs the command to its end, with this process' standard streams. What ends this process by a signal
    /// (SIGINT, SIGTERM, SIGHUP, SIGQUIT) is passed on instead, unless the terminal has sent it to both: then the command
    /// decides. Afterwards these signals do nothing to this process, which is expected to end soon.
    ///
    /// # Errors
    /// When the command cannot be started. That it fails is no error: see [`Outcome::exit_code`].
    pub fn run(&self) -> Result<Outcome, ProbeError> {
        let scratch =
            tempfile::Builder::new().prefix("bl-probe-").tempdir().map_err(ProbeError::Scratch)?;
        let variables =
            environment::variables(self, scratch.path(), |name| std::env::var_os(name))?;
        let exit_code = child::run(&self.command, variables)?;
        Ok(Outcome { exit_code, reports: report::read_all(scratch.path()) })
    }
}

/// The command that runs a launch line, in the syntax of gst-launch-1.0. An interrupt ends its streams in good
/// order, so that files are whole.
pub fn launch_line(line: &str) -> Vec<OsString> {
    // gst-launch joins its arguments with spaces again, so quotes need no care.
    let fixed = ["gst-launch-1.0", "-q", "-e"].into_iter();
    fixed.chain(line.split_whitespace()).map(OsString::from).collect()
}
