//! The queue, as an isolate sees it that has room for more requests beside those it is answering.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::Shared;
use crate::isolate::Inbox;
use crate::job::Job;

/// What one isolate gets from its pool while it works.
pub(super) struct PoolInbox<'a> {
    shared: &'a Arc<Shared>,
    bell: &'a Arc<Notify>,
    /// Resolves when it is rung; there is one while the isolate is on the list of those with room.
    rung: Option<Pin<Box<OwnedNotified>>>,
}

impl<'a> PoolInbox<'a> {
    /// For the isolate that `bell` wakes.
    pub(super) fn new(shared: &'a Arc<Shared>, bell: &'a Arc<Notify>) -> Self {
        Self {
            shared,
            bell,
            rung: None,
        }
    }
}

impl Inbox for PoolInbox<'_> {
    fn take(&mut self) -> Option<Job> {
        self.shared.take(&mut self.shared.state())
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> bool {
        let mut state = self.shared.state();
        if !state.queue.is_empty() {
            return false;
        }
        let rung = self.rung.get_or_insert_with(|| {
            state.roomy.push(self.bell.clone());
            Box::pin(self.bell.clone().notified_owned())
        });
        drop(state);
        rung.as_mut().poll(cx).is_pending()
    }

    fn stop_waiting(&mut self) {
        if self.rung.take().is_some() {
            self.shared.state().strike_off(self.bell);
        }
    }

    fn served(&mut self, time: Duration) {
        self.shared.served(time);
    }
}
