//! How much an isolate holds outside V8's heap, and V8's view of it.
//!
//! V8 is told, so that it collects garbage in time. A function that holds too much of it all the same
//! is ended by the bound on its process.

use std::cell::Cell;

use deno_core::v8;

thread_local! {
    /// Bytes that the isolate of this process, which has one, holds.
    static HELD: Cell<i64> = const { Cell::new(0) };
    /// How many of them V8 has been told of.
    static TOLD: Cell<i64> = const { Cell::new(0) };
}

pub(super) fn hold(bytes: usize) {
    HELD.set(HELD.get().saturating_add(signed(bytes)));
}

/// Also in a destructor, where V8 cannot be told.
pub(super) fn let_go(bytes: usize) {
    HELD.set(HELD.get().saturating_sub(signed(bytes)));
}

/// Tells V8 what has changed.
pub(super) fn tell(isolate: &mut v8::Isolate) {
    let held = HELD.get();
    let change = held - TOLD.replace(held);
    if change != 0 {
        isolate.adjust_amount_of_external_allocated_memory(change);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
