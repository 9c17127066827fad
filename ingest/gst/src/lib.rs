//! The GStreamer tracer `bl`: an unmodified application that is started with
//! `GST_TRACERS='bl(socket=PATH,stages="ingress=src.src+encoded=enc.src")'` reports when frames pass the named
//! pads, as lines of JSON on a Unix stream socket.
//!
//! - [`plugin`]: what GStreamer finds in the library,
//! - [`settings`]: what stands between the brackets,
//! - [`tracer`]: the hooks into GStreamer,
//! - [`point`]: which pads are stages, and what is known of each,
//! - [`pipeline`]: the numbers of a pipeline's events,
//! - [`event`]: one event and its line,
//! - [`writer`]: the bounded queue and the thread behind it,
//! - [`bell`]: how that thread is woken,
//! - [`ending`]: what happens when the process ends,
//! - [`report`]: what there is to say afterwards.

mod bell;
mod ending;
mod event;
mod pipeline;
mod plugin;
mod point;
mod report;
mod settings;
mod tracer;
mod writer;
