//! Any line, by serde_json: it decides what is valid.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Event, Hello, Line, Mark, MarkKind};
use crate::socket::identity::Process;

/// Reads a line. Keys that are not known go into `attrs`: nothing that was sent is dropped.
pub(super) fn line(bytes: &[u8]) -> Result<Line<'static>, String> {
    let fields: Fields = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    fields.into_line()
}

/// All that a line can hold.
#[derive(Default)]
struct Fields {
    hello: Option<String>,
    simulated: Option<bool>,
    mark: Option<String>,
    kind: Option<String>,
    stage: Option<String>,
    pipeline: Option<String>,
    frame: Option<i64>,
    ts_ns: Option<i64>,
    key_ns: Option<i64>,
    pts_ns: Option<i64>,
    seq: Option<i64>,
    attrs: Option<Box<RawValue>>,
    others: BTreeMap<String, Box<RawValue>>,
}

impl Fields {
    fn into_line(mut self) -> Result<Line<'static>, String> {
        let process = match self.hello {
            Some(_) => self.process()?,
            None => None,
        };
        let attrs = self.attrs()?.map(Cow::Owned);
        match (self.stage, self.mark, self.hello) {
            (Some(stage), None, None) => Ok(Line::Event(Event {
                stage: named(stage, "stage")?,
                pipeline: self.pipeline.map(Cow::Owned),
                frame: self.frame,
                ts_ns: self.ts_ns,
                key_ns: self.key_ns,
                pts_ns: self.pts_ns,
                seq: self.seq,
                attrs,
            })),
            (None, Some(name), None) => {
                let kind = match self.kind.as_deref() {
                    None => MarkKind::Point,
                    Some(text) => MarkKind::parse(text)
                        .ok_or(format!("kind is '{text}', not begin, end or point"))?,
                };
                Ok(Line::Mark(Mark { name: named(name, "mark")?, kind, ts_ns: self.ts_ns, attrs }))
            }
            (None, None, Some(name)) => Ok(Line::Hello(Hello {
                name: Cow::Owned(name),
                simulated: self.simulated.unwrap_or(false),
                process,
            })),
            (None, None, None) => Err("there is neither stage nor mark nor hello".into()),
            _ => Err("stage, mark and hello: there are both of two".into()),
        }
    }

    /// The process of a hello: `pid` and `start`, both or neither.
    fn process(&mut self) -> Result<Option<Process>, String> {
        let mut number = |key: &str| match self.others.remove(key) {
            None => Ok(None),
            Some(raw) => match raw.get().parse::<i64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{key} is not an integer")),
            },
        };
        match (number("pid")?, number("start")?) {
            (Some(pid), Some(start)) => Ok(Some(Process { pid, start })),
            (None, None) => Ok(None),
            _ => Err("pid and start go together".into()),
        }
    }

    /// `attrs` as it came; merged with the keys that are not known, if there are any.
    fn attrs(&mut self) -> Result<Option<String>, String> {
        let attrs = match &self.attrs {
            None => None,
            Some(raw) if raw.get().starts_with('{') => Some(raw.get()),
            Some(_) => return Err("attrs is not an object".into()),
        };
        if self.others.is_empty() {
            return Ok(attrs.map(str::to_string));
        }
        let mut all = std::mem::take(&mut self.others);
        if let Some(text) = attrs {
            let given: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(text).map_err(|e| e.to_string())?;
            all.extend(given);
        }
        serde_json::to_string(&all).map(Some).map_err(|e| e.to_string())
    }
}

fn named(name: String, key: &str) -> Result<Cow<'static, str>, String> {
    if name.is_empty() { Err(format!("{key} is empty")) } else { Ok(Cow::Owned(name)) }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("key '{key}' is there twice")));
            }
            match key.as_str() {
                "hello" => fields.hello = map.next_value()?,
                "simulated" => fields.simulated = map.next_value()?,
                "mark" => fields.mark = map.next_value()?,
                "kind" => fields.kind = map.next_value()?,
                "stage" => fields.stage = Some(map.next_value()?),
                "pipeline" => fields.pipeline = map.next_value()?,
                "frame" => fields.frame = map.next_value()?,
                "ts_ns" => fields.ts_ns = map.next_value()?,
                "key_ns" => fields.key_ns = map.next_value()?,
                "pts_ns" => fields.pts_ns = map.next_value()?,
                "seq" => fields.seq = map.next_value()?,
                "attrs" => fields.attrs = map.next_value()?,
                _ => {
                    let value = map.next_value()?;
                    fields.others.insert(key.clone(), value);
                }
            }
            seen.insert(key);
        }
        Ok(fields)
    }
}
