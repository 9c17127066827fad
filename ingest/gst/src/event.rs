//! One stage event, and the line it becomes.

use std::io::Write;
use std::sync::Arc;

use crate::point::Point;

/// The first line on a connection: it tells the process, so that pipelines of one name in several processes are told
/// apart. Where `/proc` is hidden, the recorder tells them apart by connection.
pub fn hello() -> String {
    let process = start_ticks().map_or_else(String::new, |start| {
        format!(",\"pid\":{},\"start\":{start}", std::process::id())
    });
    format!("{{\"hello\":\"gst\",\"simulated\":false{process}}}\n")
}

/// When this process began, in clock ticks since boot: the twentieth field behind the command (proc(5)).
fn start_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

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
    fn hello_tells_the_process() {
        let hello = hello();
        assert!(hello.starts_with("{\"hello\":\"gst\",\"simulated\":false,\"pid\":"), "{hello}");
        assert!(hello.contains(&std::process::id().to_string()) && hello.ends_with("}\n"));
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
