//! What is written for people from the list of keys, and the tests that keep it current.

use std::fmt::Write;

use super::key::{Default, Effect};
use super::keys::{KEYS, SECTIONS};
use super::{DEFAULT_TOML, Key};

fn of_section(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// `default.toml`: what has a fixed default is set, the rest stands as a comment.
fn default_toml() -> String {
    let mut out = String::from(
        "# Configuration of bl, with every default. Made from the list of keys; `bl config default` prints it.\n\
         # Flags come before environment variables, those before this file, and this before the defaults.\n",
    );
    for (section, about) in SECTIONS {
        write!(out, "\n# {about}\n[{section}]\n").unwrap();
        for key in of_section(section) {
            writeln!(out, "# {}", key.doc).unwrap();
            match key.default {
                Default::Is(value) => writeln!(out, "{} = {value}", key.name).unwrap(),
                Default::From { how, example } => {
                    writeln!(out, "# Default: {how}.\n#{} = {example}", key.name).unwrap();
                }
                Default::Unset(example) => {
                    writeln!(out, "# Not set by default.\n#{} = {example}", key.name).unwrap();
                }
            }
        }
    }
    out
}

/// The tables of `docs/configuration.md`.
fn tables() -> String {
    let mut out = String::new();
    for (section, about) in SECTIONS {
        write!(out, "\n### [{section}]\n\n{about}\n\n").unwrap();
        out.push_str(
            "| key | default | environment | takes effect | meaning |\n|---|---|---|---|---|\n",
        );
        for key in of_section(section) {
            let default = match key.default {
                Default::Is(value) => format!("`{value}`"),
                Default::From { how, .. } => how.to_owned(),
                Default::Unset(_) => String::new(),
            };
            let env = key.env.map(|name| format!("`{name}`")).unwrap_or_default();
            let effect = match key.effect {
                Effect::Reload => "SIGHUP".to_owned(),
                Effect::Start => "start".to_owned(),
                Effect::Nothing(why) => format!("not yet: {why}"),
            };
            let must = match (key.says)().as_str() {
                "true or false" => String::new(),
                says => format!(" Must be {says}."),
            };
            writeln!(out, "| `{}` | {default} | {env} | {effect} | {}{must} |", key.name, key.doc)
                .unwrap();
        }
    }
    out
}

/// Compares a file with what it should be; with `BL_UPDATE` in the environment, writes it.
fn assert_current(path: &str, kept: &str, fresh: &str) {
    if std::env::var_os("BL_UPDATE").is_some() {
        std::fs::write(path, fresh).unwrap();
    } else {
        assert!(kept == fresh, "{path} is stale: run `BL_UPDATE=1 cargo test -p bl config`");
    }
}

#[test]
fn default_toml_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/default.toml");
    assert_current(path, DEFAULT_TOML, &default_toml());
}

#[test]
fn the_page_is_current() {
    const BEGIN: &str = "<!-- keys: made by `BL_UPDATE=1 cargo test -p bl config` -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let kept = std::fs::read_to_string(path).unwrap();
    let (prose, _) = kept.split_once(BEGIN).expect("the marker line");
    assert_current(path, &kept, &format!("{prose}{BEGIN}{}", tables()));
}
