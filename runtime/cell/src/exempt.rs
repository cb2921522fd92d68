//! CPU time that is nobody's: what is done once for a process, on the occasion of some request.

use std::cell::Cell;
use std::time::Duration;

use holm_process::page::Page;

use crate::last_words;
use crate::sys;

thread_local! {
    /// What was spent since it was last taken off somebody's bill.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Does `work` on nobody's bill: neither the record nor the node's watch counts it.
pub(crate) fn exempt<T>(work: impl FnOnce() -> T) -> T {
    let page = last_words::page();
    let current = page.and_then(Page::suspend);
    let before = sys::cpu_time();
    let done = work();
    let spent = sys::cpu_time().saturating_sub(before);
    SPENT.set(SPENT.get() + spent);
    if let (Some(page), Some((seq, began))) = (page, current) {
        page.set_current(seq, began + spent);
    }
    done
}

/// What was exempted since this was last asked.
pub(crate) fn take() -> Duration {
    SPENT.take()
}
