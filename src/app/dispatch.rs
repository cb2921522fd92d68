//! From the edge to an isolate and back.

use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::body::BodyProgress;
use holm_model::event::Event;
use holm_model::event::Failure;
use holm_model::event::FetchRequest;
use holm_model::event::Reply;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_router::Dispatch;
use holm_router::Exchange;
use holm_router::Hostname;
use holm_router::Refusal;
use holm_router::Refused;
use holm_router::ResponseBody;
use holm_router::synthetic::OUTCOME;
use holm_router::synthetic::REQUEST_ID;
use holm_runtime::job::Job;
use holm_runtime::pool::Pool;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::header::ACCEPT;
use tokio::sync::oneshot;
use url::Url;

use super::Broken;
use super::Function;
use super::Node;
use super::bodies;
use super::rescue;
use super::rescue::Shown;
use super::unanswered;
use super::unanswered::Arriving;

impl Dispatch for Node {
    async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
        match self.function(&exchange) {
            Ok(Function::Ready(pool)) => self.answer(&pool, exchange).await,
            Ok(Function::Broken(broken)) => self.excuse(&broken, &exchange),
            Err(refusal) => {
                let (id, wall) = (exchange.id, exchange.received.elapsed());
                let record = unanswered::of_refusal(id.into(), wall, &refusal);
                self.services.recorder.record(asked_by(&exchange, record));
                let app = self.app();
                let urls = app.as_ref().map_or(&[][..], |app| &app.urls);
                rescue::lost(refusal, urls, id, exchange.request.headers())
            }
        }
    }

    fn refused(&self, refused: Refused) {
        self.services.recorder.record(unanswered::refused(refused));
    }

    fn aborting(&self) {
        self.abort();
    }

    fn prewarm(&self, host: &Hostname) {
        let app = self.app();
        let root = app.as_ref().and_then(|app| app.find(host, "/"));
        if let Some(Function::Ready(pool)) = root {
            pool.prewarm();
        }
    }
}

impl Node {
    fn function(&self, exchange: &Exchange) -> Result<Function, Refusal> {
        let host = &exchange.host;
        let app = self.app();
        let Some(app) = app.as_ref() else {
            return Err(Refusal::UnknownHost(host.clone()));
        };
        let found = app.find(host, exchange.path()).cloned();
        found.ok_or_else(|| app.refusal(host.clone()))
    }

    /// Answers for a function that does not start.
    fn excuse(&self, broken: &Broken, exchange: &Exchange) -> Response<ResponseBody> {
        let Broken { name, why } = broken;
        let (id, wall) = (exchange.id, exchange.received.elapsed());
        let record = unanswered::broken(id.into(), wall, name.clone(), why);
        self.services.recorder.record(asked_by(exchange, record));
        rescue::broken(why, self.dev, id, exchange.request.headers())
    }

    /// `holm dev`: what the function threw, with the lines around the place, or the limit that it
    /// broke.
    fn shown(&self, pool: &Pool, failure: &Failure) -> Option<Shown> {
        if !self.dev {
            return None;
        }
        let deployment = pool.deployment();
        let Some(thrown) = &failure.thrown else {
            let text = deployment.broken_limit(failure.outcome)?;
            return Some(Shown {
                title: rescue::title_of(failure.outcome).to_owned(),
                text: format!("{}: {text}", deployment.name),
            });
        };
        let frame = deployment.graph.source_maps().code_frame(&thrown.stack);
        let text = match frame {
            Some(frame) => format!("{}\n\n{}", thrown.stack, frame.render(false)),
            None => thrown.stack.clone(),
        };
        Some(Shown {
            title: thrown.message.clone(),
            text,
        })
    }

    async fn answer(&self, pool: &Pool, exchange: Exchange) -> Response<ResponseBody> {
        let id = exchange.id;
        let url = serialized(exchange.url());
        let (head, mut body) = exchange.request.into_parts();
        // What a synthetic response would be rendered for.
        let accept = head.headers.get(ACCEPT).cloned();

        let arriving = Arriving {
            services: &self.services,
            deployment: pool.deployment(),
            request: id.into(),
            received: exchange.received,
            method: &head.method,
            url: &url,
            refusal: None,
            is_there: false,
        };
        let limit = pool.deployment().limits.request_body.as_u64();
        if body.limit(limit).is_err() {
            let refusal = Refusal::BodyTooLarge(limit);
            arriving.refuse(&refusal);
            return rescue::refuse(refusal, id, &only(accept));
        }
        let body = match bodies::inbound(body, self.io().handle()).await {
            Ok(body) => body,
            Err(error) => {
                let accept = only(accept);
                let canceled = Failure::of(Outcome::Canceled);
                return match Refusal::of_body(&error) {
                    Some(refusal) => {
                        arriving.refuse(&refusal);
                        rescue::refuse(refusal, id, &accept)
                    }
                    None => rescue::rescue(&canceled, None, id, &accept),
                };
            }
        };
        arriving.arrived();
        let progress = body.progress();
        let request = FetchRequest {
            method: head.method,
            url,
            headers: head.headers,
            body,
        };
        let failure = match ask(pool, request, id.into(), 0).await {
            Ok(response) => return response.map(bodies::outbound),
            Err(failure) => failure,
        };
        let accept = only(accept);
        // A function that fails over a body that is at fault is not to blame.
        let fault = progress.as_ref().and_then(BodyProgress::fault);
        match fault.and_then(Refusal::of_body) {
            Some(refusal) => rescue::refuse(refusal, id, &accept),
            None => {
                let shown = self.shown(pool, &failure);
                rescue::rescue(&failure, shown, id, &accept)
            }
        }
    }
}

/// Hands a request to a function and waits for what comes of it.
///
/// Dropping the future cancels the request.
pub(super) async fn ask(pool: &Pool, request: FetchRequest, id: Arc<str>, depth: u8) -> Reply {
    let (reply, answer) = oneshot::channel();
    let job = Job {
        event: Event::Fetch(request),
        request: id,
        depth,
        queued: Instant::now(),
        start: SystemTime::now(),
        reply,
    };
    if let Err(refused) = pool.submit(job) {
        pool.record_refused(&refused);
        return Err(refused.failure);
    }
    // An isolate that ends without an answer was taken away.
    let mut reply = answer
        .await
        .unwrap_or_else(|_| Err(Failure::of(Outcome::Reset)));
    if let Ok(response) = &mut reply {
        // What these say is the node's to say.
        for name in [OUTCOME, REQUEST_ID] {
            response.headers_mut().remove(name);
        }
    }
    reply
}

/// `record`, with what `exchange` asked for.
fn asked_by(exchange: &Exchange, record: Record) -> Record {
    Record {
        method: Some(exchange.request.method().clone()),
        url: Some(serialized(exchange.url())),
        ..record
    }
}

/// The URL as the URL standard serializes it. The edge has checked host and path; what is left
/// are characters that a lenient client did not encode.
fn serialized(url: String) -> String {
    let plain = url
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&()*+,;=%".contains(&byte));
    if plain {
        return url;
    }
    match Url::parse(&url) {
        Ok(url) => url.into(),
        Err(_) => url,
    }
}

/// Headers with `accept` alone.
fn only(accept: Option<HeaderValue>) -> HeaderMap {
    accept.into_iter().map(|accept| (ACCEPT, accept)).collect()
}
