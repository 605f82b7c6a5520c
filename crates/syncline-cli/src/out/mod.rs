//! What is printed: text for people, or one JSON object per line for programs.

mod escape;
pub mod record;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::args::{Global, When};
use crate::failure::{Failure, Result};

pub use escape::escaped;

/// Where output goes, and how it looks.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    json: bool,
    quiet: bool,
    verbose: bool,
    colour: bool,
    error_colour: bool,
}

/// What a part of a text is.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Key,
    Id,
    Good,
    Bad,
    Faint,
}

impl Part {
    fn style(self) -> Style {
        match self {
            Self::Key => AnsiColor::Cyan.on_default(),
            Self::Id => AnsiColor::Yellow.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

impl Out {
    pub fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            colour: !global.json && has_colour(global.color, io::stdout().is_terminal()),
            error_colour: !global.json && has_colour(global.color, io::stderr().is_terminal()),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A text as a part of a line, with control characters made visible.
    pub fn paint(&self, part: Part, text: impl Display) -> String {
        let text = escaped(text.to_string().as_bytes());
        if self.colour { format!("{0}{text}{0:#}", part.style()) } else { text }
    }

    /// An id or a public key: its first digits, all of them if more is to be said.
    pub fn id(&self, id: impl Display) -> String {
        self.paint(Part::Id, self.short(id))
    }

    /// The same without colour.
    pub fn short(&self, id: impl Display) -> String {
        let id = id.to_string();
        if self.verbose { id } else { id.chars().take(12).collect() }
    }

    /// Prints a line for people or an object for programs.
    pub fn say(&self, record: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { self.record(record) } else { self.line(&text()) }
    }

    /// The same, if it only confirms what was done.
    pub fn confirm(&self, record: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.say(record, text) }
    }

    pub fn line(&self, text: &str) -> Result<()> {
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        self.bytes(line.as_bytes())
    }

    pub fn record(&self, record: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|err| Failure::output(err.into()))?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::output)
    }

    /// Tells something beside the output.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            to_stderr(text);
        }
    }

    /// Tells something that only who wants to know more wants to know.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            to_stderr(&text());
        }
    }

    /// Tells what went wrong.
    pub fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        let text = escaped(failure.text().as_bytes());
        if self.json {
            let record = record::Failed { kind: "error", code: failure.code(), message: &text, hints: failure.hints() };
            to_stderr(&serde_json::to_string(&record).unwrap_or(text));
            return;
        }
        let (begin, end) = if self.error_colour {
            let style = Part::Bad.style();
            (style.render().to_string(), style.render_reset().to_string())
        } else {
            Default::default()
        };
        to_stderr(&format!("{begin}error:{end} {text}"));
        for hint in failure.hints() {
            to_stderr(&format!("  {}", escaped(hint.as_bytes())));
        }
    }
}

/// Whether a stream gets colours.
fn has_colour(when: When, is_terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        // https://no-color.org: present and not empty, whatever it says.
        When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

fn to_stderr(text: &str) {
    // There is nobody left to tell that this failed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
