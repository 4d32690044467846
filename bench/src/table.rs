//! The outcome as text: a block a case, a line a subject, and three columns a figure: median, spread, ratio.

use std::fmt::{self, Write};

use crate::outcome::{CaseOutcome, Failure, FigureOutcome, Outcome, Participant};
use crate::scene::Turn;
use crate::subject::Subject;
use crate::workload::{Base, Better};

/// All of it.
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    // A string takes all that is written.
    let _ = write(&mut text, outcome);
    text
}

/// One case, for whoever watches.
pub fn block(case: &CaseOutcome) -> String {
    let mut text = String::new();
    let _ = write_case(&mut text, case);
    text
}

fn write(to: &mut impl Write, outcome: &Outcome) -> fmt::Result {
    let Outcome { machine, rounds, turn: Turn { seconds, pinned }, subjects, cases } = outcome;
    let place = if *pinned { "" } else { "; nobody pinned to a core" };
    writeln!(to, "{machine}; {rounds} rounds of {seconds} s{place}")?;
    writeln!(to, "median, ± half the range, and the ratio to the kernel's median; CPU is that of the whole machine\n")?;
    for case in cases {
        write_case(to, case)?;
        writeln!(to)?;
    }
    for Participant { subject, note } in subjects {
        writeln!(to, "{subject:<16} {note}")?;
    }
    Ok(())
}

fn write_case(to: &mut impl Write, case: &CaseOutcome) -> fmt::Result {
    let CaseOutcome { workload, title, wire, base, figures, failures } = case;
    let base = match base {
        Base::Kernel => "",
        Base::BestOther => "; ratio to the best that is not Sockeye",
    };
    let wire = if wire.is_empty() { String::new() } else { format!("; {wire}") };
    writeln!(to, "[{workload}] {title}{wire}{base}")?;
    write!(to, "  {:<16}", "")?;
    for FigureOutcome { name, unit, better, values: _ } in figures {
        let arrow = if *better == Better::Higher { '↑' } else { '↓' };
        write!(to, "{:>27}", format!("{name} {unit} {arrow}"))?;
    }
    writeln!(to)?;
    for subject in subjects(figures) {
        write!(to, "  {subject:<16}")?;
        for figure in figures {
            let cell = figure.values.iter().find(|value| value.subject == subject).map(|value| {
                let spread = format!("±{:.0} %", value.summary.spread * 100.0);
                let ratio = value.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
                format!("{:>12}{spread:>8}{ratio:>7}", number(value.summary.median))
            });
            write!(to, "{:>27}", cell.unwrap_or_default())?;
        }
        writeln!(to)?;
    }
    for Failure { subject, reason } in failures {
        writeln!(to, "  {subject:<16}  {reason}")?;
    }
    Ok(())
}

/// Who has any figure, in their order.
fn subjects(figures: &[FigureOutcome]) -> Vec<Subject> {
    let mut all: Vec<Subject> = figures.iter().flat_map(|figure| &figure.values).map(|value| value.subject).collect();
    all.sort();
    all.dedup();
    all
}

/// Three digits that matter, and thousands apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.1 => 4,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    if digits > 0 {
        return text;
    }
    let (sign, whole) = text.strip_prefix('-').map_or(("", text.as_str()), |whole| ("-", whole));
    let groups: Vec<&str> =
        whole.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or("")).collect();
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn a_line_a_subject() {
        let text = text(&sample());
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = |start: &str| text.lines().find(|line| line.trim().starts_with(start)).map(words);
        assert_eq!(line("sockeye"), Some(words("sockeye 18.0 ±36 % 1.50 1.00 ±0 % 2.00")));
        assert_eq!(line("lwip"), Some(words("lwip not built")));
        assert!(text.contains("[bulk] sends <1 flow>; offloads on, MTU 1500\n"), "{text}");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        let written = [0.0, 0.01234, 0.5, 1.234, 12.34, 123.4, 1234.5, -1_234_567.0].map(number);
        assert_eq!(written, ["0", "0.0123", "0.500", "1.23", "12.3", "123", "1,234", "-1,234,567"]);
    }
}
