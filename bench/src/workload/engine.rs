//! Stacks without a kernel: two of them in one thread of one process, over a wire in memory.
//!
//! With idle connections beside the one that is busy, the cost of a segment should not grow.

use std::time::Duration;

use super::bulk::figures;
use super::request::latencies;
use super::{Base, Case, Figure, Told, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::Scene;
use crate::subject::Subject;

pub(super) fn cases() -> Vec<Case> {
    let case = |title: &str, options: &'static [&'static str], verb: &'static str, idle: Option<&'static str>| Case {
        workload: "engine",
        title: format!("two stacks in one thread: {title}"),
        wire: None,
        admits: Subject::is_linked,
        base: Base::BestOther,
        once: false,
        quick: false,
        measure: Box::new(move |scene| engine(scene, options, verb, idle)),
    };
    vec![
        case("bulk as each does it best", &[], "bulk", None),
        case("bulk in segments for 1500 bytes with checksums", &["-m", "1500", "-c"], "bulk", None),
        case("request and response of 64 bytes", &[], "request", None),
        case("connect and request and close", &[], "connect", None),
        case("bulk beside 100 000 idle connections", &[], "bulk", Some("100000")),
        case("request and response beside 100 000 idle connections", &[], "request", Some("100000")),
    ]
}

fn engine(scene: &Scene<'_>, options: &[&str], verb: &str, idle: Option<&str>) -> Result<Vec<Figure>> {
    let mut driver = scene.engine()?;
    // Debian's lwIP does nothing else than segments for 1500 bytes with checksums, and knows no options for it.
    driver
        .args(if scene.subject == Subject::Lwip { &[] } else { options })
        .args(["engine", verb, &scene.seconds.to_string()])
        .args(idle);
    let ((peak, output), busy) = busy(|| {
        let driver = Process::start(&mut driver)?;
        Ok((driver.peak_memory(scene.patience()), driver.finish(Duration::from_secs(1))?))
    })?;
    let told = Told::read(&output)?;
    let mut figures = match verb {
        "bulk" => figures(told.rate() * 8.0, told.count, busy),
        "request" => latencies(&told, busy)?,
        _ => vec![Figure::more("rate", "conn/s", told.rate()), Figure::less("CPU", "µs/conn", busy * 1e6 / told.count)],
    };
    if let Some(idle) = idle {
        // Both ends of each are in this one process, and beside them hardly anything.
        figures.push(Figure::less("memory", "B/end", peak / (2.0 * idle.parse::<f64>()?)));
    }
    Ok(figures)
}
