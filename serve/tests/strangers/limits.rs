//! The table of the book has the limits that the program has.

use bl_serve::web::Limits;

#[test]
fn the_book_has_every_limit() {
    let book = include_str!("../../../docs/serve.md");
    let l = Limits::default();
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let rows = [
        ("bytes of a statement", thousands(l.statement.bytes)),
        ("words and signs of a statement", thousands(l.statement.tokens)),
        ("expressions within one another", thousands(l.statement.depth)),
        ("tables, subqueries and branches of `UNION`", thousands(l.statement.relations)),
        ("length given to `repeat`, `lpad` and the like", thousands(l.statement.value as usize)),
        ("rows of an answer", thousands(l.rows)),
        ("bytes of an answer", mib(l.answer_bytes)),
        ("time of a statement", format!("{} s", l.patience.as_secs())),
        ("memory of its operators", mib(l.memory_bytes)),
        ("memory of a question about a past session", mib(l.past_memory_bytes)),
        (
            "statements at a time, and questions about past sessions beside them",
            thousands(l.parallel),
        ),
        ("wait for a turn", format!("{} s", l.turn_patience.as_secs())),
        ("connections of the page", thousands(l.connections)),
        ("connections of the metrics", thousands(l.metric_connections)),
        ("descriptors kept for the store and the sources", thousands(l.descriptors_kept)),
        (
            "time to send a request, and of an idle connection",
            format!("{} s", l.header_patience.as_secs()),
        ),
        ("bytes of a request", format!("{} KiB", l.request_bytes >> 10)),
        ("time that a client may take nothing", format!("{} s", l.client_patience.as_secs())),
        ("streams", thousands(l.streams as usize)),
    ];
    for (what, value) in rows {
        let row = format!("| {what} | {value} |");
        assert!(book.contains(&row), "docs/serve.md lacks: {row}");
    }
}

fn thousands(number: usize) -> String {
    let text = number.to_string();
    match text.len() {
        0..=3 => text,
        n => format!("{},{}", &text[..n - 3], &text[n - 3..]),
    }
}
