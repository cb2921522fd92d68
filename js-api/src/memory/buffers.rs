//! Buffers that grow in place, past the allocator that bounds all others.

use deno_core::OpState;
use deno_core::op2;
use deno_core::v8;

use crate::handler::MemoryBudget;

/// Whether a buffer may grow by so many bytes.
#[op2(fast)]
pub(crate) fn op_holm_may_grow<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    bytes: f64,
) -> bool {
    let MemoryBudget(budget) = *state.borrow::<MemoryBudget>();
    let held = scope.adjust_amount_of_external_allocated_memory(0);
    let held = u64::try_from(held).unwrap_or(0);
    #[allow(
        clippy::cast_precision_loss,
        reason = "budgets are far below 2^53 bytes"
    )]
    let left = budget.saturating_sub(held) as f64;
    bytes <= left
}
