//! Which pads are stages, and what is known of each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;

use gst::glib;
use gst::prelude::*;

use crate::pipeline::Pipeline;
use crate::settings::Stage;

/// How many names of pads are kept for the report.
const NAMES_KEPT: usize = 64;

/// A stage at one pad.
#[derive(Debug)]
pub struct Point {
    /// Name of the stage.
    pub stage: String,
    /// The pipeline that the pad is in.
    pub pipeline: Arc<Pipeline>,
    /// The beginning of its lines: an open JSON object with the stage and the pipeline.
    pub json_head: String,
    /// Events so far, lost ones too.
    pub events: AtomicU64,
}

impl Point {
    /// A point without events yet.
    pub fn new(stage: &str, pipeline: Arc<Pipeline>) -> Self {
        let mut json_head = format!("{{\"stage\":{}", serde_json::Value::from(stage));
        if let Some(name) = pipeline.name.as_deref() {
            json_head.push_str(&format!(",\"pipeline\":{}", serde_json::Value::from(name)));
        }
        Self { stage: stage.to_owned(), pipeline, json_head, events: AtomicU64::new(0) }
    }
}

/// What the tracer keeps with a pad: the stages that it stands for, mostly none.
#[derive(Debug)]
pub struct PadPoints {
    /// The stages, none at most pads.
    pub points: Vec<Arc<Point>>,
    last_key_ns: AtomicI64,
}

impl PadPoints {
    /// Whether this is the first buffer of its frame: a payloader makes several with one running time. Of
    /// buffers without a key each counts.
    pub fn begins_frame(&self, key_ns: Option<i64>) -> bool {
        key_ns.is_none_or(|key| self.last_key_ns.swap(key, Ordering::Relaxed) != key)
    }
}

/// Finds the stages of pads, once for each pad.
#[derive(Debug)]
pub struct Points {
    quark: glib::Quark,
    stages: Option<Vec<Stage>>,
    found: Mutex<Found>,
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    points: Vec<(usize, Arc<Point>)>,
    pipelines: Vec<Arc<Pipeline>>,
    pads: BTreeSet<String>,
}

impl Found {
    /// The pipeline of that name; its numbers go on, whichever of its pads comes first.
    fn pipeline(&mut self, name: Option<String>) -> Arc<Pipeline> {
        if let Some(known) = self.pipelines.iter().find(|p| p.name == name) {
            return known.clone();
        }
        let new = Arc::new(Pipeline::new(name));
        self.pipelines.push(new.clone());
        new
    }
}

impl Points {
    /// Watches these stages, or without any the ends of pipelines. `instance` tells tracers of one process apart.
    pub fn new(stages: Option<Vec<Stage>>, instance: usize) -> Self {
        let quark = glib::Quark::from_str(format!("bl-stage-tracer-{instance}"));
        Self { quark, stages, found: Mutex::default() }
    }

    /// The stages of a pad. `None`: not known, because it does not belong to an element yet.
    pub fn of<'a>(&self, pad: &'a gst::Pad) -> Option<&'a PadPoints> {
        self.kept(pad).or_else(|| self.find(pad))
    }

    fn kept<'a>(&self, pad: &'a gst::Pad) -> Option<&'a PadPoints> {
        // SAFETY: only `find` stores under this quark, always a `PadPoints`, and it never replaces one: it
        // lives as long as the pad.
        unsafe { pad.qdata::<PadPoints>(self.quark).map(|kept| kept.as_ref()) }
    }

    #[cold]
    fn find<'a>(&self, pad: &'a gst::Pad) -> Option<&'a PadPoints> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.kept(pad) {
            return Some(kept);
        }
        // The inner half of a ghost pad has the ghost pad for a parent: never a stage.
        let parent = pad.parent()?;
        let points = match parent.downcast_ref::<gst::Element>() {
            Some(element) => self.points_at(element, pad, &mut found),
            None => Vec::new(),
        };
        let kept = PadPoints { points, last_key_ns: AtomicI64::new(i64::MIN) };
        // SAFETY: stored once a pad, under the lock, so that no reference to an older value can exist.
        unsafe { pad.set_qdata(self.quark, kept) };
        self.kept(pad)
    }

    fn points_at(
        &self,
        element: &gst::Element,
        pad: &gst::Pad,
        found: &mut Found,
    ) -> Vec<Arc<Point>> {
        let (element_name, pad_name) = (element.name(), pad.name());
        if found.pads.len() < NAMES_KEPT {
            found.pads.insert(format!("{element_name}.{pad_name}"));
        }
        let names: Vec<(usize, String)> = match &self.stages {
            Some(stages) => stages
                .iter()
                .enumerate()
                .filter(|(_, s)| s.element == element_name && s.pad == pad_name)
                .map(|(index, s)| (index, s.name.clone()))
                .collect(),
            None if is_end(element, pad) => vec![(0, end_name(&element_name, &pad_name))],
            None => Vec::new(),
        };
        if names.is_empty() {
            return Vec::new();
        }
        let pipeline = found.pipeline(name_of_pipeline(element));
        let points = names.into_iter().map(|(index, name)| {
            let point = Arc::new(Point::new(&name, pipeline.clone()));
            found.points.push((index, point.clone()));
            point
        });
        points.collect()
    }

    /// Events of each stage: its name, its pad (where one was asked for), and the count.
    pub fn counts(&self) -> Vec<(String, Option<String>, u64)> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let events = |point: &Point| point.events.load(Ordering::Relaxed);
        match &self.stages {
            Some(stages) => stages
                .iter()
                .enumerate()
                .map(|(index, s)| {
                    let mine = found.points.iter().filter(|(i, _)| *i == index);
                    let count = mine.map(|(_, point)| events(point)).sum();
                    (s.name.clone(), Some(format!("{}.{}", s.element, s.pad)), count)
                })
                .collect(),
            None => found.points.iter().map(|(_, p)| (p.stage.clone(), None, events(p))).collect(),
        }
    }

    /// Names (`element.pad`) of pads that buffers went through, the first 64 of them.
    pub fn pads_seen(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.pads.iter().cloned().collect()
    }
}

/// Whether a pad is a source's output or a sink's input. Bins are not asked: what is in them is.
fn is_end(element: &gst::Element, pad: &gst::Pad) -> bool {
    let flags = element.element_flags();
    !element.is::<gst::Bin>()
        && match pad.direction() {
            gst::PadDirection::Src => flags.contains(gst::ElementFlags::SOURCE),
            gst::PadDirection::Sink => flags.contains(gst::ElementFlags::SINK),
            _ => false,
        }
}

fn end_name(element: &str, pad: &str) -> String {
    match pad {
        "src" | "sink" => element.to_owned(),
        _ => format!("{element}.{pad}"),
    }
}

/// Name of the pipeline that an element is in, at whatever depth.
fn name_of_pipeline(element: &gst::Element) -> Option<String> {
    let mut top: gst::Object = element.clone().upcast();
    while let Some(parent) = top.parent() {
        top = parent;
    }
    top.is::<gst::Pipeline>().then(|| top.name().to_string())
}
