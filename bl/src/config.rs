//! The configuration: flags over environment over one TOML file over defaults.
//!
//! It is read in one place and passed down as a value. `config/keys.rs` is the list of all keys, from
//! which reading, checking, `bl config` and `docs/configuration.md` are made.

mod directories;
mod file;
mod flow;
mod form;
mod key;
mod keys;
mod nearest;
mod problem;
mod reload;
mod secret;
mod session_name;
mod stages;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use directories::Surroundings;
pub use form::bytes;
pub use key::{Effect, Key};
pub use keys::*;
pub use problem::{ConfigError, Origin, Problem};
pub use secret::Secret;

use form::{Raw, Wrong};
use nearest::did_you_mean;

/// The file that is read where nothing names another; it may be absent.
pub const SYSTEM_FILE: &str = "/etc/benchlab/config.toml";

/// A complete configuration with every default and what it means, as `bl config default` prints it.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

/// The variable that names a file instead of [`SYSTEM_FILE`].
const FILE_VARIABLE: &str = "BENCHLAB_CONFIG";

/// Looks an environment variable up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the configuration is made from. It is kept for [`Config::reload`].
pub struct Sources<'a> {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The file that is read where neither `--config` nor `BENCHLAB_CONFIG` names one.
    pub system_file: PathBuf,
    /// The environment.
    pub env: Env<'a>,
    /// Values from the command line.
    pub flags: Overrides,
}

impl Sources<'static> {
    /// Those of this process.
    pub fn of_process(file: Option<PathBuf>, flags: Overrides) -> Self {
        Self { file, system_file: SYSTEM_FILE.into(), env: &|name| std::env::var_os(name), flags }
    }
}

/// Values from the command line, by key.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Vec<(&'static str, &'static str, String)>);

impl Overrides {
    /// `flag` (as it is typed, such as `--hz`) sets `key` (such as `general.sample_hz`) to `value`, if given.
    pub fn set(&mut self, flag: &'static str, key: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.push((flag, key, value.to_string()));
        }
    }

    /// As [`set`](Self::set), for a flag that may be repeated.
    pub fn set_all(&mut self, flag: &'static str, key: &'static str, values: &[String]) {
        self.set(flag, key, (!values.is_empty()).then(|| values.join(",")));
    }
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with all problems of all sources at once.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut problems = config.read_file(sources);
        problems.extend(config.read_env(sources.env));
        problems.extend(config.read_flags(&sources.flags));
        problems.extend(secret::read_files(&mut config, sources.env));
        problems.extend(config.fill(&Surroundings::of_process(sources.env)));
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where the value of a key (`section.name`) came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// The keys that something sets although they do nothing yet, with the reason.
    pub fn without_effect(&self) -> impl Iterator<Item = (&'static Key, &'static str)> {
        KEYS.iter().filter(|key| self.origins.contains_key(key.path)).filter_map(|key| {
            match key.effect {
                Effect::Nothing(why) => Some((key, why)),
                _ => None,
            }
        })
    }

    fn read_file(&mut self, sources: &Sources<'_>) -> Vec<Problem> {
        let by_env = || (sources.env)(FILE_VARIABLE).filter(|name| !name.is_empty());
        let (path, named_by) = match (&sources.file, by_env()) {
            (Some(path), _) => (path.clone(), Some(Origin::Flag { name: "--config" })),
            (None, Some(name)) => (name.into(), Some(Origin::Env { name: FILE_VARIABLE })),
            (None, None) => (sources.system_file.clone(), None),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let problems = file::apply(&path, &text, self);
                self.file = Some(path);
                problems
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named_by.is_none() => Vec::new(),
            Err(e) => {
                let text = format!("cannot read the configuration {}: {e}", path.display());
                vec![Problem::new(named_by.unwrap_or(Origin::Whole { path }), text)]
            }
        }
    }

    /// An empty variable counts as not set.
    fn read_env(&mut self, env: Env<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, name) in KEYS.iter().filter_map(|key| Some((key, key.env?))) {
            let Some(value) = env(name).filter(|value| !value.is_empty()) else { continue };
            let origin = Origin::Env { name };
            match value.to_str() {
                Some(text) => problems.extend(self.assign(key, text, origin)),
                None => problems.push(Problem::new(origin, format!("{} is not UTF-8", key.path))),
            }
        }
        problems
    }

    fn read_flags(&mut self, flags: &Overrides) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, path, value) in &flags.0 {
            let origin = Origin::Flag { name };
            match KEYS.iter().find(|key| key.path == *path) {
                Some(key) => problems.extend(self.assign(key, value, origin)),
                None => {
                    let hint = did_you_mean(path, KEYS.iter().map(|key| key.path));
                    problems.push(Problem::new(origin, format!("unknown key \"{path}\"{hint}")));
                }
            }
        }
        problems
    }

    fn assign(&mut self, key: &'static Key, text: &str, origin: Origin) -> Option<Problem> {
        match (key.read)(self, Raw::Text(text)) {
            Ok(()) => {
                self.origins.insert(key.path, origin);
                None
            }
            Err(wrong) => Some(Problem::new(origin, refusal(key, wrong, &format!("\"{text}\"")))),
        }
    }

    /// Gives every key that nothing set its default, in the order of the list.
    fn fill(&mut self, surroundings: &Surroundings<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for key in KEYS {
            if self.origins.contains_key(key.path) {
                continue;
            }
            if let Err(wrong) = (key.fill)(self, surroundings) {
                problems.push(Problem::new(Origin::Default, refusal(key, wrong, "its default")));
            }
        }
        problems
    }
}

/// Says why a value is refused; `got` is the value as it was written.
fn refusal(key: &Key, wrong: Wrong, got: &str) -> String {
    let path = key.path;
    match wrong.why {
        Some(why) => format!("{path} {why}"),
        // A path that is wrong may be the secret itself.
        None if (key.secret)() || path.ends_with("_file") => {
            format!("{path} must be {}", (key.says)())
        }
        None => format!("{path} must be {}, not {}", (key.says)(), shortened(got)),
    }
}

/// At most one line of what was written.
fn shortened(got: &str) -> String {
    let line = got.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 {
        return line;
    }
    line.chars().take(57).chain("...".chars()).collect()
}
