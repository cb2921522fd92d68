//! From the edge to an isolate and back.

use std::sync::Arc;

use holm_model::body::BodyProgress;
use holm_model::event::Event;
use holm_model::event::Failure;
use holm_model::event::FetchRequest;
use holm_model::event::Reply;
use holm_model::outcome::Outcome;
use holm_router::Dispatch;
use holm_router::Exchange;
use holm_router::Hostname;
use holm_router::Refusal;
use holm_router::Refused;
use holm_router::ResponseBody;
use holm_router::synthetic::OUTCOME;
use holm_router::synthetic::REQUEST_ID;
use holm_runtime::descriptors::Purpose;
use holm_runtime::pool::Pool;
use holm_runtime::request::RequestContext;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT;
use http::uri::Scheme;
use url::Url;

use super::Broken;
use super::Found;
use super::Function;
use super::Node;
use super::bodies;
use super::compress;
use super::compress::Coding;
use super::compress::Offer;
use super::files;
use super::rescue;
use super::rescue::Shown;
use super::secure;
use crate::assets::Answer;
use crate::assets::Asked;
use crate::assets::Assets;

impl Dispatch for Node {
    async fn dispatch(&self, mut exchange: Exchange) -> Response<ResponseBody> {
        let records = &self.services.records;
        let context = RequestContext::new(records, exchange.id.into(), exchange.received).about(
            exchange.request.method().clone(),
            serialized(exchange.url()),
        );
        let context = context.from_client(exchange.client.clone());
        // Nobody else is asked: whatever a function, a redirect or a token says, it is for us to prove.
        if let Some(proof) = self.http_proof().answer(&exchange.host, exchange.path()) {
            context.answered(StatusCode::OK);
            return Response::new(ResponseBody::from(proof));
        }
        let Found {
            function,
            access,
            secure,
            compress,
            assets,
        } = match self.function(&exchange) {
            Ok(found) => found,
            Err(refusal) => {
                refuse(context, &refusal);
                let app = self.app();
                let urls = app.as_ref().map_or(&[][..], |app| &app.urls);
                return rescue::lost(
                    refusal,
                    urls,
                    &self.banner(),
                    exchange.id,
                    exchange.request.headers(),
                );
            }
        };
        if let Some(response) = secure::redirect(secure, self.ports(), &exchange) {
            let context = context.named(function.name().clone());
            context.answered(response.status());
            return response;
        }
        let client = exchange.client.address;
        if let Err(refusal) = access.admit(client, exchange.request.headers_mut()) {
            refuse(context.named(function.name().clone()), &refusal);
            return rescue::refuse(refusal, exchange.id, exchange.request.headers());
        }
        let hsts = secure.hsts.filter(|_| exchange.scheme == Scheme::HTTPS);
        let mut response = self
            .respond(function, assets, compress, context, exchange)
            .await;
        secure::pin(hsts, &mut response);
        response
    }

    fn refused(&self, refused: Refused) {
        let records = &self.services.records;
        let context = RequestContext::new(records, refused.id.into(), refused.received)
            .about_if_known(refused.method, refused.url)
            .from_client(refused.client);
        refuse(context, &refused.refusal);
    }

    fn aborting(&self) {
        self.abort();
    }

    fn has_room(&self) -> bool {
        !self.services.descriptors.are_short(Purpose::Connection)
    }

    fn connected(&self) {
        self.services.descriptors.connected();
    }

    fn prewarm(&self, host: &Hostname) {
        let app = self.app();
        let root = app.as_ref().and_then(|app| app.find(host, "/"));
        if let Some(Found {
            function: Function::Ready(pool),
            ..
        }) = root
        {
            pool.prewarm();
        }
    }
}

/// The edge turns a request away.
pub(super) fn refuse(context: RequestContext, refusal: &Refusal) {
    context.refuse(
        refusal.outcome(),
        Some(refusal.status()),
        &refusal.to_string(),
    );
}

impl Node {
    fn function(&self, exchange: &Exchange) -> Result<Found, Refusal> {
        let host = &exchange.host;
        let app = self.app();
        let Some(app) = app.as_ref() else {
            return Err(Refusal::UnknownHost(host.clone()));
        };
        let found = app.find(host, exchange.path());
        found.ok_or_else(|| app.refusal(host.clone()))
    }

    /// The answer of the files beside the function, or else of the function.
    async fn respond(
        &self,
        function: Function,
        assets: Option<Arc<Assets>>,
        compress: bool,
        context: RequestContext,
        exchange: Exchange,
    ) -> Response<ResponseBody> {
        if let Some(assets) = assets {
            let (id, uri) = (exchange.id, exchange.request.uri());
            let headers = exchange.request.headers();
            let asked = Asked {
                method: exchange.request.method(),
                path: uri.path(),
                query: uri.query(),
                headers,
                takes_codings: true,
                is_last: function.is_files(),
            };
            let named = |context: RequestContext| context.named(function.name().clone());
            match assets.answer(asked).await {
                Ok(Some(answer)) => return files::respond(answer, named(context), id, headers),
                Err(error) => return files::fail(&error, named(context), id, headers),
                Ok(None) => {}
            }
        }
        match function {
            Function::Ready(pool) => self.answer(&pool, compress, context, exchange).await,
            Function::Broken(broken) => self.excuse(&broken, context, &exchange),
            Function::Files(name) => {
                let headers = exchange.request.headers();
                files::respond(Answer::NotFound, context.named(name), exchange.id, headers)
            }
        }
    }

    /// Answers for a function that does not start.
    fn excuse(
        &self,
        broken: &Broken,
        context: RequestContext,
        exchange: &Exchange,
    ) -> Response<ResponseBody> {
        let Broken { name, why } = broken;
        context
            .named(name.clone())
            .refuse(Outcome::StartupFailed, None, why);
        rescue::broken(
            why,
            self.dev,
            &self.banner(),
            exchange.id,
            exchange.request.headers(),
        )
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
                banner: self.banner(),
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
            banner: self.banner(),
        })
    }

    /// Asks a function. `context`, dropped before the body is there, is that of a client that went away.
    async fn answer(
        &self,
        pool: &Pool,
        compress: bool,
        context: RequestContext,
        exchange: Exchange,
    ) -> Response<ResponseBody> {
        let id = exchange.id;
        let mut context = context.to(pool.deployment());
        let url = serialized(exchange.url());
        let (head, mut body) = exchange.request.into_parts();
        // What a synthetic response would be rendered for.
        let accept = head.headers.get(ACCEPT).cloned();

        let limit = pool.deployment().limits.request_body.as_u64();
        if body.limit(limit).is_err() {
            let refusal = Refusal::BodyTooLarge(limit);
            refuse(context, &refusal);
            return rescue::refuse(refusal, id, &only(accept));
        }
        let body = match bodies::inbound(body, &self.ahead, self.io().handle()).await {
            Ok(body) => body,
            Err(error) => {
                let accept = only(accept);
                let canceled = Failure::of(Outcome::Canceled);
                return match Refusal::of_body(&error) {
                    Some(refusal) => {
                        refuse(context, &refusal);
                        rescue::refuse(refusal, id, &accept)
                    }
                    None => rescue::rescue(&canceled, None, id, &accept),
                };
            }
        };
        let is_head = head.method == Method::HEAD;
        let coding = compress.then(|| Coding::wanted(&head.headers)).flatten();
        let offer = coding.filter(|_| !is_head).map(|coding| Offer {
            coding,
            record: context.keep_open(),
        });
        let progress = body.progress();
        let request = FetchRequest {
            method: head.method,
            url,
            headers: head.headers,
            body,
        };
        let failure = match ask(pool, context, request).await {
            Ok(response) if compress && is_head => return compress::head(response, coding),
            Ok(response) if compress => {
                return compress::answer(response, offer, &self.encoders);
            }
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
pub(super) async fn ask(pool: &Pool, context: RequestContext, request: FetchRequest) -> Reply {
    let mut reply = pool.ask(context, Event::Fetch(request)).await;
    if let Ok(response) = &mut reply {
        // What these say is the node's to say.
        for name in [OUTCOME, REQUEST_ID] {
            response.headers_mut().remove(name);
        }
    }
    reply
}

/// The URL as the URL standard serializes it. The edge has checked host and path; what is left
/// are characters that a lenient client did not encode.
pub(super) fn serialized(url: String) -> String {
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
