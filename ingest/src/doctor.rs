//! What a machine has and lacks for a recording, and what mends it. Nothing is changed, and nothing is recorded.

mod boards;
mod devices;
mod machine;
mod reach;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use boards::{boards, permission};
pub use devices::{amd, chosen_cards, gstreamer, intel, nvidia, rapl, sensors};
pub use machine::{
    clock_source, clock_sync, data_root, free_space, host, power_supplies, pressure, processes,
};
pub use reach::{broker, events_socket, listen, pytools, support_kit};

/// How it stands with one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Works,
    /// This machine does not have it, and nobody asked for it.
    Absent,
    /// It works less well than it could, or a part of it does not.
    Limited,
    /// It was asked for and cannot work.
    Broken,
}

/// What was found of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, in a word or two.
    pub subject: &'static str,
    /// How it stands.
    pub state: State,
    /// One sentence.
    pub text: String,
    /// The command that mends it, where there is one.
    pub remedy: Option<String>,
}

impl Finding {
    fn works(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Works, text: text.into(), remedy: None }
    }

    fn absent(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Absent, text: text.into(), remedy: None }
    }

    fn limited(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Limited, text: text.into(), remedy: None }
    }

    /// What cannot work: broken where it was asked for, limited where it is merely there.
    fn failing(subject: &'static str, text: impl Into<String>, is_asked: bool) -> Self {
        let state = if is_asked { State::Broken } else { State::Limited };
        Self { subject, state, text: text.into(), remedy: None }
    }

    fn mended_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
