//! The data dictionary: the tables for people.

use std::fmt::Write;

use crate::{Table, tables};

/// The whole data dictionary as Markdown, kept in `schemas/README.md`.
pub fn data_dictionary() -> String {
    let mut out = String::from(
        "# Data dictionary\n\n\
         Made from the TOML files beside it (`make dictionary`); do not edit by hand.\n\
         Types are those at rest: `dict` is a dictionary of strings, `decimal(9,3)` an exact decimal in 32 bits,\n\
         which SQL of `bl query` sees as a 64-bit float. A missing reading is null.\n\n\
         | table | what a row is |\n|---|---|\n",
    );
    for t in tables() {
        let first = t.description.split_inclusive(['.', ':']).next().unwrap_or_default();
        // String's fmt::Write cannot fail.
        let _ = writeln!(out, "| [`{0}`](#{0}) | {1} |", t.name, first.trim_end_matches(':'));
    }
    tables().iter().for_each(|t| section(&mut out, t));
    out
}

fn section(out: &mut String, table: &Table) {
    let place = if table.aligned { "aligned" } else { "raw" };
    let _ = writeln!(out, "\n## {}\n\n{}\n", table.name, table.description);
    let _ = writeln!(out, "Since format {}; under `{place}/{}/`.\n", table.since, table.name);
    out.push_str("| column | type | unit | meaning |\n|---|---|---|---|\n");
    for c in &table.columns {
        let unit = c.unit.as_deref().unwrap_or("");
        let _ = writeln!(out, "| `{}` | {} | {unit} | {} |", c.name, c.kind, c.description);
    }
}
