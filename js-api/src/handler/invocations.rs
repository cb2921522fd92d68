//! The requests that an isolate is answering.

use std::rc::Rc;

use deno_core::OpState;
use deno_core::ResourceId;
use deno_core::v8;
use holm_model::body::BodyProgress;
use holm_model::event::FetchResponse;
use holm_model::log::Log;
use holm_model::log::Thrown;

use super::BodyWriter;

/// Where `handler.js` puts the number of a request in the async context of its code.
const REQUEST: &[u8] = b"holmRequest";

/// Header fields of a request, as they came: nothing looks at them before the function does.
#[derive(Debug, Default)]
pub struct RequestHeaders {
    /// Names and values, one behind the other.
    bytes: Vec<u8>,
    /// How long each is.
    lengths: Vec<(u32, u32)>,
}

impl RequestHeaders {
    /// Room for `count` fields.
    pub fn with_capacity(count: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(count * 32),
            lengths: Vec::with_capacity(count),
        }
    }

    /// Adds a field, its name in lower case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        // Heads are far below 4 GiB.
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
        self.lengths.push((length(name), length(value)));
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }

    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map(move |(name, value)| {
            let (first, behind) = rest.split_at_checked(*name as usize).unwrap_or_default();
            let (second, behind) = behind.split_at_checked(*value as usize).unwrap_or_default();
            rest = behind;
            (first, second)
        })
    }
}

/// A request that an isolate is answering.
#[derive(Debug)]
pub struct Invocation {
    /// Number of the request in this isolate; what is left floating of an earlier one carries
    /// another number and is ignored.
    pub id: u32,
    /// Headers of the request, until the function asks for them.
    pub headers: RequestHeaders,
    /// Subrequests made so far.
    pub subrequests: u32,
    /// Subrequests that may be made in all.
    pub subrequest_limit: u32,
    /// The answer, from when the handler gave it until the host takes it.
    pub answer: Option<FetchResponse>,
    /// Whether there has been an answer.
    pub answered: bool,
    /// The writer of a streamed answer, while it is written.
    pub writer: Option<Rc<BodyWriter>>,
    /// The answer's body, where it is one that came from the host and goes back there.
    pub passing: Option<BodyProgress>,
    /// Its answer has a body of the host's: JavaScript keeps the request until the host ends it.
    pub is_passing: bool,
    /// The client left while the answer was being written.
    pub left: bool,
    /// What the handler threw, or its answer's body.
    pub thrown: Option<Thrown>,
    /// The handler, its answer and everything given to `waitUntil` have run their course.
    pub settled: bool,
    /// What it wrote with `console`.
    pub log: Log,
    /// Resources that were opened for it, and are closed with it; some have been closed by now.
    pub resources: Vec<ResourceId>,
}

impl Invocation {
    /// The start of request number `id` of an isolate.
    pub fn new(id: u32, headers: RequestHeaders, subrequest_limit: u32) -> Self {
        Self {
            id,
            headers,
            subrequests: 0,
            subrequest_limit,
            answer: None,
            answered: false,
            left: false,
            writer: None,
            passing: None,
            is_passing: false,
            thrown: None,
            settled: false,
            log: Log::default(),
            resources: Vec::new(),
        }
    }

    /// The invocation with that number.
    pub fn of(state: &mut OpState, id: u32) -> Option<&mut Self> {
        state.borrow_mut::<Invocations>().numbered(id)
    }

    /// The one on whose behalf the code that called an op runs.
    pub(crate) fn calling<'a>(
        state: &'a mut OpState,
        scope: &mut v8::PinScope<'_, '_>,
    ) -> Option<&'a mut Self> {
        let invocations = state.borrow_mut::<Invocations>();
        if invocations.are_shared {
            let id = request_of_context(scope)?;
            invocations.numbered(id)
        } else {
            invocations.live.first_mut()
        }
    }
}

/// The requests that an isolate is answering: at most one, unless it is shared.
#[derive(Debug, Default)]
pub struct Invocations {
    /// In the order of their numbers.
    live: Vec<Invocation>,
    are_shared: bool,
    /// Those that have settled, for who has many of them.
    settled: Vec<u32>,
    /// What was written when no request ran, for the next one.
    log: Log,
    /// What requests write that are over. Nobody reads it.
    lost: Log,
}

impl Invocations {
    /// For an isolate that answers several requests at once, or not.
    pub fn new(are_shared: bool) -> Self {
        Self {
            are_shared,
            ..Self::default()
        }
    }

    /// A request begins.
    pub fn begin(&mut self, mut invocation: Invocation) {
        invocation.log = std::mem::take(&mut self.log);
        self.live.push(invocation);
    }

    /// A request is over; what is left floating of it finds nothing.
    pub fn end(&mut self, id: u32) -> Option<Invocation> {
        let place = self.live.iter().position(|live| live.id == id)?;
        Some(self.live.remove(place))
    }

    /// The log of the request with that number. What cannot be told apart goes to the one that has
    /// run for longest.
    pub(crate) fn log(&mut self, id: Option<u32>) -> (Option<u32>, &mut Log) {
        let own = id.and_then(|id| self.live.binary_search_by_key(&id, |live| live.id).ok());
        if own.is_none() && id.is_some() && !self.live.is_empty() {
            // It is not told as another request's.
            self.lost = Log::default();
            return (None, &mut self.lost);
        }
        match self.live.get_mut(own.unwrap_or(0)) {
            Some(invocation) => (Some(invocation.id), &mut invocation.log),
            None => (None, &mut self.log),
        }
    }

    /// From here on several requests run at the same time.
    pub(crate) fn share(&mut self) {
        self.are_shared = true;
    }

    /// A request has run its course.
    pub(crate) fn settle(&mut self, id: u32) {
        if let Some(invocation) = self.numbered(id) {
            invocation.settled = true;
            self.settled.push(id);
        }
    }

    /// Those that have since this was last asked.
    pub fn take_settled(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.settled)
    }

    fn numbered(&mut self, id: u32) -> Option<&mut Invocation> {
        // Sockets that rest may be many.
        let place = self.live.binary_search_by_key(&id, |live| live.id).ok()?;
        self.live.get_mut(place)
    }
}

/// The number of the request on whose behalf the code that called an op runs, where several do.
pub(crate) fn calling(state: &OpState, scope: &mut v8::PinScope<'_, '_>) -> Option<u32> {
    let is_shared = state.borrow::<Invocations>().are_shared;
    is_shared.then(|| request_of_context(scope)).flatten()
}

fn request_of_context(scope: &mut v8::PinScope<'_, '_>) -> Option<u32> {
    let context = scope.get_continuation_preserved_embedder_data();
    let context = v8::Local::<v8::Object>::try_from(context).ok()?;
    let key = v8::String::new_from_one_byte(scope, REQUEST, v8::NewStringType::Internalized)?;
    context.get(scope, key.into())?.uint32_value(scope)
}
