//! How far a run is.

use indicatif::{ProgressBar, ProgressStyle};

/// Is told how far a run is.
pub trait Progress {
    /// There are this many steps.
    fn begin(&self, steps: usize);

    /// The next step begins.
    fn step(&self, what: &str);

    /// All is done.
    fn end(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: usize) {}

    fn step(&self, _: &str) {}

    fn end(&self) {}
}

/// A bar on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Default for Bar {
    fn default() -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}");
        Self(ProgressBar::no_length().with_style(style.expect("the template is valid")))
    }
}

impl Progress for Bar {
    fn begin(&self, steps: usize) {
        self.0.reset();
        self.0.set_length(steps as u64);
        self.0.enable_steady_tick(std::time::Duration::from_millis(200));
    }

    fn step(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.inc(1);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
