//! The pools of a node, in the order in which they can do without what they hold.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use crate::pool::Shared as Pool;

/// Functions that were asked for within this time are all in use: of those, the largest makes room first.
const IN_USE: Duration = Duration::from_secs(1);

/// All pools that there are. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pools(Arc<Mutex<Vec<Weak<Pool>>>>);

impl Pools {
    /// One more.
    pub(crate) fn add(&self, pool: Weak<Pool>) {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Pool>> {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    /// Those first whose function was asked for longest ago, and of those in use the ones that hold most memory.
    pub(crate) fn by_need(&self) -> impl Iterator<Item = Arc<Pool>> + use<> {
        let mut pools: Vec<_> = self
            .all()
            .into_iter()
            .map(|pool| {
                let in_use = pool.asked().filter(|asked| asked.elapsed() < IN_USE);
                let order = match in_use {
                    Some(_) => (true, None, Reverse(pool.memory())),
                    None => (false, pool.asked(), Reverse(0)),
                };
                (order, pool)
            })
            .collect();
        pools.sort_by_key(|(order, _)| *order);
        pools.into_iter().map(|(_, pool)| pool)
    }
}
