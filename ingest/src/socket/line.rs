//! One line of the protocol.
//!
//! [`fast`] reads the plain form that nearly every event has, without allocating; whatever it does not know
//! goes to [`full`], which is serde_json and decides what is valid. Both give the same for what [`fast`]
//! accepts; a property test holds them to it.

mod fast;
mod full;

use std::borrow::Cow;
use std::fmt;

use super::identity::Process;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A frame passed a stage.
    Event(Event<'a>),
    /// A bookmark or a step.
    Mark(Mark<'a>),
    /// The sender introduces itself.
    Hello(Hello<'a>),
}

/// A frame passed a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub stage: Cow<'a, str>,
    pub pipeline: Option<Cow<'a, str>>,
    pub frame: Option<i64>,
    pub ts_ns: Option<i64>,
    pub key_ns: Option<i64>,
    pub pts_ns: Option<i64>,
    pub seq: Option<i64>,
    /// The text of a JSON object.
    pub attrs: Option<Cow<'a, str>>,
}

/// A bookmark, or one end of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    pub name: Cow<'a, str>,
    pub kind: MarkKind,
    pub ts_ns: Option<i64>,
    /// The text of a JSON object.
    pub attrs: Option<Cow<'a, str>>,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    pub name: Cow<'a, str>,
    pub simulated: bool,
    /// The process that sends, where it tells.
    pub process: Option<Process>,
}

/// What a mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkKind {
    /// A step begins.
    Begin,
    /// The step of that name ends.
    End,
    /// An instant.
    Point,
}

impl MarkKind {
    fn parse(text: &str) -> Option<Self> {
        [MarkKind::Begin, MarkKind::End, MarkKind::Point]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// Its name in the protocol and in table `marks`.
    pub fn as_str(self) -> &'static str {
        match self {
            MarkKind::Begin => "begin",
            MarkKind::End => "end",
            MarkKind::Point => "point",
        }
    }
}

impl fmt::Display for MarkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Line<'a> {
    /// Reads a line, given without its newline.
    ///
    /// # Errors
    /// A few words on what is wrong with it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        match fast::event(bytes) {
            Some(event) => Ok(Line::Event(event)),
            None => full::line(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(text: &str) -> Result<Line<'_>, String> {
        full::line(text.as_bytes())
    }

    #[test]
    fn the_plain_form_takes_the_fast_way() {
        let plain = [
            r#"{"stage":"ingress","frame":1,"ts_ns":1234567890123456}"#,
            r#"{"stage": "ingress", "frame": -7, "ts_ns": 0}"#,
            "\t{ \"frame\" : 3 , \"stage\" : \"a b\" } \r",
            r#"{"pipeline":"cam0","stage":"x","frame":null,"key_ns":5,"pts_ns":-9,"seq":12}"#,
            r#"{"stage":"x","pipeline":null}"#,
            r#"{"stage":"x","attrs":null,"frame":999999999999999999}"#,
        ];
        for text in plain {
            let event = fast::event(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(full(text), Ok(Line::Event(event)), "{text}");
        }
    }

    #[test]
    fn the_rest_takes_the_full_way() {
        let Ok(Line::Event(event)) = full(
            r#"{"stage":"caf\u00e9","frame":9223372036854775807,"attrs":{"b":[1,2],"a":1.50}}"#,
        ) else {
            panic!("no event")
        };
        assert_eq!(event.stage, "café");
        assert_eq!(event.frame, Some(i64::MAX));
        assert_eq!(event.attrs.as_deref(), Some(r#"{"b":[1,2],"a":1.50}"#));

        let Ok(Line::Event(event)) = full(r#"{"stage":"x","thread":7,"attrs":{"a":1.50}}"#) else {
            panic!("no event")
        };
        assert_eq!(event.attrs.as_deref(), Some(r#"{"a":1.50,"thread":7}"#));

        assert_eq!(
            full(r#"{"mark":"load-model","kind":"begin","ts_ns":5,"attrs":{"size":"7b"}}"#),
            Ok(Line::Mark(Mark {
                name: "load-model".into(),
                kind: MarkKind::Begin,
                ts_ns: Some(5),
                attrs: Some(r#"{"size":"7b"}"#.into()),
            }))
        );
        assert_eq!(
            full(r#"{"mark":"here"}"#),
            Ok(Line::Mark(Mark {
                name: "here".into(),
                kind: MarkKind::Point,
                ts_ns: None,
                attrs: None
            }))
        );
        assert_eq!(
            full(r#"{"hello":"probe","simulated":true}"#),
            Ok(Line::Hello(Hello { name: "probe".into(), simulated: true, process: None }))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "EOF"),
            ("[]", "expected a JSON object"),
            ("{}", "neither"),
            (r#"{"stage":""}"#, "empty"),
            (r#"{"stage":7}"#, "expected a string"),
            (r#"{"stage":"x","frame":1.5}"#, "expected i64"),
            (r#"{"stage":"x","frame":-0}"#, "expected i64"),
            (r#"{"stage":"x","frame":9223372036854775808}"#, "expected i64"),
            (r#"{"stage":"x","frame":1,"frame":2}"#, "twice"),
            (r#"{"stage":"x","attrs":[1]}"#, "attrs"),
            (r#"{"stage":"x","mark":"y"}"#, "both"),
            (r#"{"stage":"x"} {}"#, "trailing"),
            (r#"{"stage":"x",}"#, "trailing comma"),
            (r#"{"mark":"x","kind":"middle"}"#, "kind"),
        ];
        for (text, part) in cases {
            assert_eq!(fast::event(text.as_bytes()), None, "{text}");
            let why = full(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!(full::line(b"{\"stage\":\"\xff\"}").is_err());
    }

    /// Pieces that a line is made of, most of them good.
    fn member() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            8 => prop::sample::select(vec![
                "stage", "pipeline", "frame", "ts_ns", "key_ns", "pts_ns", "seq", "attrs",
            ]),
            1 => prop::sample::select(vec!["mark", "hello", "other", "st\\u0061ge", ""]),
        ];
        let value = prop_oneof![
            6 => any::<i64>().prop_map(|n| n.to_string()),
            4 => (-99i64..99).prop_map(|n| n.to_string()),
            6 => "[a-z_ ]{0,9}".prop_map(|s| format!("\"{s}\"")),
            1 => prop::sample::select(vec![
                "null", "nul", "true", "-0", "00", "01", "1.0", "1e3", "-", "+1", "\"\\\"\"", "\"é\"",
                "\"\t\"", "{}", "{\"a\":[1]}", "[]", "\"", "", "99999999999999999999",
            ]).prop_map(str::to_string),
        ];
        let space = prop::sample::select(vec!["", "", "", " ", "\t", "\r", "\u{b}"]);
        (key, value, space.clone(), space)
            .prop_map(|(k, v, a, b)| format!("{a}\"{k}\"{b}:{a}{v}{b}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn fast_and_full_agree(
            members in prop::collection::vec(member(), 0..6),
            stage in prop::option::weighted(0.8, "[a-z]{1,8}"),
            ends in prop::sample::select(vec![("{", "}"), ("{", "}"), (" {", "} "), ("{", ""), ("", "}"), ("{", "},")]),
        ) {
            let mut members = members;
            if let Some(stage) = stage {
                members.retain(|m| !m.contains("\"stage\""));
                members.push(format!("\"stage\":\"{stage}\""));
            }
            let text = format!("{}{}{}", ends.0, members.join(","), ends.1);
            if let Some(event) = fast::event(text.as_bytes()) {
                prop_assert_eq!(full::line(text.as_bytes()), Ok(Line::Event(event)), "{}", text);
            }
        }

        #[test]
        fn fast_and_full_agree_on_damaged_lines(at in 0usize..90, byte in any::<u8>(), cut in 0usize..90) {
            let mut line = br#"{"stage":"ingress","frame":17,"ts_ns":1234567890,"pipeline":"cam0","seq":4}"#.to_vec();
            if let Some(b) = line.get_mut(at) {
                *b = byte;
            }
            line.truncate(if cut < 60 { 90 } else { cut });
            if let Some(event) = fast::event(&line) {
                prop_assert_eq!(full::line(&line), Ok(Line::Event(event)));
            }
        }
    }
}
