//! The text format of Prometheus, version 0.0.4: a family of samples after the other, each with what it means and of what
//! kind it is.

use std::fmt::{Display, Write};

/// What the samples of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Grows, and begins anew from 0 at times.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value.
pub(super) struct Sample {
    labels: Vec<(&'static str, String)>,
    value: String,
}

impl Sample {
    pub(super) fn new(value: impl Display) -> Sample {
        Sample { labels: Vec::new(), value: value.to_string() }
    }

    /// The same of a service.
    #[must_use]
    pub(super) fn of(mut self, service: &str) -> Sample {
        self.labels.insert(0, ("service", service.to_owned()));
        self
    }

    #[must_use]
    pub(super) fn with(mut self, label: &'static str, value: impl Display) -> Sample {
        self.labels.push((label, value.to_string()));
        self
    }
}

/// Appends a family, unless nothing is in it.
pub(super) fn family(text: &mut String, name: &str, kind: Kind, help: &str, samples: &[Sample]) {
    if samples.is_empty() {
        return;
    }
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for sample in samples {
        text.push_str(name);
        for (index, (label, value)) in sample.labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
        }
        let end = if sample.labels.is_empty() { "" } else { "}" };
        let _ = writeln!(text, "{end} {}", sample.value);
    }
}

/// The value of a label: with a backslash before backslashes and quotes, and in one line.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as seconds.
pub(super) fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}
