//! `Math.random`, and what else must not be in two copies of an isolate.
//!
//! An isolate may be copied by forking its process. V8's own generator, and the numbers that it has made
//! ahead, lie in the heap and would be copied: all copies would draw the same. So `Math.random` takes its
//! numbers from here, some ahead, and the host has the copy forget them ([`seed`], and `forget` of
//! `handler.js`). What is meant to be secret comes from `StdRng` of deno_crypto, which the host puts there,
//! or from the system.

use deno_core::OpState;
use deno_core::op2;
use rand::Rng;
use rand::RngCore;
use rand::SeedableRng;
use rand::rngs::OsRng;
use rand::rngs::SmallRng;
use rand::rngs::StdRng;

/// What `Math.random` draws from.
struct Plain(SmallRng);

/// The generator behind `crypto`, as it was seeded. Whether it was used shows by comparing.
#[derive(Debug)]
pub struct Seeded {
    fresh: StdRng,
    keys: bool,
    timers: bool,
}

/// Seeds all generators of an isolate anew, from the system.
///
/// # Errors
/// The system gives no randomness.
pub fn seed(state: &mut OpState) -> Result<(), rand::Error> {
    let fresh = StdRng::from_rng(OsRng)?;
    state.put(Plain(SmallRng::from_rng(OsRng)?));
    state.put(fresh.clone());
    state.put(Seeded {
        fresh,
        keys: false,
        timers: false,
    });
    Ok(())
}

/// Whether something that has to be secret was made since [`seed`].
pub fn was_used(state: &OpState) -> bool {
    let (Some(seeded), Some(now)) = (state.try_borrow::<Seeded>(), state.try_borrow::<StdRng>())
    else {
        return true;
    };
    seeded.keys || seeded.fresh != *now
}

/// Whether a timer was started since [`seed`] that the event loop may not wait for: it would fire in a runtime that
/// a copy does not have.
pub fn timer_was_started(state: &OpState) -> bool {
    state
        .try_borrow::<Seeded>()
        .is_none_or(|seeded| seeded.timers)
}

/// Fills `numbers`, the bytes of some `f64`, with numbers from 0 to below 1.
#[op2(fast)]
pub(crate) fn op_holm_random(state: &mut OpState, #[buffer] numbers: &mut [u8]) {
    if state.try_borrow::<Plain>().is_none() {
        // Where no host seeds it, in the making of the base snapshot, nothing is secret.
        state.put(Plain(SmallRng::seed_from_u64(OsRng.next_u64())));
    }
    let Plain(rng) = state.borrow_mut::<Plain>();
    for number in numbers.chunks_exact_mut(size_of::<f64>()) {
        let drawn: f64 = rng.r#gen();
        number.copy_from_slice(&drawn.to_ne_bytes());
    }
}

/// A key is generated, with randomness of the system.
#[op2(fast)]
pub(crate) fn op_holm_generates_key(state: &mut OpState) {
    if let Some(seeded) = state.try_borrow_mut::<Seeded>() {
        seeded.keys = true;
    }
}

/// A timer of a web API is started, such as that of `AbortSignal.timeout`.
#[op2(fast)]
pub(crate) fn op_holm_starts_timer(state: &mut OpState) {
    if let Some(seeded) = state.try_borrow_mut::<Seeded>() {
        seeded.timers = true;
    }
}
