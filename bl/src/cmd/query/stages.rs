//! The stages that frames passed.

use bl_query::Query;

/// The stages of every event in the sessions that `query` is about, in order of their names.
pub async fn seen(query: &Query) -> anyhow::Result<Vec<String>> {
    const SEEN: &str = "SELECT DISTINCT stage FROM pipeline WHERE stage IS NOT NULL ORDER BY stage";
    let Some(statement) = query.statements(SEEN)?.pop() else { return Ok(Vec::new()) };
    let mut batches = query.answer(statement).await?.stream().await?;
    let mut seen = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            seen.push(arrow::util::display::array_value_to_string(batch.column(0), row)?);
        }
    }
    Ok(seen)
}
