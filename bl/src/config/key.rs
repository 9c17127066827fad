//! What a key of the configuration is, and the macro that makes structs and a table from the list of them.

use super::directories::Surroundings;
use super::form::{Raw, Wrong};
use super::keys::Config;

/// One key: everything that reading, checking, showing and documenting it needs.
// `doc` and `default` make the documents, which only tests write.
#[cfg_attr(not(test), expect(dead_code))]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// The section of the file.
    pub section: &'static str,
    /// The name inside its section.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// The environment variable that sets it.
    pub env: Option<&'static str>,
    /// When a value takes effect.
    pub effect: Effect,
    /// What its value is where nothing sets it.
    pub default: Default,
    /// What a value must be, as it follows "must be".
    pub says: fn() -> String,
    /// Whether its value is never printed.
    pub secret: fn() -> bool,
    /// The value in effect; null where unset.
    pub show: fn(&Config) -> serde_json::Value,
    pub(super) differs: fn(&Config, &Config) -> bool,
    pub(super) read: fn(&mut Config, Raw<'_>) -> Result<(), Wrong>,
    pub(super) fill: fn(&mut Config, &Surroundings<'_>) -> Result<(), Wrong>,
}

/// When a value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Each command reads it anew; a running one takes a new value on SIGHUP.
    Reload,
    /// A new value counts from the next start.
    Start,
    /// The key is accepted and does nothing yet; the text says why.
    Nothing(&'static str),
}

/// What a key is where nothing sets it, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This TOML value.
    Is(&'static str),
    /// Worked out: how, and an example as a TOML value.
    From { how: &'static str, example: &'static str },
    /// Nothing; an example as a TOML value.
    Unset(&'static str),
}

/// What a key of type `T` is where nothing sets it.
pub(super) enum Fallback<T> {
    /// This TOML value.
    Is(&'static str),
    /// Worked out from the keys above it and from where the process runs.
    From { how: &'static str, example: &'static str, value: fn(&Config, &Surroundings<'_>) -> T },
    /// The type's own default, which stands for "not set"; with an example as a TOML value.
    Unset(&'static str),
}

impl<T> Fallback<T> {
    pub(super) const fn described(&self) -> Default {
        match self {
            Fallback::Is(value) => Default::Is(value),
            Fallback::From { how, example, .. } => Default::From { how, example },
            Fallback::Unset(example) => Default::Unset(example),
        }
    }
}

/// Makes, from one list, a struct a section, [`Config`] of them all, `SECTIONS` and `KEYS`.
///
/// A key is a doc comment and `name: type = form, fallback, effect[, "ENVIRONMENT"];`. Keys are filled in
/// the order of the list, so a fallback may use the keys above it.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {$(
            $(#[doc = $doc:literal])+
            $name:ident: $type:ty = $form:expr, $fallback:expr, $effect:expr $(, $env:literal)?;
        )+}
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Default, PartialEq)]
            pub struct $Section {$(
                $(#[doc = $doc])+
                pub $name: $type,
            )+}
        )+

        /// The configuration in effect: plain values, checked; and where each came from.
        #[derive(Debug, Clone, Default)]
        pub struct Config {
            $(
                $(#[doc = $about])+
                pub $section: $Section,
            )+
            pub(super) origins: std::collections::BTreeMap<&'static str, crate::config::Origin>,
            pub(super) file: Option<std::path::PathBuf>,
        }

        /// Every section and what it is about, in the order of the file.
        pub const SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($about),+).trim_ascii())),+];

        /// Every key, in the order of the file.
        pub const KEYS: &[Key] = &[$($({
            const FALLBACK: Fallback<$type> = $fallback;
            Key {
                path: concat!(stringify!($section), ".", stringify!($name)),
                section: stringify!($section),
                name: stringify!($name),
                doc: concat!($($doc),+).trim_ascii(),
                env: sections!(@env $($env)?),
                effect: $effect,
                default: FALLBACK.described(),
                says: || Form::<$type>::says(&$form),
                secret: || Form::<$type>::secret(&$form),
                show: |config| serde_json::json!(config.$section.$name),
                differs: |a, b| a.$section.$name != b.$section.$name,
                read: |config, raw| {
                    config.$section.$name = Form::<$type>::read(&$form, raw)?;
                    Ok(())
                },
                fill: |config, surroundings| {
                    config.$section.$name = match FALLBACK {
                        Fallback::Is(value) => read_literal::<$type>(&$form, value)?,
                        Fallback::From { value, .. } => value(config, surroundings),
                        Fallback::Unset(_) => return Ok(()),
                    };
                    Ok(())
                },
            }
        }),+),+];
    };
    (@env) => { None };
    (@env $env:literal) => { Some($env) };
}
pub(super) use sections;
