//! The whole grid: how true what is told is, and how much is told.

use super::generator::{MS, Pipeline, Score};

const RATES: [f64; 4] = [24.0, 60.0, 120.0, 240.0];
const LATENCIES: [f64; 6] = [0.3, 0.6, 0.9, 1.3, 2.5, 5.0];
const DROPS: [f64; 2] = [0.0, 0.05];
const JITTERS: [f64; 2] = [0.05, 0.2];
const TICKS_MS: [f64; 4] = [0.0, 0.05, 0.2, 0.5];

#[test]
#[ignore = "a study: takes minutes and prints a table"]
fn study() {
    let env = |name: &str, or: f64| {
        std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(or)
    };
    let seeds = env("STUDY_SEEDS", 200.0) as u64;
    let hold = env("STUDY_HOLD_S", 0.0);
    let rate = env("STUDY_RATE", 0.0);
    println!("rate tick_ms latency jitter dropped before told true drops shifted");
    let mut all = Score::default();
    for rate in RATES.into_iter().filter(|of| rate == 0.0 || *of == rate) {
        for tick_ms in TICKS_MS {
            for latency in LATENCIES {
                for jitter in JITTERS {
                    for dropped in DROPS {
                        for before in [0, 30] {
                            let pipeline = Pipeline {
                                period_ns: 1e9 / rate,
                                tick_jitter_ns: tick_ms * MS,
                                latency_periods: latency,
                                jitter,
                                dropped,
                                before,
                                first_kept: false,
                                hold_ns: (hold > 0.0).then_some((hold * 1e9) as i64),
                                frames: env("STUDY_FRAMES", 1500.0) as u64,
                                ..Pipeline::new(|_| 0.0)
                            };
                            let score = pipeline.scores(0..seeds);
                            println!(
                                "{rate} {tick_ms} {latency} {jitter} {dropped} {before} \
                                 {:.4} {:.5} {:.4} {}",
                                score.recall(),
                                score.truth(),
                                score.drop_truth(),
                                score.shifted,
                            );
                            all = all.add(score);
                        }
                    }
                }
            }
        }
    }
    println!("all {:?} {:.6} {:.6}", all, all.truth(), all.drop_truth());
}

#[test]
#[ignore = "a study of row 4"]
fn row_4() {
    for hold_ns in [None, Some(30_000_000_000)] {
        for latency_ns in [|_| 4.0 * MS, |_| 12.0 * MS, |_| 30.0 * MS, |_| 50.0 * MS] {
            let pipeline = Pipeline { hold_ns, ..Pipeline::new(latency_ns) };
            let score = pipeline.scores(0..100);
            println!(
                "{hold_ns:?} {} {:.4} {:.6} {:.5} {score:?}",
                latency_ns(0) / MS,
                score.recall(),
                score.truth(),
                score.drop_truth()
            );
        }
    }
}

#[test]
#[ignore = "debug"]
fn debug() {
    let pipeline = Pipeline::new(|frame| if frame < 1_500 { 8.0 * MS } else { 15.0 * MS });
    let (events, _) = pipeline.run(0);
    let mut pairer = super::KeylessPairer::new(0, crate::pair::PairOptions::default());
    for event in events.iter() {
        pairer.push(*event);
        if (1490..1530).contains(&event.carry) || event.carry % 200 == 0 {
            eprintln!("{} {:?} {} {}", event.carry, event.side, pairer.alignments.len(), pairer.alignments.describe());
        }
    }
}
