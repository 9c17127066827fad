//! What changes when a running process reads its configuration again.

use std::fmt;

use super::{Config, ConfigError, Effect, KEYS, Sources};

/// A key whose value is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `section.name`.
    pub key: &'static str,
    /// The value before, as JSON; `***` for a secret.
    pub from: String,
    /// The value now.
    pub to: String,
    /// When the new value takes effect.
    pub effect: Effect,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to, effect } = self;
        match effect {
            Effect::Reload => write!(f, "{key}: {from} -> {to}"),
            Effect::Start => write!(f, "{key}: {from} -> {to} at the next start"),
            Effect::Nothing(why) => write!(f, "{key}: {from} -> {to}, without effect: {why}"),
        }
    }
}

impl Config {
    /// Reads everything again, for SIGHUP: the new configuration, and what differs. The caller goes on with
    /// this one where it fails, and applies those changes whose effect is [`Effect::Reload`].
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn reload(&self, sources: &Sources<'_>) -> Result<(Self, Vec<Change>), ConfigError> {
        let new = Self::load(sources)?;
        let changes = KEYS
            .iter()
            .filter(|key| (key.differs)(self, &new))
            .map(|key| Change {
                key: key.path,
                from: (key.show)(self).to_string(),
                to: (key.show)(&new).to_string(),
                effect: key.effect,
            })
            .collect();
        Ok((new, changes))
    }
}
