//! The hooks into GStreamer.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use gstreamer as gst;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::event::Event;
use crate::point::{PadPoints, Points};
use crate::settings::Settings;
use crate::{ending, writer};

glib::wrapper! {
    /// The tracer `bl`.
    pub struct StageTracer(ObjectSubclass<imp::StageTracer>)
        @extends gst::Tracer, gst::Object;
}

mod imp {
    use super::*;

    /// What belongs to one tracer of the process; empty when its settings were of no use.
    #[derive(Default)]
    pub struct StageTracer {
        pub(super) state: OnceLock<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for StageTracer {
        const NAME: &'static str = "BlStageTracer";
        type Type = super::StageTracer;
        type ParentType = gst::Tracer;
    }

    impl ObjectImpl for StageTracer {
        fn constructed(&self) {
            self.parent_constructed();
            let params: Option<String> = self.obj().property("params");
            if params.is_none() && std::env::var_os("GST_TRACERS").is_none() {
                // gst-inspect only looks.
                return;
            }
            match State::start(params.as_deref().unwrap_or("")) {
                Ok(state) => {
                    if self.state.set(state).is_ok() {
                        self.register_hook(TracerHook::PadPushPre);
                        self.register_hook(TracerHook::PadPushListPre);
                    }
                }
                // The application is not ours to end, and has no other place to show this.
                Err(problem) => eprintln!("bl: nothing is traced: {problem}"),
            }
        }
    }

    impl GstObjectImpl for StageTracer {}

    impl TracerImpl for StageTracer {
        fn pad_push_pre(&self, _ts: u64, pad: &gst::Pad, buffer: &gst::Buffer) {
            if let Some(state) = self.state.get() {
                state.pushed(pad, || std::iter::once(buffer.as_ref()));
            }
        }

        fn pad_push_list_pre(&self, _ts: u64, pad: &gst::Pad, list: &gst::BufferList) {
            if let Some(state) = self.state.get() {
                state.pushed(pad, || list.iter());
            }
        }
    }
}

/// A tracer at work.
struct State {
    points: std::sync::Arc<Points>,
    queue: writer::Queue,
}

/// Why a tracer does not work.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("GST_TRACERS: {0}")]
    Settings(#[from] crate::settings::SettingsError),
    #[error("the thread that writes events cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl State {
    fn start(params: &str) -> Result<Self, StartError> {
        static INSTANCES: AtomicUsize = AtomicUsize::new(0);
        let settings = Settings::parse(params)?;
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let points = std::sync::Arc::new(Points::new(settings.stages, instance));
        let (queue, handle) = writer::start(settings.socket)?;
        ending::expect(handle, points.clone(), settings.report, instance);
        Ok(Self { points, queue })
    }

    /// Buffers are about to leave `pad`, that is, to enter the pad it is linked to.
    fn pushed<'b, I>(&self, pad: &gst::Pad, buffers: impl Fn() -> I)
    where
        I: Iterator<Item = &'b gst::BufferRef>,
    {
        // CLOCK_MONOTONIC on Linux (GStreamer, gst_util_get_timestamp).
        let ts_ns = gst::get_timestamp().nseconds();
        let peer = pad.peer();
        for side in [Some(pad), peer.as_ref()].into_iter().flatten() {
            let Some(at) = self.points.of(side) else { continue };
            if !at.points.is_empty() {
                // The peer gets the same segment, but perhaps only with this buffer.
                self.passed(at, pad, ts_ns, buffers());
            }
        }
    }

    fn passed<'b>(
        &self,
        at: &PadPoints,
        pad: &gst::Pad,
        ts_ns: u64,
        buffers: impl Iterator<Item = &'b gst::BufferRef>,
    ) {
        let Some(sticky) = pad.sticky_event::<gst::event::Segment>(0) else { return };
        // Bytes of a file are no frames.
        let Some(segment) = sticky.segment().downcast_ref::<gst::ClockTime>() else { return };
        for buffer in buffers {
            let pts = buffer.pts();
            if pts.is_none() && buffer.flags().contains(gst::BufferFlags::HEADER) {
                continue;
            }
            let key_ns = pts.and_then(|pts| running_time_ns(segment, pts));
            if at.begins_frame(key_ns) {
                for point in &at.points {
                    point.events.fetch_add(1, Ordering::Relaxed);
                    let pts_ns = pts.map(gst::ClockTime::nseconds);
                    self.queue.offer(Event { point: point.clone(), ts_ns, key_ns, pts_ns });
                }
            }
        }
    }
}

/// The running time, which is the same on both sides of an encoder; also outside of the segment, where frames
/// still pass on their way to being clipped.
fn running_time_ns(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    pts: gst::ClockTime,
) -> Option<i64> {
    match segment.to_running_time_full(pts)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|ns| -ns),
    }
}
