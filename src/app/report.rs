//! What there is to tell of the functions that are served.

use std::sync::Arc;

use holm_runtime::fork::zygote::Zygote;
use holm_runtime::memory::NodeMemory;
use holm_runtime::pool::Pool;

use super::App;
use super::Entry;
use super::Node;

/// One function, as it is served now.
#[derive(Debug)]
pub(crate) struct View {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The requests that go to it.
    pub(crate) routes: Vec<String>,
    /// Its isolates, if it starts.
    pub(crate) pool: Option<Arc<Pool>>,
    /// Why it does not start, as its files are now.
    pub(crate) why: Option<Arc<str>>,
    /// What answers is older than its files.
    pub(crate) is_older: bool,
}

impl Node {
    /// The functions that are served now, in the order of the file.
    pub(crate) fn views(&self) -> Vec<View> {
        self.app().as_ref().map_or_else(Vec::new, |app| app.views())
    }

    /// The process that functions are forked from.
    pub(crate) fn zygote(&self) -> &Zygote {
        &self.services.zygote
    }

    /// Whether a function can be started.
    pub(crate) fn can_fork(&self) -> bool {
        self.zygote().is_there()
    }

    /// The memory of all processes.
    pub(crate) fn memory(&self) -> &NodeMemory {
        &self.services.memory
    }
}

impl App {
    fn views(&self) -> Vec<View> {
        let mut views: Vec<View> = self.functions.iter().map(View::of).collect();
        for route in self.routes.routes() {
            if let Some(view) = views.get_mut(route.target) {
                view.routes.push(route.pattern.to_string());
            }
        }
        views
    }

    /// The names of its functions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|entry| entry.plan.name.as_str())
    }
}

impl View {
    fn of(entry: &Entry) -> Self {
        Self {
            name: entry.plan.name.as_str().into(),
            routes: Vec::new(),
            pool: entry.pool().cloned(),
            why: entry.problem.clone(),
            is_older: entry.is_older,
        }
    }
}
