//! The prompt of `bl query`.

use std::path::PathBuf;

use anyhow::Context;
use bl_export::table::TableFormat;
use bl_query::Query;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

const HELP: &str = "SQL, ended by ';'. SHOW TABLES; lists tables, DESCRIBE name; their columns. \\q or Ctrl-D ends.";

/// Asks for statements until the end of input.
pub async fn run(query: &Query) -> anyhow::Result<()> {
    let mut editor = DefaultEditor::new()?;
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    eprintln!("{HELP}");
    let mut statement = String::new();
    loop {
        let prompt = if statement.is_empty() { "bl> " } else { "..> " };
        match editor.readline(prompt) {
            Ok(line) if statement.is_empty() && matches!(line.trim(), "\\q" | "quit" | "exit") => {
                break;
            }
            Ok(line) if statement.is_empty() && matches!(line.trim(), "\\?" | "help") => {
                eprintln!("{HELP}");
            }
            Ok(line) => {
                statement.push_str(&line);
                statement.push('\n');
                if line.trim_end().ends_with(';') {
                    editor.add_history_entry(statement.trim())?;
                    if let Err(e) = answer(query, &statement).await {
                        eprintln!("{}", crate::terminal::sentence(&e));
                    }
                    statement.clear();
                } else if statement.trim().is_empty() {
                    statement.clear();
                }
            }
            Err(ReadlineError::Interrupted) => statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        }
    }
    if let Some(path) = &history {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        editor.save_history(path)?;
    }
    Ok(())
}

async fn answer(query: &Query, sql: &str) -> anyhow::Result<()> {
    for statement in query.statements(sql)? {
        let answer = query.answer(statement).await?;
        if let Some(effect) = answer.effect() {
            eprintln!("{effect}");
            answer.drain().await?;
            continue;
        }
        let table = TableFormat::named("table").context("tables cannot be written")?;
        table.write(answer, std::io::stdout()).await.map_err(super::told)?;
    }
    Ok(())
}

/// `$XDG_STATE_HOME/benchlab/query-history`, else below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("benchlab/query-history"))
}
