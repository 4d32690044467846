//! The outcome as a picture: a line a case, a dot a subject, on a scale on which to the right of 1 is better than the kernel.
//!
//! Written as SVG by hand: it is lines, dots and words.

use std::fmt::{self, Write};

use crate::outcome::{CaseOutcome, Outcome};
use crate::subject::Subject;
use crate::workload::{Base, Better};

const LEFT: f64 = 420.0;
const WIDTH: f64 = 560.0;
const LINE: f64 = 20.0;
const TOP: f64 = 76.0;
/// The ends of the scale; what lies beyond is drawn at its end.
const SCALE: f64 = 32.0;

/// All of it, as an SVG document.
pub fn svg(outcome: &Outcome) -> String {
    let mut text = String::new();
    // A string takes all that is written.
    let _ = write(&mut text, outcome);
    text
}

fn write(to: &mut impl Write, outcome: &Outcome) -> fmt::Result {
    let cases: Vec<&CaseOutcome> = outcome.cases.iter().filter(|case| !case.figures.is_empty()).collect();
    let bottom = TOP + LINE * cases.len() as f64;
    let (width, height) = (LEFT + WIDTH + 30.0, bottom + 30.0);
    writeln!(
        to,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(to, r#"<rect width="{width}" height="{height}" fill="white"/>"#)?;
    let title = "Each figure against the kernel's in the same run; to the right is better";
    writeln!(to, r#"<text x="14" y="22" font-size="15" font-weight="bold">{title}</text>"#)?;
    legend(to, &cases)?;
    let mut tick = 1.0 / SCALE;
    while tick <= SCALE {
        let (x, strong) = (place(tick), tick == 1.0);
        let colour = if strong { "#333" } else { "#ddd" };
        writeln!(to, r#"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="{colour}"/>"#, TOP - 6.0)?;
        let label = if tick < 1.0 { format!("1/{}", 1.0 / tick) } else { tick.to_string() };
        writeln!(to, r##"<text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555">{label}</text>"##, bottom + 16.0)?;
        tick *= 2.0;
    }
    for (index, case) in cases.iter().enumerate() {
        line(to, case, TOP + LINE * (index as f64 + 0.5))?;
    }
    writeln!(to, "</svg>")
}

fn legend(to: &mut impl Write, cases: &[&CaseOutcome]) -> fmt::Result {
    let figures = cases.iter().flat_map(|case| &case.figures);
    let mut subjects: Vec<Subject> = figures.flat_map(|figure| &figure.values).map(|value| value.subject).collect();
    subjects.sort();
    subjects.dedup();
    let mut x = 20.0;
    for subject in subjects {
        writeln!(to, r#"<circle cx="{x}" cy="44" r="5" fill="{}"/>"#, colour(subject))?;
        writeln!(to, r#"<text x="{}" y="48">{subject}</text>"#, x + 9.0)?;
        x += 26.0 + 7.0 * subject.to_string().len() as f64;
    }
    Ok(())
}

fn line(to: &mut impl Write, case: &CaseOutcome, y: f64) -> fmt::Result {
    let figure = &case.figures[0];
    let wire = if case.wire.is_empty() { String::new() } else { format!(" ({})", case.wire) };
    let against = if case.base == Base::BestOther { ", against the best other" } else { "" };
    let label = escaped(&format!("{}{wire}{against}", case.title));
    writeln!(to, r#"<text x="{}" y="{:.1}" text-anchor="end" font-size="11">{label}</text>"#, LEFT - 14.0, y + 4.0)?;
    writeln!(to, r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="#f0f0f0"/>"##, LEFT + WIDTH)?;
    // The first subjects are drawn last, on top.
    for value in figure.values.iter().rev() {
        let Some(ratio) = value.ratio.filter(|ratio| *ratio > 0.0) else { continue };
        let gain = if figure.better == Better::Higher { ratio } else { 1.0 / ratio };
        let (x, fill) = (place(gain), colour(value.subject));
        let median = format!("{}: {:.4} {} ({ratio:.2})", value.subject, value.summary.median, figure.unit);
        writeln!(
            to,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="5" fill="{fill}"><title>{}</title></circle>"#,
            escaped(&median)
        )?;
    }
    Ok(())
}

/// Where a ratio stands; what lies beyond the scale stands at its end.
fn place(ratio: f64) -> f64 {
    LEFT + WIDTH * (ratio.clamp(1.0 / SCALE, SCALE).log(SCALE) + 1.0) / 2.0
}

fn colour(subject: Subject) -> &'static str {
    match subject {
        Subject::Kernel => "#333333",
        Subject::Sockeye => "#d62728",
        Subject::SockeyeLibrary => "#ff9896",
        Subject::Smoltcp => "#1f77b4",
        Subject::Lwip => "#2ca02c",
        Subject::Gvisor => "#17becf",
        Subject::Netstack3 => "#9467bd",
        Subject::Passt => "#8c6d31",
        Subject::Slirp4netns => "#e7ba52",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn one_is_in_the_middle_and_nothing_is_beyond_the_ends() {
        assert_eq!(place(1.0), LEFT + WIDTH / 2.0);
        assert_eq!((place(0.0), place(f64::INFINITY)), (LEFT, LEFT + WIDTH));
    }

    #[test]
    fn every_subject_has_its_dot_and_every_word_is_escaped() {
        let svg = svg(&sample());
        let dots = svg.lines().filter(|line| line.contains("<title>")).count();
        assert_eq!(dots, 2, "{svg}");
        assert!(svg.contains("sends &lt;1 flow&gt; (offloads on, MTU 1500)"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
