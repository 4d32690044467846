//! What the demo tells.

use std::fmt::Display;
use std::time::Duration;

use crate::demo::load::Sum;
use crate::demo::programs::Programs;
use crate::demo::{Rows, Stage};
use crate::paint::{Paint, Tone, print};

/// What the first fetch brings.
pub(crate) const HELLO: &str = "Hello from the other end of the wire.\n";

/// A trace of more lines than this loses its middle.
const LONG: usize = 60;

/// A line of the node's trace: seconds, and a call or (further in) a frame.
struct Line<'a> {
    seconds: f64,
    text: &'a str,
}

/// A frame of the trace, and which way it went.
struct Frame<'a> {
    out: bool,
    what: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (time, text) = line.trim_start().split_once(' ')?;
        let seconds = time.trim_end_matches('s').parse().ok()?;
        Some(Line { seconds, text })
    }

    /// The frame, without the addresses of a TCP segment: on this wire the direction says as much.
    fn frame(&self) -> Option<Frame<'a>> {
        let text = self.text.strip_prefix("  ")?;
        let (out, what) = match text.split_once(' ')? {
            (">", what) => (true, what),
            ("<", what) => (false, what),
            _ => return None,
        };
        let mut words = what.splitn(5, ' ');
        let short = match (words.next(), words.next(), words.next(), words.next(), words.next()) {
            (Some("tcp"), _, Some(">"), _, Some(rest)) => rest,
            _ => what,
        };
        Some(Frame { out, what: short })
    }
}

/// A line of `show counters` that has counted something: group, name, value, meaning.
struct Counter<'a> {
    group: &'a str,
    name: &'a str,
    value: u64,
    meaning: &'a str,
}

impl<'a> Counter<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (group, rest) = line.split_once(char::is_whitespace)?;
        let (name, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        let rest = rest.trim_start();
        let (value, meaning) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let value = value.parse().ok().filter(|&value| value > 0)?;
        Some(Counter { group, name, value, meaning: meaning.trim() })
    }
}

/// The teller.
pub(crate) struct Story {
    paint: Paint,
}

impl Story {
    pub(crate) fn new() -> Self {
        Story { paint: Paint::for_output() }
    }

    /// A reader that has gone away does not stop the demo.
    fn say(&self, text: impl Display) {
        let _ = print(format_args!("{text}\n"));
    }

    fn heading(&self, text: impl Display) {
        self.say(format_args!("\n{}", self.paint.tone(Tone::Strong, text)));
    }

    pub(crate) fn opening(&self, stage: &Stage, size: u32, unprivileged: bool) {
        let Stage { ends, programs, .. } = stage;
        let paint = self.paint;
        let release = rustix::system::uname();
        let linux = format!("Linux {}", release.release().to_string_lossy());
        self.say(paint.tone(Tone::Strong, "Sockeye demo: two hosts on one wire"));
        let ours = match ends.node.is_ipv6() {
            false => "a node: our own stack, from ARP upwards",
            true => "a node: our own stack, from neighbour discovery upwards",
        };
        let wire = "─────────── veth ───────────";
        let side = |tone, text: &str, width: usize| {
            format!("{}{:width$}", paint.tone(tone, text), "", width = width - text.len())
        };
        self.say(format_args!("\n    {}{}", side(Tone::Kernel, "kernel", 44), paint.tone(Tone::Ours, "sockeye")));
        self.say(format_args!("    {:<14}{wire:<30}{}", ends.kernel.to_string(), ends.node));
        self.say(format_args!("    {linux:<44}{ours}"));
        let how = if unprivileged { "without root, in a user namespace" } else { "in namespaces without names" };
        self.say(paint.tone(
            Tone::Faint,
            format_args!(
                "\n    All of it {how}. {} fetches, {} serves, {size} MiB each way.",
                programs.client(),
                programs.server(),
            ),
        ));
    }

    pub(crate) fn first_fetch(&self, programs: &Programs, url: &str, trace: &str) {
        self.heading("1  A first fetch and a first visitor, call by call");
        self.say(format_args!("    $ sockeye run -- {} {url}\n", programs.client()));
        self.trace(trace);
        let note = "→ left by the wire, ← came in by it; the other lines are calls, as the shim brought them to the node.\n    \
                    Reading and writing are not among them: the program does that on a descriptor of the kernel's.";
        self.say(self.paint.tone(Tone::Faint, format_args!("\n    {note}")));
        self.say(format_args!("\n    {}", self.paint.tone(Tone::Good, HELLO.trim_end())));
    }

    pub(crate) fn first_serve(&self, programs: &Programs, trace: &str) {
        self.say(format_args!(
            "\n    $ sockeye run -- {} ...   and {} on the kernel's host\n",
            programs.server(),
            programs.client()
        ));
        self.trace(trace);
        self.say(format_args!("\n    {}", self.paint.tone(Tone::Good, HELLO.trim_end())));
    }

    fn trace(&self, trace: &str) {
        let lines: Vec<Line<'_>> = trace.lines().filter_map(Line::parse).collect();
        let start = lines.first().map_or(0.0, |line| line.seconds);
        for (index, line) in lines.iter().enumerate() {
            // The middle of a long story.
            if lines.len() > LONG && (LONG / 2..lines.len() - LONG / 2).contains(&index) {
                if index == LONG / 2 {
                    let text = format_args!("{:>15}({} more lines)", "", lines.len() - LONG);
                    self.say(self.paint.tone(Tone::Faint, text));
                }
                continue;
            }
            let time = self.paint.tone(Tone::Faint, format!("{:>9.3} ms", (line.seconds - start) * 1e3));
            match line.frame() {
                None => self.say(format_args!("{time}  {}", self.paint.tone(Tone::Ours, line.text))),
                Some(Frame { out: true, what }) => {
                    self.say(format_args!("{time}    {} {what}", self.paint.tone(Tone::Ours, "→")));
                }
                Some(Frame { out: false, what }) => {
                    self.say(format_args!("{time}    {} {what}", self.paint.tone(Tone::Kernel, "←")));
                }
            }
        }
    }

    pub(crate) fn transfers(&self, programs: &Programs, size: u32, sum: &Sum, rows: &Rows) {
        let paint = self.paint;
        let Rows { fetched, twin_fetched, served, twin_served } = rows;
        self.heading(format_args!("2  {size} MiB each way, beside the kernel on a wire of the same kind"));
        self.say(format_args!(
            "    {:<40}{:>14}{:>14}{:>8}",
            "",
            paint.tone(Tone::Ours, "Sockeye"),
            paint.tone(Tone::Kernel, "kernel"),
            "ratio"
        ));
        let gigabits = |seconds: &[f64]| {
            let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
            f64::from(size) * 8.0 * f64::from(1 << 20) / best.max(1e-6) / 1e9
        };
        let labels = [
            format!("{} fetches from the kernel", programs.client()),
            format!("{} serves the kernel", programs.server()),
        ];
        for (label, (ours, kernels)) in labels.iter().zip([(fetched, twin_fetched), (served, twin_served)]) {
            let (ours, kernels) = (gigabits(ours), gigabits(kernels));
            let ratio = ours / kernels;
            self.say(format_args!(
                "    {label:<40}{:>14}{:>14}{ratio:>8.2}",
                format!("{ours:.2} Gbit/s"),
                format!("{kernels:.2} Gbit/s"),
            ));
        }
        let times = if fetched.len() > 1 { format!("; the best of {} rounds", fetched.len()) } else { String::new() };
        self.say(format_args!(
            "    {} every file arrived as it was sent: sha256 {sum}…{times}",
            paint.tone(Tone::Good, "✓")
        ));
    }

    pub(crate) fn counters(&self, table: &str, node: u32) {
        self.heading("3  What the node counted");
        let counters: Vec<Counter<'_>> = table.lines().filter_map(Counter::parse).collect();
        let (drops, rest): (Vec<_>, Vec<_>) = counters.iter().partition(|counter| counter.group == "drop");
        for counter in rest.iter().filter(|counter| counter.group != "control") {
            self.say(format_args!("    {:>15}  {}", counter.value, counter.name));
        }
        if drops.is_empty() {
            self.say(format_args!("    {} nothing was dropped", self.paint.tone(Tone::Good, "✓")));
        }
        for Counter { name, value, meaning, .. } in drops {
            self.say(format_args!("    {value:>15}  dropped: {name}  {}", self.paint.tone(Tone::Faint, meaning)));
        }
        if let Some(memory) = resident(node) {
            self.say(self.paint.tone(Tone::Faint, format_args!("    The node's process has {memory} MiB in memory.")));
        }
    }

    pub(crate) fn ending(&self, took: Duration) {
        self.say(format_args!(
            "\n{} in {:.1} s. The lab is gone; nothing is left of it.",
            self.paint.tone(Tone::Good, "All well"),
            took.as_secs_f64()
        ));
    }
}

/// What a process has in memory, in MiB.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_line_has_its_time_and_kind() {
        let call = Line::parse("    0.412071s curl[4711] socket(AF_INET, SOCK_STREAM, 0) = #3").unwrap();
        assert_eq!(call.seconds, 0.412071);
        assert_eq!(call.text, "curl[4711] socket(AF_INET, SOCK_STREAM, 0) = #3");
        assert!(call.frame().is_none());
        let frame =
            Line::parse("    0.412402s   > tcp 10.0.0.2:40112 > 10.0.0.1:80 SYN seq 0").unwrap().frame().unwrap();
        assert_eq!((frame.out, frame.what), (true, "SYN seq 0"));
        let frame = Line::parse("    0.412402s   < arp 10.0.0.1 is at 02:00:00:00:00:01").unwrap().frame().unwrap();
        assert_eq!((frame.out, frame.what), (false, "arp 10.0.0.1 is at 02:00:00:00:00:01"));
        assert!(Line::parse("").is_none());
    }

    #[test]
    fn counters_that_count_nothing_are_left_out() {
        let counter = Counter::parse("drop     arp_not_for_us        3  A question for another host.").unwrap();
        assert_eq!((counter.group, counter.name, counter.value), ("drop", "arp_not_for_us", 3));
        assert_eq!(counter.meaning, "A question for another host.");
        assert_eq!(Counter::parse("stack  segments_sent  12").unwrap().value, 12);
        assert!(Counter::parse("GROUP  COUNTER  VALUE  MEANING").is_none());
        assert!(Counter::parse("drop   checksum   0  ...").is_none());
    }
}
