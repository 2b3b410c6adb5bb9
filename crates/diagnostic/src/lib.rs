//! Findings: what is wrong in an operator's file, where, why and what cures it.
//!
//! Every check of the cloud file and of the catalogue ends here, as a value;
//! nothing is printed while checking, so that all findings are said at once.
//! This crate knows neither clouds nor catalogues. It may not read files: the
//! text is handed in, since a finding shows the line it speaks of.

mod explain;
mod visible;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, SourceCode};
use serde::{Serialize, Serializer};

pub use explain::{Explanation, explanations};
pub use visible::{is_control, visible};

/// How bad a finding is. Only [`Severity::Error`] stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing will be touched until it is cured.
    Error,
    /// The run goes on; status repeats it.
    Warning,
}

/// Bytes of the longest line that is drawn.
const WIDE: usize = 2000;

/// A file's name and text, shared by all findings in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the operator gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The same without control characters, where it has any: what is drawn.
    shown: Option<String>,
}

impl Source {
    /// Wraps a file's name and text for use in many findings.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        Arc::new(Self {
            name: name.into(),
            shown: visible::same_length(&text),
            text,
        })
    }

    /// True if a line around these bytes is longer than anybody reads.
    fn is_wide(&self, span: &Range<usize>) -> bool {
        let bytes = self.text.as_bytes();
        let at = span.start.min(bytes.len());
        let newline = |b: &u8| *b == b'\n';
        // The line and its neighbours, which are drawn too.
        let before = bytes.get(..at).unwrap_or_default();
        let start = before.iter().rev().enumerate().filter(|(_, b)| newline(b)).nth(1);
        let start = start.map_or(0, |(back, _)| at - back);
        let after = bytes.get(span.end.clamp(at, bytes.len())..).unwrap_or_default();
        let end = after.iter().enumerate().filter(|(_, b)| newline(b)).nth(1);
        let end = end.map_or(bytes.len(), |(on, _)| span.end.clamp(at, bytes.len()) + on);
        bytes
            .get(start..end)
            .is_some_and(|lines| lines.split(newline).any(|line| line.len() > WIDE))
    }

    /// The 1-based line and column (in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}

/// A place in a file and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes in the source's text.
    pub span: Range<usize>,
    /// A few words under the caret.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable, `area::what`: `vip::outside-network`. Never reused for another meaning.
    pub code: &'static str,
    /// Whether it stops a run.
    pub severity: Severity,
    /// One sentence without a full stop, literals in back-ticks.
    pub message: String,
    /// The file it is in.
    pub source: Arc<Source>,
    /// Where; the first is the main one.
    pub labels: Vec<Label>,
    /// What cures it, when we know.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`, with the words under the caret.
    pub fn error(
        code: &'static str,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            source: Arc::clone(source),
            labels: vec![Label {
                span,
                text: label.into(),
            }],
            help: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds a further place.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// True if a line that would be drawn is too long to be looked at: then the place
    /// alone is said.
    fn is_wide(&self) -> bool {
        self.labels.iter().any(|label| self.source.is_wide(&label.span))
    }

    /// Whether it stops a run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.message))?;
        if self.is_wide() {
            let (line, column) = self
                .source
                .line_column(self.labels.first().map_or(0, |l| l.span.start));
            write!(f, " ({}:{line}:{column})", visible(&self.source.name))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|h| Box::new(visible(h)) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.is_wide()).then_some(self as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.is_wide() {
            return None;
        }
        Some(Box::new(self.labels.iter().map(|l| {
            LabeledSpan::new_with_span(Some(visible(&l.text).into_owned()), l.span.start..l.span.end)
        })))
    }
}

impl SourceCode for Diagnostic {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let text = self.source.shown.as_ref().unwrap_or(&self.source.text);
        let inner = text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            visible(&self.source.name).into_owned(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Place<'a> {
            file: &'a str,
            line: usize,
            column: usize,
            text: &'a str,
        }
        #[derive(Serialize)]
        struct Flat<'a> {
            code: &'a str,
            severity: Severity,
            message: &'a str,
            places: Vec<Place<'a>>,
            help: Option<&'a str>,
        }
        Flat {
            code: self.code,
            severity: self.severity,
            message: &self.message,
            places: self
                .labels
                .iter()
                .map(|l| {
                    let (line, column) = self.source.line_column(l.span.start);
                    Place {
                        file: &self.source.name,
                        line,
                        column,
                        text: &l.text,
                    }
                })
                .collect(),
            help: self.help.as_deref(),
        }
        .serialize(serializer)
    }
}

/// Draws findings for people: code, message, the line with a caret, the cure.
///
/// `colour` off gives plain text without escapes; `width` is the terminal's, in
/// columns. Errors come first, then by place. Of what the file holds no control
/// character comes through.
pub fn draw(findings: &[Diagnostic], colour: bool, width: usize) -> String {
    let theme = if colour {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    let handler = miette::GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let mut sorted: Vec<&Diagnostic> = findings.iter().collect();
    sorted.sort_by_key(|d| {
        (
            d.severity,
            d.source.name.clone(),
            d.labels.first().map_or(0, |l| l.span.start),
        )
    });
    let mut out = String::new();
    for finding in sorted {
        // A String never refuses to be written to; the error cannot occur.
        if handler.render_report(&mut out, finding).is_err() {
            out.push_str(&visible(&finding.message));
        }
        out.push('\n');
    }
    out
}

/// The candidate nearest to what was typed, if it is near enough to be meant.
///
/// Near enough is an edit distance of at most a third of the longer word, the
/// bound rustc uses for its suggestions.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(typed, c), c))
        .filter(|(distance, c)| *distance <= typed.chars().count().max(c.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}
