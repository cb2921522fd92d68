//! The node's port for subrequests, as an isolate's `fetch()` sees it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use holm_js_api::fetch::Exchange;
use holm_js_api::fetch::Subrequest;
use holm_model::outbound::Caller;
use holm_model::outbound::Outbound;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundRequest;

/// Knows on whose behalf the requests of an isolate ask.
pub(super) struct Port {
    outbound: Arc<dyn Outbound>,
    callers: RefCell<Vec<(u32, Caller, Arc<AtomicU32>)>>,
}

impl Port {
    pub(super) fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self {
            outbound,
            callers: RefCell::default(),
        }
    }

    /// Request `id` begins; its subrequests are counted in `made`.
    pub(super) fn enter(&self, id: u32, caller: Caller, made: Arc<AtomicU32>) {
        self.callers.borrow_mut().push((id, caller, made));
    }

    /// Request `id` is over.
    pub(super) fn leave(&self, id: u32) {
        self.callers.borrow_mut().retain(|(own, ..)| *own != id);
    }
}

impl holm_js_api::fetch::Outbound for Port {
    fn send(&self, request: Subrequest) -> Exchange {
        let callers = self.callers.borrow();
        let caller = callers.iter().find(|(id, ..)| *id == request.request);
        let Some((_, caller, made)) = caller else {
            let gone = OutboundError::Invalid("the request is over".into());
            return Box::pin(std::future::ready(Err(gone)));
        };
        made.fetch_add(1, Ordering::Relaxed);
        self.outbound.send(OutboundRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            caller: caller.clone(),
        })
    }
}
