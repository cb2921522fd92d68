//! Subrequests: `fetch()` over the cell's socket.

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use holm_js_api::fetch::Exchange;
use holm_js_api::fetch::Outbound;
use holm_js_api::fetch::Subrequest;
use holm_model::message::Fields;
use holm_model::message::FromCell;
use holm_model::message::StreamId;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundResponse;

use super::streams::Streams;
use super::wire::Wire;

/// What a subrequest comes to.
pub(crate) type Fetched = Result<OutboundResponse, OutboundError>;

/// The subrequests of a cell that wait for their answers.
pub(crate) struct Fetches {
    wire: Rc<Wire>,
    streams: Rc<RefCell<Streams>>,
    waiting: RefCell<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Number of the last one.
    last: u32,
    /// Each with the request that made it.
    open: Vec<(u32, u32, oneshot::Sender<Fetched>)>,
}

impl Fetches {
    pub(crate) fn new(wire: Rc<Wire>, streams: Rc<RefCell<Streams>>) -> Rc<Self> {
        Rc::new(Self {
            wire,
            streams,
            waiting: RefCell::default(),
        })
    }

    /// Hands on what subrequest `fetch` has come to. Nobody may wait for it any more.
    pub(crate) fn answer(&self, fetch: u32, fetched: Fetched) {
        let waiting = self.leave(fetch);
        if let Some(waiting) = waiting {
            let _ = waiting.send(fetched);
        }
    }

    fn leave(&self, fetch: u32) -> Option<oneshot::Sender<Fetched>> {
        let open = &mut self.waiting.borrow_mut().open;
        let place = open.iter().position(|(own, ..)| *own == fetch)?;
        Some(open.swap_remove(place).2)
    }

    /// The request that made subrequest `fetch`, if it waits for that.
    pub(crate) fn request_of(&self, fetch: u32) -> Option<u32> {
        let waiting = self.waiting.borrow();
        let own = waiting.open.iter().find(|(own, ..)| *own == fetch);
        own.map(|(_, request, _)| *request)
    }
}

/// The cell's port, as js-api wants it.
pub(crate) struct Port(pub(crate) Rc<Fetches>);

impl Outbound for Port {
    fn send(&self, request: Subrequest) -> Exchange {
        let Self(fetches) = self;
        let (sender, answer) = oneshot::channel();
        let fetch = {
            let mut waiting = fetches.waiting.borrow_mut();
            waiting.last += 1;
            let fetch = waiting.last;
            waiting.open.push((fetch, request.request, sender));
            fetch
        };
        let id = StreamId::Fetch(fetch);
        let (body, whole) = fetches.streams.borrow_mut().send(id, request.body);
        let message = FromCell::Fetch {
            seq: request.request,
            fetch,
            way: request.way,
            method: request.method.as_str(),
            url: request.url.as_str(),
            fields: Fields::Map(&request.headers),
            body,
        };
        fetches.wire.put(&message, &whole);
        // On its way while the function goes on.
        fetches.wire.try_flush();
        let wait = Wait {
            fetches: fetches.clone(),
            fetch,
        };
        Box::pin(async move {
            let answer = answer.await;
            drop(wait);
            // The sender lives until it has answered, or nobody waits.
            answer.unwrap_or_else(|_| Err(OutboundError::Invalid("it was left".into())))
        })
    }
}

/// Somebody waits for a subrequest. Dropped before the answer is there, it tells the node.
struct Wait {
    fetches: Rc<Fetches>,
    fetch: u32,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Self { fetches, fetch } = self;
        if fetches.leave(*fetch).is_some() {
            fetches.streams.borrow_mut().forget(StreamId::Fetch(*fetch));
            fetches
                .wire
                .put(&FromCell::FetchLeft { fetch: *fetch }, b"");
        }
    }
}
