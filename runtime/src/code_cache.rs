//! V8's compiled form of a deployment's modules, shared by all its isolates.
//!
//! The first isolate leaves it when the modules have run, and one of them again when it has answered
//! some requests: each time the functions are in it that were called so far, because V8 compiles a
//! function when it is first called. It lives in memory and no longer than its deployment, so the
//! source and this V8 are the ones it was made with; V8 checks that, too, and its flags.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// How much of a function has run when its code is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The top level of its modules.
    Started = 1,
    /// Requests, too.
    Served = 2,
}

/// What V8 compiled of one deployment.
#[derive(Debug, Default)]
pub struct CodeCache {
    modules: Mutex<HashMap<String, Arc<[u8]>>>,
    /// The [`Stage`] of the code, or 0 if there is none.
    stage: AtomicU8,
}

impl CodeCache {
    /// What there is of a module.
    pub(crate) fn get(&self, specifier: &str) -> Option<Arc<[u8]>> {
        self.modules().get(specifier).cloned()
    }

    /// Keeps the code of a module, unless there is as much of it already.
    pub(crate) fn put(&self, specifier: &str, code: &[u8]) {
        let mut modules = self.modules();
        let known = modules.get(specifier).map_or(0, |known| known.len());
        if code.len() > known {
            modules.insert(specifier.to_owned(), code.into());
        }
    }

    /// Whether there is nothing yet of this stage, or a later one.
    pub(crate) fn lacks(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) < stage as u8
    }

    /// Whether the caller is to keep what there is at this stage; says so once for each.
    pub(crate) fn claim(&self, stage: Stage) -> bool {
        self.stage.fetch_max(stage as u8, Ordering::Relaxed) < stage as u8
    }

    /// Bytes of all modules.
    pub fn size(&self) -> usize {
        self.modules().values().map(|code| code.len()).sum()
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<String, Arc<[u8]>>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_code_replaces_code() {
        let cache = CodeCache::default();
        assert_eq!(cache.get("a"), None);
        cache.put("a", b"12");
        cache.put("a", b"3");
        assert_eq!(cache.get("a").as_deref(), Some(&b"12"[..]));
        cache.put("a", b"345");
        cache.put("b", b"6");
        assert_eq!(cache.get("a").as_deref(), Some(&b"345"[..]));
        assert_eq!(cache.size(), 4);
    }

    #[test]
    fn one_isolate_keeps_each_stage() {
        let cache = CodeCache::default();
        assert!(cache.lacks(Stage::Started));
        assert!(cache.claim(Stage::Started));
        assert!(!cache.claim(Stage::Started));
        assert!(cache.lacks(Stage::Served));
        assert!(cache.claim(Stage::Served));
        assert!(!cache.claim(Stage::Started));
    }
}
