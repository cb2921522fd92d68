//! `holm check`.

use std::path::Path;
use std::time::SystemTime;

use holm_model::visible::visible;

use super::Failure;
use super::print;
use super::serve::allow_files;
use super::serve::shortage;
use crate::app::Loaded;
use crate::app::Mode;
use crate::app::Node;
use crate::app::Retry;
use crate::app::SOON;
use crate::config;
use crate::config::Plan;
use crate::telemetry::Telemetry;

/// Checks a configuration and starts each of its functions once.
pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let plan = config::load(file)?;
    allow_files();
    let node = Node::start(&plan, Telemetry::quiet(), Mode::Serve)?;
    let Loaded { app, problems, .. } = node.load(&plan, None, Retry::All);
    if !problems.is_empty() {
        return Err(Failure::Functions(problems));
    }
    let uncalled = app.uncalled();
    for (function, handler) in &uncalled {
        print::err(&format!(
            "warning: function {function}: `{handler}` is exported, and nothing calls it yet\n"
        ));
    }
    for (function, why) in app.not_copyable() {
        print::err(&format!(
            "note: function {function}: {why}, so its isolates start one by one, not as copies of one that has started\n"
        ));
    }
    let others: Vec<String> = of_tls(&plan).into_iter().chain(shortage(&plan)).collect();
    for warning in &others {
        print::err(&visible(&format!("warning: {warning}\n")));
    }
    let verdict = match uncalled.len() + others.len() {
        0 => "all in order".to_owned(),
        warnings => counted(warnings, "warning"),
    };
    let mut text = format!(
        "{}: {}, {}, {verdict}\n",
        file.display(),
        counted(app.functions(), "function"),
        counted(plan.routes.routes().len(), "route"),
    );
    for note in config::notes(&plan) {
        text.push_str(&format!("note: {note}\n"));
    }
    print::out(&text)
}

/// So many of what `one` is called.
fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// What is to be seen to, of certificates.
fn of_tls(plan: &Plan) -> Vec<String> {
    let Some(tls) = &plan.tls else {
        return Vec::new();
    };
    let mut warnings = tls.open_keys();
    warnings.extend(tls.ending(SOON, SystemTime::now()));
    warnings
}

/// Says which function answers `url`. It is a failure if none does.
pub(crate) fn explain(file: &Path, url: &str) -> Result<(), Failure> {
    let plan = config::load(file)?;
    let explained = config::explain(&plan, url)?;
    let Some(place) = explained.function else {
        print::out(&format!("{}{}\n", explained.text, explained.others))?;
        return Err(Failure::Nowhere);
    };
    let node = Node::start(&plan, Telemetry::quiet(), Mode::Serve)?;
    let starts = match node.try_one(&plan.functions[place]) {
        Ok(None) => "isolates are copies of one that has started".to_owned(),
        Ok(Some(why)) => format!("each isolate by itself: {why}"),
        Err(problem) => format!("not: {problem}"),
    };
    print::out(&format!(
        "{}  starts   {starts}\n{}\n",
        explained.text, explained.others
    ))
}
