//! What GStreamer finds when it loads the library.

use gstreamer as gst;

use gst::glib::{self, types::StaticType};

use crate::tracer::StageTracer;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Tracer::register(Some(plugin), "bl", StageTracer::static_type())
}

gst::plugin_define!(
    bl,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME")
);
