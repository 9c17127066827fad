//! Secrets: read from files or credentials, never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::form::Raw;
use super::{Config, Env, KEYS, Key, Origin, Problem};

/// A password, key or token. Debug, Display and Serialize all give `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// The systemd variable that names the folder of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Reads the secrets that are not set themselves, from the file that `<key>_file` names, else from the
/// systemd credential named after the key.
pub(super) fn read_files(config: &mut Config, env: Env<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for key in KEYS.iter().filter(|key| (key.secret)()) {
        if config.origins.contains_key(key.path) {
            continue;
        }
        let Some((path, named_by)) = file_of(config, key).or_else(|| credential(env, key)) else {
            continue;
        };
        match read(&path) {
            // Any text is a secret: the form refuses none.
            Ok(text) if (key.read)(config, Raw::Text(&text)).is_ok() => {
                config.origins.insert(key.path, Origin::Whole { path });
            }
            Ok(_) => problems.push(Problem::new(named_by, format!("{} is refused", key.path))),
            Err(text) => problems.push(Problem::new(named_by, format!("{}: {text}", key.path))),
        }
    }
    problems
}

/// The file that `<key>_file` names, and who named it.
fn file_of(config: &Config, key: &Key) -> Option<(PathBuf, Origin)> {
    let file = KEYS.iter().find(|k| k.path.strip_suffix("_file") == Some(key.path))?;
    let path = (file.show)(config).as_str().map(PathBuf::from)?;
    Some((path, config.origin(file.path).clone()))
}

fn credential(env: Env<'_>, key: &Key) -> Option<(PathBuf, Origin)> {
    let path = PathBuf::from(env(CREDENTIALS)?).join(key.path);
    path.exists().then_some((path, Origin::Env { name: CREDENTIALS }))
}

fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("cannot read the secret in {shown}: {e}"))?;
    match text.trim() {
        "" => Err(format!("the secret's file {shown} is empty")),
        secret => Ok(secret.to_owned()),
    }
}
