//! Calm output for a terminal, plain output for everything else.
//!
//! Colours only where standard output is a terminal and `NO_COLOR` is not set (no-color.org); nothing moves, nothing is
//! overwritten, so that what is printed reads the same from a file.

use std::fmt;
use std::io::{self, IsTerminal, Write};

/// The few colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Strong,
    /// What matters less.
    Faint,
    /// All is well.
    Good,
    /// The kernel's side.
    Kernel,
    /// Our side.
    Ours,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// As standard output wants it.
    pub(crate) fn for_output() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint { colour: io::stdout().is_terminal() && !refused && !dumb }
    }

    /// `text` in a tone.
    pub(crate) fn tone<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted { text, tone: self.colour.then_some(tone) }
    }
}

/// Text with its tone. Width and alignment are those of the text.
pub(crate) struct Painted<T> {
    text: T,
    tone: Option<Tone>,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tone) = self.tone else { return self.text.fmt(f) };
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Kernel => "33",
            Tone::Ours => "36",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// Prints to standard output; a reader that has gone away is no error (`sockeye show sockets | head`).
pub(crate) fn print(text: impl fmt::Display) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
