//! Reads the TOML file, and says of everything in it what is wrong.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::{Raw, Wrong};
use super::keys::{Config, KEYS, SECTIONS};
use super::nearest::{did_you_mean, nearest};
use super::{Key, Origin, Problem};

/// A file's text, which places are counted in.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

/// Sets what the file at `path` with this text sets; returns what is wrong with it, in its order.
pub(super) fn apply(path: &Path, text: &str, config: &mut Config) -> Vec<Problem> {
    let source = Source { path, text };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<(usize, Problem)> = Vec::new();
    for error in &errors {
        found.push(source.syntax(error));
    }
    for (name, value) in root.get_ref() {
        match (value.get_ref(), section_keys(name.get_ref())) {
            (DeValue::Table(table), Some(keys)) => {
                section(&source, name.get_ref(), keys, table, config, &mut found);
            }
            (_, Some(_)) => {
                let text = format!("\"{0}\" is a section: write [{0}]", name.get_ref());
                found.push(source.problem(name.span(), text));
            }
            (value, None) => {
                found.push(source.problem(name.span(), stray(name.get_ref(), value)));
            }
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, problem)| problem).collect()
}

/// The keys of a section, if there is such a section.
fn section_keys(name: &str) -> Option<impl Iterator<Item = &'static Key> + Clone + use<>> {
    let (section, _) = SECTIONS.iter().find(|(known, _)| *known == name)?;
    Some(KEYS.iter().filter(move |key| key.section == *section))
}

fn section(
    source: &Source<'_>,
    section: &str,
    keys: impl Iterator<Item = &'static Key> + Clone,
    table: &DeTable<'_>,
    config: &mut Config,
    found: &mut Vec<(usize, Problem)>,
) {
    for (name, value) in table {
        let known = keys.clone().find(|key| key.name == name.get_ref());
        let Some(key) = known else {
            let hint = elsewhere(name.get_ref())
                .unwrap_or_else(|| did_you_mean(name.get_ref(), keys.clone().map(|key| key.name)));
            let text = format!("unknown key \"{}\" in [{section}]{hint}", name.get_ref());
            found.push(source.problem(name.span(), text));
            continue;
        };
        if value.span().is_empty() && !found.is_empty() {
            // What the parser put in the place of a value whose syntax is wrong, as has been said.
            continue;
        }
        match (key.read)(config, Raw::Toml(value)) {
            Ok(()) => {
                config.origins.insert(key.path, source.origin(name.span().start));
            }
            Err(wrong) => found.push(source.refused(key, value, wrong)),
        }
    }
}

/// What to say of a name at the top of the file that is no section.
fn stray(name: &str, value: &DeValue<'_>) -> String {
    if value.is_table() {
        let hint = did_you_mean(name, SECTIONS.iter().map(|(known, _)| *known));
        return format!("unknown section [{name}]{hint}");
    }
    let meant = nearest(name, KEYS.iter().map(|key| key.name)).filter(|meant| *meant != name);
    let meant = meant.and_then(|meant| KEYS.iter().find(|key| key.name == meant));
    let slip = || Some(format!("; did you mean \"{}\" in [{}]?", meant?.name, meant?.section));
    let hint = elsewhere(name).or_else(slip).unwrap_or_default();
    format!("\"{name}\" stands outside any section{hint}")
}

/// The section that has a key of exactly this name.
fn elsewhere(name: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    Some(format!("; it belongs in [{}]", key.section))
}

impl Source<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn problem(&self, at: Range<usize>, text: String) -> (usize, Problem) {
        (at.start, Problem { origin: self.origin(at.start), text })
    }

    fn syntax(&self, error: &toml::de::Error) -> (usize, Problem) {
        let span = error.span().unwrap_or_default();
        let text = match (error.message(), self.text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("\"{key}\" is there twice"),
            (message, _) => format!("not TOML: {}", message.replace('\n', "; ")),
        };
        self.problem(span, text)
    }

    fn refused(&self, key: &Key, value: &Spanned<DeValue<'_>>, wrong: Wrong) -> (usize, Problem) {
        let span = wrong.span.clone().unwrap_or(value.span());
        let got = self.text.get(span.clone()).unwrap_or_default();
        self.problem(span, super::refusal(key, wrong, got))
    }
}
