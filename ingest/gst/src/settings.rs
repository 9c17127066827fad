//! What stands between the brackets of `GST_TRACERS='bl(…)'`.

use std::path::PathBuf;

/// What the tracer was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The Unix stream socket that events go to.
    pub socket: PathBuf,
    /// The pads to watch. None: every source element's output and every sink's input.
    pub stages: Option<Vec<Stage>>,
    /// Directory for the report of this process; without it, faults are told on stderr.
    pub report: Option<PathBuf>,
}

/// A pad to watch, and the name of the stage it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name of the stage in the events.
    pub name: String,
    /// Name of the element.
    pub element: String,
    /// Name of its pad.
    pub pad: String,
}

/// Why the settings are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No socket.
    #[error("no socket is given; write bl(socket=PATH)")]
    NoSocket,
    /// A key that does not exist.
    #[error("there is no setting {0:?}; the settings are socket, stages and report")]
    Unknown(String),
    /// A key that is given twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// Something else than `key=value` or `key="value"`.
    #[error("expected key=value or key=\"value\" at {0:?}")]
    Syntax(String),
    /// A list of stages that cannot be read.
    #[error("stage {0:?} is not of the form name=element.pad; separate several with +")]
    Stage(String),
}

impl Settings {
    /// Reads `key=value,key="value"`. In quotes a backslash takes the next character as it is.
    ///
    /// This is not GstStructure's parser, which must not be called yet while GStreamer starts its tracers.
    pub fn parse(params: &str) -> Result<Self, SettingsError> {
        let (mut socket, mut stages, mut report) = (None, None, None);
        let mut rest = params.trim();
        while !rest.is_empty() {
            let (key, after) =
                rest.split_once('=').ok_or_else(|| SettingsError::Syntax(rest.into()))?;
            let (value, after) = take_value(after.trim_start())?;
            let key = key.trim();
            let slot = match key {
                "socket" => &mut socket,
                "stages" => &mut stages,
                "report" => &mut report,
                _ => return Err(SettingsError::Unknown(key.into())),
            };
            if slot.replace(value).is_some() {
                return Err(SettingsError::Twice(key.into()));
            }
            rest = after;
        }
        Ok(Self {
            socket: socket.filter(|s| !s.is_empty()).ok_or(SettingsError::NoSocket)?.into(),
            stages: stages.filter(|s| !s.is_empty()).map(|s| parse_stages(&s)).transpose()?,
            report: report.map(PathBuf::from),
        })
    }
}

/// Splits one value off: returns it and what follows the comma behind it.
fn take_value(text: &str) -> Result<(String, &str), SettingsError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((value.trim_end().to_owned(), rest.trim_start()));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '"' => {
                let rest = quoted[at + 1..].trim_start();
                return match rest.strip_prefix(',') {
                    Some(rest) => Ok((value, rest.trim_start())),
                    None if rest.is_empty() => Ok((value, rest)),
                    None => Err(SettingsError::Syntax(rest.into())),
                };
            }
            c => value.push(c),
        }
    }
    Err(SettingsError::Syntax(text.into()))
}

/// Reads `name=element.pad+name=element.pad`. The last dot counts: element names may contain some.
fn parse_stages(list: &str) -> Result<Vec<Stage>, SettingsError> {
    list.split('+')
        .map(|item| {
            let (name, pad) = item.split_once('=')?;
            let (element, pad) = pad.rsplit_once('.')?;
            let [name, element, pad] = [name, element, pad].map(|part| part.trim().to_owned());
            let complete = ![&name, &element, &pad].iter().any(|part| part.is_empty());
            complete.then_some(Stage { name, element, pad })
        })
        .zip(list.split('+'))
        .map(|(stage, item)| stage.ok_or_else(|| SettingsError::Stage(item.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, element: &str, pad: &str) -> Stage {
        Stage { name: name.into(), element: element.into(), pad: pad.into() }
    }

    #[test]
    fn the_documented_form_is_read() {
        let settings =
            Settings::parse(r#"socket=/run/bl/e.sock,stages="ingress=src.src+encoded=my.enc.src""#);
        assert_eq!(
            settings,
            Ok(Settings {
                socket: "/run/bl/e.sock".into(),
                stages: Some(vec![
                    stage("ingress", "src", "src"),
                    stage("encoded", "my.enc", "src")
                ]),
                report: None,
            })
        );
    }

    #[test]
    fn quotes_keep_commas_and_escapes() {
        let settings =
            Settings::parse(r#" stages = "" , socket = "/tmp/a \"b\", c" , report=/tmp/r"#);
        let settings = settings.unwrap();
        assert_eq!(settings.socket, PathBuf::from(r#"/tmp/a "b", c"#));
        assert_eq!(settings.stages, None);
        assert_eq!(settings.report, Some("/tmp/r".into()));
    }

    #[test]
    fn faults_are_named() {
        use SettingsError::*;
        assert_eq!(Settings::parse(""), Err(NoSocket));
        assert_eq!(Settings::parse("socket="), Err(NoSocket));
        assert_eq!(Settings::parse("sockt=/a"), Err(Unknown("sockt".into())));
        assert_eq!(Settings::parse("socket=/a,socket=/b"), Err(Twice("socket".into())));
        assert_eq!(Settings::parse("/a"), Err(Syntax("/a".into())));
        assert_eq!(Settings::parse("socket=\"/a"), Err(Syntax("\"/a".into())));
        assert_eq!(Settings::parse("socket=\"/a\"b"), Err(Syntax("b".into())));
        for bad in ["src.src", "a=src", "a=.src", "=e.src", "a=e.src+", "a=e."] {
            let faulty = Settings::parse(&format!("socket=/a,stages=\"{bad}\""));
            assert!(matches!(faulty, Err(Stage(_))), "{bad}: {faulty:?}");
        }
    }
}
