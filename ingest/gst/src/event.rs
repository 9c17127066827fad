//! One stage event, and the line it becomes.

use std::io::Write;
use std::sync::Arc;

use crate::point::Point;

/// The first line on a connection.
pub const HELLO: &[u8] = b"{\"hello\":\"gst\",\"simulated\":false}\n";

/// A frame passed a point.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where.
    pub point: Arc<Point>,
    /// When, on `CLOCK_MONOTONIC`.
    pub ts_ns: u64,
    /// Running time of the frame, which identifies it. Negative before the start of the segment.
    pub key_ns: Option<i64>,
    /// The buffer's presentation time stamp.
    pub pts_ns: Option<u64>,
}

impl Event {
    /// Numbers the event and appends its line. What is not known is left out.
    pub fn render(&self, line: &mut Vec<u8>) {
        let seq = self.point.pipeline.number();
        line.extend_from_slice(self.point.json_head.as_bytes());
        // Writing to a vector cannot fail.
        let _ = write!(line, ",\"ts_ns\":{}", self.ts_ns);
        if let Some(key_ns) = self.key_ns {
            let _ = write!(line, ",\"key_ns\":{key_ns}");
        }
        if let Some(pts_ns) = self.pts_ns {
            let _ = write!(line, ",\"pts_ns\":{pts_ns}");
        }
        let _ = writeln!(line, ",\"seq\":{seq}}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;

    fn line(key_ns: Option<i64>, pts_ns: Option<u64>, pipeline: Option<&str>) -> String {
        let pipeline = Arc::new(Pipeline::new(pipeline.map(str::to_owned)));
        let point = Arc::new(Point::new("a \"b\"", pipeline));
        let mut line = Vec::new();
        Event { point, ts_ns: 7, key_ns, pts_ns }.render(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_json_and_leaves_out_what_is_not_known() {
        assert_eq!(
            line(Some(-5), Some(9), Some("pipeline0")),
            "{\"stage\":\"a \\\"b\\\"\",\"pipeline\":\"pipeline0\",\
             \"ts_ns\":7,\"key_ns\":-5,\"pts_ns\":9,\"seq\":0}\n"
        );
        assert_eq!(line(None, None, None), "{\"stage\":\"a \\\"b\\\"\",\"ts_ns\":7,\"seq\":0}\n");
    }
}
