//! Watches a queue while requests are in it.

use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use crate::deadline::TICK;

/// Asks the policy every [`TICK`] what to do, until nothing waits.
pub(super) async fn watch(pool: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !pool.look_at_queue(Instant::now()) {
            return;
        }
    }
}
