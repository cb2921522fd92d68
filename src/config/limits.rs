//! From limits as typed to limits in force.
//!
//! Three layers, each settled by the same function: the operator's ceiling (`[limits.max]`, under
//! what Holm allows), the node's defaults (`[limits]`, under the ceiling), a function's own
//! (under the ceiling too). Where a layer says nothing, the one before it holds; a default of
//! Holm's own that lies over the operator's ceiling is lowered to it.

use std::fmt::Display;
use std::ops::Range;

use holm_model::for_each_limit;
use holm_model::limits::{Limit, Limits, ROWS};

use super::at::At;
use super::problem::{Findings, Problem};
use super::raw::{RawLimits, RawNodeLimits};

/// What is true for every function of a node.
pub(super) struct NodeLimits<'r> {
    defaults: Limits,
    typed_defaults: Option<&'r RawLimits>,
    ceiling: Limits,
    typed_ceiling: Option<&'r RawLimits>,
}

impl<'r> NodeLimits<'r> {
    /// Settles `[limits]` and `[limits.max]`.
    pub(super) fn settle(raw: Option<&'r RawNodeLimits>, findings: &mut Findings) -> Self {
        let typed_defaults = raw.map(|raw| &raw.defaults);
        let typed_ceiling = raw.and_then(|raw| raw.max.as_ref());
        let ceiling = Layer {
            name: "limits.max",
            typed: typed_ceiling,
            otherwise: &Limits::MAX,
            ceiling: &Limits::MAX,
            typed_ceiling: None,
        };
        let ceiling = ceiling.settle(findings);
        let ceiling = without_requests(ceiling, typed_ceiling, findings);
        let defaults = Layer {
            name: "limits",
            typed: typed_defaults,
            otherwise: &Limits::DEFAULT,
            ceiling: &ceiling,
            typed_ceiling,
        };
        Self {
            defaults: defaults.settle(findings),
            typed_defaults,
            ceiling,
            typed_ceiling,
        }
    }

    /// Settles the limits of the function of that name.
    pub(super) fn of_function(
        &self,
        name: &str,
        typed: Option<&RawLimits>,
        findings: &mut Findings,
    ) -> Limits {
        let layer = Layer {
            name: &format!("functions.{name}.limits"),
            typed,
            otherwise: &self.defaults,
            ceiling: &self.ceiling,
            typed_ceiling: self.typed_ceiling,
        };
        let limits = layer.settle(findings);
        self.check_isolates(name, typed, &limits, findings);
        limits
    }

    /// Reports a function that keeps more isolates than it may have.
    fn check_isolates(
        &self,
        name: &str,
        own: Option<&RawLimits>,
        limits: &Limits,
        findings: &mut Findings,
    ) {
        let (kept, most) = (limits.min_isolates, limits.max_isolates);
        if kept <= most {
            return;
        }
        let min = self.place(own, kept, |typed| typed.min_isolates.as_ref());
        let max = self.place(own, most, |typed| typed.max_isolates.as_ref());
        let mut places = [
            (min, format!("{kept} are kept")),
            (max, format!("at most {most}")),
        ];
        // A line of the function's own comes first: it is the one to change.
        if own.is_some_and(|own| own.min_isolates.is_none() && own.max_isolates.is_some()) {
            places.reverse();
        }
        let mut problem = Problem::new(format!(
            "function `{name}` keeps more isolates than it may have"
        ));
        for (place, label) in places {
            if let Some(span) = place {
                problem = problem.at(span, label);
            }
        }
        findings.report(problem.help(format!(
            "`min_isolates` is {kept}, `max_isolates` {most}: lower the one, or raise the other"
        )));
    }

    /// Reports a function that lets more requests into an isolate at once than it may answer in its life.
    pub(super) fn check_requests(
        &self,
        name: &str,
        own: Option<&RawLimits>,
        limits: &Limits,
        concurrency: Option<&At<u32>>,
        findings: &mut Findings,
    ) {
        let served = limits.requests_per_isolate;
        let (Some(at), Some(most)) = (concurrency, served.bound()) else {
            return;
        };
        if at.value <= most {
            return;
        }
        let problem = Problem::new(format!(
            "function `{name}` shares an isolate among more requests than it may answer"
        ))
        .at(at.span.clone(), format!("{} at the same time", at.value));
        let place = self.place(own, served, |typed| typed.requests_per_isolate.as_ref());
        let problem = match place {
            Some(span) => problem.at(span, format!("{served} in all")),
            None => problem,
        };
        findings.report(problem.help(format!(
            "`concurrency` is {}, `requests_per_isolate` {served}: lower the one, or raise the other",
            at.value
        )));
    }

    /// Where the value in force is written; nowhere, if it is a default of Holm's own.
    fn place<T: Copy + PartialEq>(
        &self,
        own: Option<&RawLimits>,
        value: T,
        key: fn(&RawLimits) -> Option<&At<T>>,
    ) -> Option<Range<usize>> {
        [own, self.typed_defaults, self.typed_ceiling]
            .into_iter()
            .flatten()
            .filter_map(key)
            .find(|at| at.value == value)
            .map(|at| at.span.clone())
    }
}

/// `[limits.max]` is there for what costs the node more if there is more of it. Isolates that answer
/// fewer requests cost it more, and those that answer any number cost it nothing.
fn without_requests(ceiling: Limits, typed: Option<&RawLimits>, findings: &mut Findings) -> Limits {
    if let Some(At { span, .. }) = typed.and_then(|typed| typed.requests_per_isolate.as_ref()) {
        findings.report(
            Problem::new("`limits.max.requests_per_isolate` bounds nothing")
                .at(span.clone(), "not a maximum")
                .help(
                    "set it in [limits], for all functions that do not say otherwise, or in a \
                     function's own",
                ),
        );
    }
    Limits {
        requests_per_isolate: Limits::MAX.requests_per_isolate,
        ..ceiling
    }
}

struct Layer<'a> {
    /// Path of the table in the file, for messages.
    name: &'a str,
    typed: Option<&'a RawLimits>,
    otherwise: &'a Limits,
    ceiling: &'a Limits,
    typed_ceiling: Option<&'a RawLimits>,
}

impl Layer<'_> {
    fn settle(&self, findings: &mut Findings) -> Limits {
        macro_rules! settle {
            ($($key:ident: $quantity:ty),*) => {
                Limits {$(
                    $key: self.one(
                        &ROWS.$key,
                        self.typed.and_then(|typed| typed.$key.as_ref()),
                        self.otherwise.$key,
                        self.ceiling.$key,
                        self.typed_ceiling.and_then(|typed| typed.$key.as_ref()),
                        findings,
                    ),
                )*}
            };
        }
        for_each_limit!(settle)
    }

    fn one<T: Copy + Ord + Display>(
        &self,
        row: &Limit<T>,
        typed: Option<&At<T>>,
        otherwise: T,
        ceiling: T,
        typed_ceiling: Option<&At<T>>,
        findings: &mut Findings,
    ) -> T {
        let Some(At { value, span }) = typed else {
            return otherwise.min(ceiling);
        };
        let (value, span, name) = (*value, span.clone(), format!("{}.{}", self.name, row.key));
        if value < row.floor {
            findings.report(
                Problem::new(format!("`{name}` is less than makes sense"))
                    .at(span, format!("at least {}", row.floor))
                    .help(row.floor_reason),
            );
        } else if value > ceiling && ceiling < row.ceiling {
            let problem = Problem::new(format!("`{name}` is over the maximum of this node"))
                .at(span, format!("at most {ceiling}"))
                .help(format!(
                    "lower it to {ceiling}, or raise `{}` in [limits.max]",
                    row.key
                ));
            findings.report(match typed_ceiling {
                Some(At { span, .. }) => problem.at(span.clone(), "the maximum"),
                None => problem,
            });
        } else if value > row.ceiling {
            findings.report(
                Problem::new(format!("`{name}` is more than Holm allows"))
                    .at(span, format!("at most {}", row.ceiling))
                    .help(row.ceiling_reason),
            );
        }
        value
    }
}
