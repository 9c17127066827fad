//! The jobs: questions of `sql/`, asked by name.

mod lag;
mod parameters;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;

pub(crate) use lag::power_lag;
pub use parameters::Parameter;

use crate::advice::nearest;
use crate::{Answer, Query, QueryError};

/// One question, kept as a file of SQL. Its comment tells what it answers and lists its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Name: that of its file.
    pub name: &'static str,
    /// The file.
    pub sql: &'static str,
}

macro_rules! jobs {
    ($($name:literal),*) => {
        &[$(Job { name: $name, sql: include_str!(concat!("../../../sql/", $name, ".sql")) }),*]
    };
}

/// All jobs.
pub const JOBS: &[Job] = jobs![
    "latency",
    "stats",
    "efficiency",
    "power",
    "timeline",
    "thermal",
    "gaps",
    "lag",
    "clocks",
    "flow"
];

/// One step of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowStep {
    /// The name that its marks carry.
    pub step: String,
    /// The latency that counts as met.
    pub latency_target_ms: Option<f64>,
}

impl Job {
    /// The job of that name.
    ///
    /// # Errors
    /// [`QueryError::Name`] with the nearest name that is one.
    pub fn named(name: &str) -> Result<&'static Job, QueryError> {
        let names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
        let found = JOBS.iter().find(|job| job.name == name);
        found.ok_or_else(|| match nearest(name, &names) {
            Some(near) => {
                QueryError::Name(format!("there is no job '{name}': did you mean '{near}'?"))
            }
            None => {
                let names = names.join(", ");
                QueryError::Name(format!("there is no job '{name}': there are {names}"))
            }
        })
    }

    /// What it answers, in one sentence.
    pub fn summary(&self) -> String {
        let lines = self.comment().take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Its parameters, in the order of its comment.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.comment().filter_map(Parameter::parse).collect()
    }

    /// The lines of the comment that it begins with.
    fn comment(&self) -> impl Iterator<Item = &'static str> {
        self.sql.lines().map_while(|line| line.strip_prefix("--")).map(str::trim)
    }
}

impl Query {
    /// Asks a job, with values for some of its parameters by name (without `$`); the others have their defaults.
    ///
    /// # Errors
    /// [`QueryError::Name`] for a parameter that it has not, or a value that is none; else as
    /// [`answer`](Query::answer).
    pub async fn job(
        &self,
        job: &Job,
        values: &BTreeMap<String, String>,
    ) -> Result<Answer, QueryError> {
        let mut statements = self.statements(job.sql)?;
        let Some(mut statement) = statements.pop() else {
            return Err(QueryError::Name(format!("job {} holds no statement", job.name)));
        };
        parameters::bind(job, &mut statement, values)?;
        self.answer(statement).await
    }

    /// Registers the steps of a flow, which job `flow` compares with what was recorded, as table `flow_steps`.
    ///
    /// # Errors
    /// When the table cannot be registered.
    pub fn register_flow(&self, steps: &[FlowStep]) -> Result<(), QueryError> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("place", DataType::Int64, false),
            Field::new("step", DataType::Utf8, false),
            Field::new("latency_target_ms", DataType::Float64, true),
        ]));
        let table = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(Int64Array::from_iter_values(1..=steps.len() as i64)),
                Arc::new(StringArray::from_iter_values(steps.iter().map(|s| &s.step))),
                Arc::new(Float64Array::from_iter(steps.iter().map(|s| s.latency_target_ms))),
            ],
        )
        .map_err(|e| QueryError::plan(e.into()))
        .and_then(|rows| MemTable::try_new(schema, vec![vec![rows]]).map_err(QueryError::plan))?;
        self.context().register_table("flow_steps", Arc::new(table)).map_err(QueryError::plan)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_tells_what_it_answers_and_lists_all_that_it_takes() {
        for job in JOBS {
            assert!(job.summary().ends_with('.'), "{}: {:?}", job.name, job.summary());
            let known: Vec<String> = job.parameters().into_iter().map(|p| p.name).collect();
            let statement = job.sql.lines().filter(|line| !line.starts_with("--"));
            for line in statement {
                for used in line.split('$').skip(1) {
                    let end = used.find(|c: char| !c.is_alphanumeric() && c != '_');
                    let used = &used[..end.unwrap_or(used.len())];
                    assert!(known.iter().any(|name| name == used), "{}: ${used}", job.name);
                }
            }
        }
        assert!(Job::named("stat").unwrap_err().to_string().contains("did you mean 'stats'"));
    }

    #[test]
    fn the_page_of_jobs_lists_each_with_its_parameters() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/jobs.md"));
        let page = page.unwrap();
        for job in JOBS {
            let line = page.lines().find(|line| line.starts_with(&format!("| `{}` |", job.name)));
            let line = line.unwrap_or_else(|| panic!("docs/jobs.md has no line for {}", job.name));
            let parameters = job.parameters().into_iter();
            for name in parameters.map(|p| p.name).filter(|name| !name.starts_with("stage_")) {
                assert!(line.contains(&format!("`{name}`")), "{}: {name}", job.name);
            }
        }
    }
}
