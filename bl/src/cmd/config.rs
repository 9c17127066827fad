//! `bl config`: show, explain and check the configuration.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::usage;
use crate::config::{Config, DEFAULT_TOML, Effect, KEYS, Key, SECTIONS, Sources};

/// Arguments of `bl config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the values in effect and where each came from. Secrets show as ***.
    Show {
        /// As JSON: {section: {key: {value, origin, effect}}}.
        #[arg(long)]
        json: bool,
    },
    /// Print a complete configuration file with every default and what it means.
    Default,
    /// Check the configuration; name the keys that do nothing yet. Exits with 2 if it is refused.
    Check {
        /// The file to check, instead of the one that would be read.
        file: Option<PathBuf>,
    },
}

/// Runs `bl config`.
///
/// # Errors
/// A [`ConfigError`](crate::config::ConfigError) when the configuration is refused, and what writing to
/// standard output says.
pub fn run(args: &Args, mut sources: Sources<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match &args.command {
        Command::Show { json: false } => show(&mut out, &Config::load(&sources)?)?,
        Command::Show { json: true } => {
            serde_json::to_writer_pretty(&mut out, &as_json(&Config::load(&sources)?))?;
            writeln!(out)?;
        }
        Command::Default => out.write_all(DEFAULT_TOML.as_bytes())?,
        Command::Check { file } => {
            sources.file = file.clone().or(sources.file);
            check(&mut out, &Config::load(&sources)?)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Lines longer than this do not push the origins of the others to the right.
const WIDTH: usize = 48;

/// The values as a TOML file, with their origins as comments.
fn show(out: &mut impl Write, config: &Config) -> anyhow::Result<()> {
    writeln!(out, "# {}", read_from(config))?;
    for (section, _) in SECTIONS {
        writeln!(out, "\n[{section}]")?;
        let lines: Vec<_> = of_section(section)
            .map(|key| Ok((line(key, config)?, config.origin(key.path))))
            .collect::<anyhow::Result<_>>()?;
        let widths = lines.iter().map(|(line, _)| line.chars().count());
        let width = widths.filter(|width| *width <= WIDTH).max().unwrap_or(WIDTH);
        for (line, origin) in lines {
            writeln!(out, "{line:width$}  # {origin}")?;
        }
    }
    Ok(())
}

fn line(key: &Key, config: &Config) -> anyhow::Result<String> {
    Ok(match (key.show)(config) {
        Value::Null => format!("# {} is not set", key.name),
        Value::Array(list) if list.is_empty() => format!("# {} is not set", key.name),
        value => format!("{} = {}", key.name, toml::Value::try_from(value)?),
    })
}

fn as_json(config: &Config) -> Value {
    let sections = SECTIONS.iter().map(|(section, _)| {
        let keys = of_section(section).map(|key| {
            let effect = match key.effect {
                Effect::Reload => json!("reload"),
                Effect::Start => json!("start"),
                Effect::Nothing(_) => json!("none"),
            };
            let (value, origin) = ((key.show)(config), config.origin(key.path));
            (key.name.to_owned(), json!({ "value": value, "origin": origin, "effect": effect }))
        });
        ((*section).to_owned(), Value::Object(keys.collect()))
    });
    Value::Object(sections.collect::<Map<_, _>>())
}

fn of_section(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

fn check(out: &mut impl Write, config: &Config) -> anyhow::Result<()> {
    config.flow().map_err(|wrong| usage(format!("flows.file: {wrong:#}")))?;
    writeln!(out, "{}: the configuration is good", read_from(config))?;
    let mut without_effect = config.without_effect().peekable();
    if without_effect.peek().is_some() {
        writeln!(out, "\nset, but without effect in this version:")?;
    }
    for (key, why) in without_effect {
        writeln!(out, "  {} ({}): {why}", key.path, config.origin(key.path))?;
    }
    Ok(())
}

fn read_from(config: &Config) -> String {
    match config.file() {
        Some(file) => file.display().to_string(),
        None => "no configuration file".to_owned(),
    }
}
