//! Comma-separated lines whose columns are found by name.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// The names of the columns.
#[derive(Debug, Clone)]
pub(super) struct Header {
    names: Vec<String>,
    lower: Vec<String>,
    /// Columns from this place on may be missing in a line, all of them at once.
    required: usize,
}

/// The values of one line.
#[derive(Debug)]
pub(super) struct Line<'a>(Vec<Cow<'a, str>>);

impl Header {
    pub fn parse(line: &str) -> Self {
        let names: Vec<String> = split(line).into_iter().map(|name| name.trim().into()).collect();
        let lower = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { lower, required: names.len(), names }
    }

    /// Lets a line do without the last columns, as far as they have these names, which are given in lower case.
    pub fn allow_missing_tail(&mut self, names: &[&str]) {
        let is_one = |name: &String| names.contains(&name.as_str());
        let tail = self.lower.iter().rev().take_while(|name| is_one(name)).count();
        self.required = self.names.len() - tail;
    }

    /// Places and names of the columns that a line may do without.
    pub fn tail(&self) -> impl Iterator<Item = (usize, &str)> {
        self.names.iter().enumerate().skip(self.required).map(|(at, name)| (at, name.as_str()))
    }

    /// The place of the first of these columns that is there, in the order in which they are asked for. Names are given
    /// in lower case.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.lower.iter().position(|column| column == name))
    }

    /// Splits a line into as many values as there are columns, with or without those of the tail.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn line<'a>(&self, text: &'a str) -> Result<Line<'a>, String> {
        let values = split(text);
        if values.len() != self.names.len() && values.len() != self.required {
            let (found, expected) = (values.len(), self.names.len());
            return Err(format!("{found} values where the header names {expected} columns"));
        }
        Ok(Line(values))
    }

    /// Names and values as texts, missing ones left out.
    pub fn texts(&self, line: &Line) -> impl Iterator<Item = (String, Value)> {
        let text = |(at, name): (usize, &String)| Some((name.clone(), line.text(Some(at))?.into()));
        self.names.iter().enumerate().filter_map(text)
    }

    /// The values outside of these places and of the tail as the text of a JSON object, missing ones left out; nothing
    /// if there is none.
    pub fn others(&self, line: &Line, taken: &[Option<usize>]) -> Option<String> {
        let mut all = Map::new();
        for (place, name) in self.names.iter().enumerate().take(self.required) {
            if name.is_empty() || taken.contains(&Some(place)) {
                continue;
            }
            if let Some(text) = line.text(Some(place)) {
                let number = text.parse::<Number>().ok();
                let value = number.map_or_else(|| Value::String(text.into()), Value::Number);
                all.insert(name.clone(), value);
            }
        }
        (!all.is_empty()).then(|| Value::Object(all).to_string())
    }
}

impl Line<'_> {
    /// The value at that place; an empty one and `NA` are none.
    pub fn text(&self, place: Option<usize>) -> Option<&str> {
        let text = self.0.get(place?)?.trim();
        (!text.is_empty() && !text.eq_ignore_ascii_case("na")).then_some(text)
    }

    /// The number at that place; what is not finite is none.
    ///
    /// # Errors
    /// When something else than a number is there.
    pub fn number(&self, place: Option<usize>) -> Result<Option<f64>, String> {
        let Some(text) = self.text(place) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(value) => Ok(value.is_finite().then_some(value)),
            Err(_) => Err(format!("'{text}' is not a number")),
        }
    }
}

/// Splits a line at its commas; values in quotes may hold some (RFC 4180).
fn split(line: &str) -> Vec<Cow<'_, str>> {
    if !line.contains('"') {
        return line.split(',').map(Cow::Borrowed).collect();
    }
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(Cow::Owned(std::mem::take(&mut value))),
            _ => value.push(c),
        }
    }
    values.push(Cow::Owned(value));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let header = Header::parse("App, B,c,D,");
        let line = header.line("\"a, \"\"b\"\"\",1.5,NA,x,").unwrap();
        assert_eq!(line.text(header.find(&["z", "app"])), Some("a, \"b\""));
        assert_eq!(line.number(header.find(&["b"])), Ok(Some(1.5)));
        assert_eq!(line.number(header.find(&["c"])), Ok(None));
        assert_eq!(line.number(None), Ok(None));
        assert!(line.number(header.find(&["d"])).is_err());
        assert_eq!(header.others(&line, &[Some(0)]).as_deref(), Some(r#"{"B":1.5,"D":"x"}"#));
        assert!(header.line("1,2").unwrap_err().contains("2 values"));
    }

    #[test]
    fn a_line_may_do_without_the_tail_but_not_with_a_part_of_it() {
        let mut header = Header::parse("A,OS,B,OS,GPU #");
        header.allow_missing_tail(&["os", "gpu #"]);
        assert_eq!(header.tail().collect::<Vec<_>>(), [(3, "OS"), (4, "GPU #")]);
        let whole = header.line("1,2,3,Windows,1").unwrap();
        assert_eq!(header.others(&whole, &[]).as_deref(), Some(r#"{"A":1,"B":3,"OS":2}"#));
        assert!(header.line("1,2,3").is_ok());
        assert!(header.line("1,2,3,Windows").is_err());
    }
}
