//! Real pipelines, traced by the real plugin inside gst-launch-1.0.

use std::io::ErrorKind;

use super::harness::{Place, gst_launch, run, wait};

const ENCODER: &str =
    "x264enc name=enc speed-preset=ultrafast tune=zerolatency bitrate=500 key-int-max=30";
const SMALL: &str = "video/x-raw,width=160,height=120,framerate=30/1";

#[test]
fn an_encoder_shifts_pts_but_every_frame_is_paired_by_key() {
    let run = run(
        "ingress=src.src+encoded=enc.src",
        &format!("-q videotestsrc name=src num-buffers=120 ! {SMALL} ! {ENCODER} ! fakesink"),
    );
    assert_eq!(run.pair("ingress", "encoded"), (120, 0));
    let shift = run.stage("encoded")[0].pts_ns.unwrap() - run.stage("ingress")[0].pts_ns.unwrap();
    assert_eq!(shift, 1000 * 3600 * 1_000_000_000, "x264enc shifts by 1000 h");
    for (at, event) in run.events.iter().enumerate() {
        assert_eq!(event.seq, at as u64, "no gap");
        assert_eq!(event.pipeline.as_deref(), Some("pipeline0"));
        assert!((run.started_ns..run.ended_ns).contains(&event.ts_ns), "CLOCK_MONOTONIC");
    }
    let keys: Vec<i64> = run.by_key("ingress").into_keys().collect();
    assert_eq!(keys[..4], [0, 33_333_333, 66_666_666, 100_000_000]);
    assert_eq!(run.stderr, "");
}

#[test]
fn b_frames_leave_in_another_order_and_are_paired_all_the_same() {
    let run = run(
        "ingress=src.src+encoded=enc.src",
        &format!(
            "-q videotestsrc name=src num-buffers=90 pattern=ball ! {SMALL} ! \
             x264enc name=enc speed-preset=veryfast bframes=2 b-adapt=false ! fakesink"
        ),
    );
    assert_eq!(run.pair("ingress", "encoded"), (90, 0));
    let keys: Vec<i64> = run.stage("encoded").iter().map(|e| e.key_ns.unwrap()).collect();
    assert!(!keys.is_sorted(), "the encoder was to reorder frames");
}

#[test]
fn a_frame_stays_itself_through_queue_converter_and_decoder() {
    let run = run(
        "in=q.sink+out=q.src+small=caps.src+decoded=dec.src+shown=view.sink",
        &format!(
            "-q videotestsrc num-buffers=100 ! {SMALL} ! queue name=q ! videoscale ! \
             capsfilter name=caps caps=video/x-raw,width=80 ! jpegenc ! jpegdec name=dec ! fakesink name=view"
        ),
    );
    for stage in ["out", "small", "decoded", "shown"] {
        assert_eq!(run.pair("in", stage), (100, 0), "{stage}");
    }
}

#[test]
fn a_tee_leads_to_two_stages() {
    let run = run(
        "ingress=src.src+encoded=enc.src+preview=view.sink",
        &format!(
            "-q videotestsrc name=src num-buffers=80 ! {SMALL} ! tee name=t \
             t. ! queue ! {ENCODER} ! fakesink  t. ! queue ! fakesink name=view"
        ),
    );
    assert_eq!(run.pair("ingress", "encoded"), (80, 0));
    assert_eq!(run.pair("ingress", "preview"), (80, 0));
}

/// The pts of the buffers that a `fakesink name=out silent=false` has printed, in nanoseconds.
fn printed_pts_ns(stdout: &str) -> Vec<i64> {
    let lines =
        stdout.lines().filter(|line| line.contains("chain   *") && line.contains("out:sink"));
    lines
        .map(|line| {
            let stamp = line.split("pts: ").nth(1).unwrap().split(',').next().unwrap();
            let parts: Vec<&str> = stamp.split([':', '.']).collect();
            let number = |at: usize| parts[at].parse::<i64>().unwrap();
            ((number(0) * 60 + number(1)) * 60 + number(2)) * 1_000_000_000 + number(3)
        })
        .collect()
}

#[test]
fn what_videorate_drops_is_exact() {
    let run = run(
        "ingress=src.src+kept=out.sink",
        &format!(
            "-v videotestsrc name=src num-buffers=90 ! {SMALL} ! videorate drop-only=true ! \
             video/x-raw,framerate=10/1 ! fakesink name=out silent=false"
        ),
    );
    let printed = printed_pts_ns(&run.stdout);
    let kept: Vec<i64> = run.stage("kept").iter().map(|e| e.pts_ns.unwrap()).collect();
    assert_eq!(kept, printed, "the sink's own account");
    assert_eq!(run.pair("ingress", "kept"), (30, 60));
}

#[test]
fn what_a_leaky_queue_drops_is_exact() {
    let run = run(
        "ingress=src.src+shown=out.sink",
        &format!(
            "-v videotestsrc name=src num-buffers=300 pattern=black ! {SMALL} ! \
             queue leaky=downstream max-size-buffers=3 max-size-bytes=0 max-size-time=0 ! \
             identity sleep-time=10000 ! fakesink name=out silent=false"
        ),
    );
    let printed = printed_pts_ns(&run.stdout);
    let shown: Vec<i64> = run.stage("shown").iter().map(|e| e.pts_ns.unwrap()).collect();
    assert_eq!(shown, printed, "the sink's own account");
    let (paired, dropped) = run.pair("ingress", "shown");
    assert_eq!((paired, paired + dropped), (printed.len(), 300));
    assert!(dropped > 0, "the queue was to leak");
}

#[test]
fn of_a_payloaders_packets_the_first_of_each_frame_counts() {
    // The payloader pushes lists, and the packets of a frame have one running time.
    let run = run(
        "encoded=enc.src+packet=pay.src",
        &format!(
            "-v videotestsrc num-buffers=60 pattern=snow ! {SMALL} ! {ENCODER} ! \
             rtph264pay name=pay mtu=300 ! fakesink name=out silent=false"
        ),
    );
    assert!(printed_pts_ns(&run.stdout).len() > 120, "several packets a frame");
    assert_eq!(run.pair("encoded", "packet"), (60, 0));
}

#[test]
fn pads_of_bins_are_pads() {
    let run = run(
        "inner=same.src+outer=box.ghost0",
        &format!(
            "-q bin.( name=box videotestsrc num-buffers=20 ! {SMALL} ! identity name=same ) ! fakesink"
        ),
    );
    assert_eq!(run.pair("inner", "outer"), (20, 0));
}

#[test]
fn without_stages_the_ends_of_the_pipeline_are_stages() {
    let run = run(
        "",
        &format!(
            "-q videotestsrc name=cam num-buffers=50 ! {SMALL} ! tee name=t \
             t. ! queue ! {ENCODER} ! fakesink name=file  t. ! queue ! fakesink name=screen"
        ),
    );
    assert_eq!(run.pair("cam", "file"), (50, 0));
    assert_eq!(run.pair("cam", "screen"), (50, 0));
    assert_eq!(run.events.len(), 150, "nothing else");
}

#[test]
fn bytes_are_no_frames() {
    let place = Place::new();
    let listener = place.listen();
    let line = "-q fakesrc num-buffers=5 format=bytes ! fakesink";
    let output = wait(gst_launch(&place.socket(), "", line).spawn().unwrap());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nothing to send");
}

#[test]
fn a_stage_that_does_not_exist_is_told() {
    let run = run(
        "in=src.src+out=enc0.src",
        &format!("-q videotestsrc name=src num-buffers=5 ! {SMALL} ! {ENCODER} ! fakesink"),
    );
    assert_eq!(run.stage("in").len(), 5);
    assert!(
        run.stderr.starts_with("bl: no frame passed stage out at pad enc0.src; "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("enc.src"), "what there is instead: {}", run.stderr);
}
