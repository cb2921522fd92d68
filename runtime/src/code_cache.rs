//! V8's compiled form of a deployment's modules, shared by all its isolates.
//!
//! The first isolate leaves it when it has compiled a module, and again when it has answered some
//! requests, because only then are the functions in it that V8 compiles when they are first
//! called. It lives in memory and no longer than its deployment, so the source and this V8 are the
//! ones it was made with; V8 checks that, too, and its flags.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What V8 compiled of one deployment.
#[derive(Debug, Default)]
pub struct CodeCache {
    modules: Mutex<HashMap<String, Arc<[u8]>>>,
    is_refreshed: AtomicBool,
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

    /// Whether nobody has refreshed it yet.
    pub(crate) fn wants_refresh(&self) -> bool {
        !self.is_refreshed.load(Ordering::Relaxed)
    }

    /// Whether the caller is to refresh it; says so once.
    pub(crate) fn claim_refresh(&self) -> bool {
        !self.is_refreshed.swap(true, Ordering::Relaxed)
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
    use super::CodeCache;

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
    fn one_isolate_refreshes() {
        let cache = CodeCache::default();
        assert!(cache.claim_refresh());
        assert!(!cache.claim_refresh());
    }
}
