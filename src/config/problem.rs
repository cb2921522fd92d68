//! What is wrong with a configuration: every problem at once, each with its place and its remedy.
//!
//! A [`Problem`] is written for a person: what is wrong, where (file, line, column, the bytes),
//! what to do. Stages push into [`Findings`], which knows the file; [`Problems`] is what comes out
//! when there was anything to say.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holm_model::visible::{visible, visible_line};
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};

/// The file and its name.
type Source = Arc<NamedSource<Arc<str>>>;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub(crate) struct Problem {
    message: String,
    #[source_code]
    source_code: Option<Source>,
    /// The first is the place; the others are places that have to do with it.
    #[label(collection)]
    labels: Vec<LabeledSpan>,
    #[help]
    help: Option<String>,
}

impl Problem {
    /// A problem with no place and no remedy yet.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: fit(message),
            source_code: None,
            labels: Vec::new(),
            help: None,
        }
    }

    /// Points at a place in the file, and says what is there.
    pub(super) fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        let span = SourceSpan::from(span);
        let label = Some(fit(label));
        self.labels.push(if self.labels.is_empty() {
            LabeledSpan::new_primary_with_span(label, span)
        } else {
            LabeledSpan::new_with_span(label, span)
        });
        self
    }

    /// Says what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(fit(help));
        self
    }

    /// Says what to do about it, where that is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.map(fit);
        self
    }
}

/// Words about the file may quote it, and are to be printed.
fn fit(words: impl Into<String>) -> String {
    visible_line(&words.into()).into_owned()
}

impl Problem {
    /// `holm.toml:3:8: what is wrong: what is there (what to do)`.
    fn line(&self) -> String {
        let mut line = String::new();
        if let (Some(source), Some(label)) = (&self.source_code, self.labels.first()) {
            line = format!("{}: ", place(source, label.offset()));
        }
        line.push_str(&self.message);
        if let Some(label) = self.labels.first().and_then(LabeledSpan::label) {
            line.push_str(&format!(": {label}"));
        }
        if let Some(help) = &self.help {
            line.push_str(&format!(" ({help})"));
        }
        line
    }

    /// The file with what a terminal would obey made visible, where there is such a thing in it.
    fn shown_source(&self) -> Option<Source> {
        let source = self.source_code.as_ref()?;
        match visible(source.inner()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) if *text == **source.inner() => None,
            Cow::Owned(text) => Some(Arc::new(NamedSource::new(source.name(), text.into()))),
        }
    }

    /// The same problem, pointing into `shown` instead of the file itself.
    fn shown_with(&self, shown: &Source) -> Self {
        let source = self.source_code.as_ref();
        let text = source.map_or("", |source| &**source.inner());
        let moved = |at: usize| visible(text.get(..at).unwrap_or(text)).len();
        let labels = self.labels.iter().map(|label| {
            let (start, end) = (label.offset(), label.offset() + label.len());
            let words = label.label().map(str::to_owned);
            let span = SourceSpan::from(moved(start)..moved(end));
            if label.primary() {
                LabeledSpan::new_primary_with_span(words, span)
            } else {
                LabeledSpan::new_with_span(words, span)
            }
        });
        Self {
            message: self.message.clone(),
            source_code: source.map(|_| Arc::clone(shown)),
            labels: labels.collect(),
            help: self.help.clone(),
        }
    }
}

/// `holm.toml:3:8`, of a byte of the file.
fn place(source: &Source, at: usize) -> String {
    let before = source.inner().get(..at).unwrap_or_default();
    let row = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{}:{row}:{column}", source.name())
}

/// Columns that no message of ours fills. (The printer adds to the width, so not `usize::MAX`.)
const UNWRAPPED: usize = 1 << 16;

/// Everything that is wrong with one configuration. Never empty.
///
/// `Display` only counts them: print [`Problems::render`] on a terminal, [`Problems::lines`] in a
/// log, or hand the whole to miette, of which this is a [`Diagnostic`].
#[derive(Debug, thiserror::Error)]
#[error("{}", self.summary())]
pub(crate) struct Problems {
    origin: String,
    problems: Vec<Problem>,
    watched: Vec<PathBuf>,
}

impl Problems {
    /// A single problem that no line of a file is to blame for.
    pub(super) fn without_place(origin: &Path, problem: Problem) -> Self {
        Self {
            origin: origin.display().to_string(),
            problems: vec![problem],
            watched: Vec::new(),
        }
    }

    /// A single problem that is not in the files of `origin`.
    pub(crate) fn without_file(origin: &Path, error: &dyn std::error::Error) -> Self {
        Self::without_place(origin, Problem::new(error.to_string()))
    }

    /// Files beside the configuration in which it may be mended: those that it names and that are no
    /// modules.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Path> {
        self.watched.iter().map(PathBuf::as_path)
    }

    /// For a terminal: every problem with its snippet, then the count.
    ///
    /// `width` is in columns; `None` wraps no line, so that a program can search the text. Without
    /// `colour`, nothing but text and box-drawing characters.
    pub(crate) fn render(&self, colour: bool, width: Option<usize>) -> String {
        let theme = if colour {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        let printer = miette::GraphicalReportHandler::new_themed(theme)
            .with_width(width.unwrap_or(UNWRAPPED))
            .with_links(false)
            .without_cause_chain()
            .with_context_lines(1);
        let mut text = String::new();
        let shown = self.problems.iter().find_map(Problem::shown_source);
        for problem in &self.problems {
            match &shown {
                Some(source) => printer.render_report(&mut text, &problem.shown_with(source)),
                None => printer.render_report(&mut text, problem),
            }
            .expect("a label lies inside its file, and a String takes every write");
            text.push('\n');
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// For a log: one line per problem, `holm.toml:3:8: what is wrong: what is there (what to do)`.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().map(Problem::line)
    }

    fn summary(&self) -> String {
        match self.problems.len() {
            1 => format!("1 problem in {}", self.origin),
            n => format!("{n} problems in {}", self.origin),
        }
    }
}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let problems = self.problems.iter();
        Some(Box::new(problems.map(|problem| problem as &dyn Diagnostic)))
    }
}

/// Where the stages put what they find.
#[derive(Debug)]
pub(super) struct Findings {
    source: Source,
    problems: Vec<Problem>,
    watched: Vec<PathBuf>,
}

impl Findings {
    /// Nothing found yet in the file of that name and text.
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let name = path.display().to_string();
        Self {
            source: Arc::new(NamedSource::new(name, Arc::from(text))),
            problems: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> &str {
        self.source.inner()
    }

    /// `holm.toml:3:8`, of bytes of the file.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        place(&self.source, span.start)
    }

    /// Something that was found may be mended in that file.
    pub(super) fn watch(&mut self, file: PathBuf) {
        self.watched.push(file);
    }

    /// Whether something was found.
    pub(super) fn any(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Adds one.
    pub(super) fn report(&mut self, problem: Problem) {
        let source_code = Some(Arc::clone(&self.source));
        self.problems.push(Problem {
            source_code,
            ..problem
        });
    }

    /// What was found, in the order of the file, whichever stage found it.
    pub(super) fn into_problems(mut self) -> Problems {
        self.problems
            .sort_by_key(|problem| problem.labels.first().map(LabeledSpan::offset));
        Problems {
            origin: self.source.name().to_owned(),
            problems: self.problems,
            watched: self.watched,
        }
    }
}
