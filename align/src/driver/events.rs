//! Stage events as columns, their stages and pipelines numbered.

use std::collections::HashMap;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;

use super::KEYS;
use crate::pair::{KeyColumn, Side, StageError, of_names};

/// Events of any stages and pipelines, as columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct EventColumns<'a> {
    /// Times.
    pub ts_ns: &'a [i64],
    /// Names of the pipelines, strings or a dictionary of them; events of different ones never
    /// pair, and those without a name are of one. `None`: none has a name.
    pub pipeline: Option<&'a ArrayRef>,
    /// Names of the stages, strings or a dictionary of them.
    pub stage: &'a ArrayRef,
    /// What identifies the frames: [`KEYS`], in their order. `None`: no event has it.
    pub keys: [Option<KeyColumn<'a>>; KEYS.len()],
}

/// The name of a pipeline, if it has one.
pub type Pipeline<'a> = Option<&'a str>;

/// A stage that is in no pair.
const OTHER: u32 = 0;

/// Events with numbers in place of names.
pub(super) struct Numbered {
    pub pipeline: Vec<u32>,
    /// 0: in no pair.
    pub stage: Vec<u32>,
    /// Stands for a key that no event has.
    pub absent: (Vec<i64>, NullBuffer),
}

/// Numbers of stages, and of pipelines as they come.
#[derive(Default)]
pub(super) struct Stages {
    names: Vec<String>,
    pipelines: Vec<Option<String>>,
    numbers: HashMap<Option<String>, u32>,
}

/// The numbers of a pair's stages.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    a: u32,
    b: u32,
}

impl Ends {
    pub fn side(self, stage: u32) -> Option<Side> {
        match stage {
            _ if stage == self.a => Some(Side::A),
            _ if stage == self.b => Some(Side::B),
            _ => None,
        }
    }
}

impl Stages {
    pub fn number_pair(&mut self, stage_a: &str, stage_b: &str) -> Result<Ends, StageError> {
        if stage_a == stage_b {
            return Err(StageError::Same { stage: stage_a.into() });
        }
        Ok(Ends { a: self.number_stage(stage_a), b: self.number_stage(stage_b) })
    }

    fn number_stage(&mut self, stage: &str) -> u32 {
        let known = self.stage(Some(stage));
        if known == OTHER {
            self.names.push(stage.into());
            return self.names.len() as u32;
        }
        known
    }

    fn stage(&self, stage: Option<&str>) -> u32 {
        let known = stage.and_then(|stage| self.names.iter().position(|known| known == stage));
        known.map_or(OTHER, |at| at as u32 + 1)
    }

    pub fn number(&mut self, events: &EventColumns<'_>) -> Result<Numbered, StageError> {
        let rows = events.ts_ns.len();
        let stage = of_names(events.stage, |stage| self.stage(stage))?;
        let pipeline = match events.pipeline {
            Some(names) => of_names(names, |name| self.number_pipeline(name))?,
            None => vec![self.number_pipeline(None); rows],
        };
        let absent = match events.keys.iter().all(Option::is_some) {
            true => (Vec::new(), NullBuffer::new_null(0)),
            false => (vec![0; rows], NullBuffer::new_null(rows)),
        };
        Ok(Numbered { pipeline, stage, absent })
    }

    fn number_pipeline(&mut self, name: Option<&str>) -> u32 {
        // No allocation for a name that is known.
        let known = self.pipelines.last().filter(|last| last.as_deref() == name);
        let known = match known {
            Some(_) => Some(self.pipelines.len() as u32 - 1),
            None => self.numbers.get(&name.map(str::to_string)).copied(),
        };
        known.unwrap_or_else(|| {
            let number = self.pipelines.len() as u32;
            self.pipelines.push(name.map(str::to_string));
            self.numbers.insert(name.map(str::to_string), number);
            number
        })
    }

    pub fn pipeline(&self, number: u32) -> Pipeline<'_> {
        self.pipelines.get(number as usize).and_then(Option::as_deref)
    }

    pub fn pipelines(&self) -> impl Iterator<Item = Pipeline<'_>> {
        self.pipelines.iter().map(Option::as_deref)
    }
}

impl Numbered {
    /// The keys as [`Pipelines`](crate::pair::Pipelines) take them.
    pub fn keys<'a>(&'a self, events: &EventColumns<'a>) -> [KeyColumn<'a>; KEYS.len()] {
        let absent = (self.absent.0.as_slice(), Some(&self.absent.1));
        events.keys.map(|key| key.unwrap_or(absent))
    }
}
