//! What a client gets when a function gives no answer. The only place that turns an outcome into
//! a response.

use std::sync::Arc;
use std::time::Duration;

use holm_model::event::Failure;
use holm_model::outcome::Outcome;
use holm_router::Refusal;
use holm_router::RequestId;
use holm_router::ResponseBody;
use holm_router::synthetic::Synthetic;
use http::HeaderMap;
use http::Response;
use http::StatusCode;

/// When a client of an overloaded function may try again.
const RETRY: Duration = Duration::from_secs(1);

/// What the reader of a response may see who wrote the function.
pub(super) struct Shown {
    /// In a few words.
    pub(super) title: String,
    /// All of it.
    pub(super) text: String,
    /// What is wrong with the configuration, if anything is.
    pub(super) banner: Banner,
}

/// What pages under `holm dev` say above all else: what is wrong with the configuration.
pub(super) type Banner = Option<Arc<String>>;

/// The response for a failure, with what `holm dev` shows of it.
pub(super) fn rescue(
    failure: &Failure,
    shown: Option<Shown>,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    let (title, detail) = words(failure.outcome);
    // Whoever went away will not read it, unless it was only its body that did not come.
    let status = failure.outcome.status().unwrap_or(StatusCode::BAD_REQUEST);
    let mut synthetic = Synthetic::new(status, title, detail).outcome(failure.outcome.word());
    if failure.outcome == Outcome::Overloaded {
        synthetic = synthetic.retry_after(failure.retry_after.unwrap_or(RETRY));
    }
    if failure.retry_after.is_some() {
        synthetic.title = "Held back".into();
        synthetic.detail = "The isolates of the function ended one after the other, and the next \
                            one is not started yet. Try again in a moment."
            .into();
    }
    if let Some(Shown {
        title,
        text,
        banner,
    }) = shown
    {
        let page = page(&title, &text, &banner, id);
        synthetic.title = title.into();
        synthetic.detail = text.into();
        synthetic = synthetic.page(page);
    }
    synthetic.respond(id, headers)
}

/// The response of a function that does not start. `dev`: its reader may see why.
pub(super) fn broken(
    why: &str,
    dev: bool,
    banner: &Banner,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    if !dev {
        let failure = Failure::of(Outcome::StartupFailed);
        return rescue(&failure, None, id, headers);
    }
    let title = "The function does not start";
    Synthetic::new(StatusCode::INTERNAL_SERVER_ERROR, title, why.to_owned())
        .outcome(Outcome::StartupFailed.word())
        .page(page(title, why, banner, id))
        .respond(id, headers)
}

/// The response for a request that no function takes.
pub(super) fn refuse(
    refusal: Refusal,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    Synthetic::from(refusal).respond(id, headers)
}

/// The same under `holm dev`, where it may say which `urls` there are.
pub(super) fn lost(
    refusal: Refusal,
    urls: &[String],
    banner: &Banner,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    let mut synthetic = Synthetic::from(refusal);
    if !urls.is_empty() {
        let list = urls.join("\n  ");
        synthetic.detail = format!("{}\n\nServed here:\n  {list}", synthetic.detail).into();
        let page = page(&synthetic.title, &synthetic.detail, banner, id);
        synthetic = synthetic.page(page);
    }
    synthetic.respond(id, headers)
}

/// An outcome in a few words, for people.
pub(super) fn title_of(outcome: Outcome) -> &'static str {
    words(outcome).0
}

fn words(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Exception => (
            "Exception",
            "The function threw an exception. Its log has the details, under the request id.",
        ),
        Outcome::ExceededCpu => (
            "CPU limit exceeded",
            "The function used more CPU time than one request may.",
        ),
        Outcome::ExceededMemory => (
            "Memory limit exceeded",
            "The function used more memory than it may.",
        ),
        Outcome::ExceededWallTime => (
            "Time limit exceeded",
            "The function took longer than one request may.",
        ),
        Outcome::StartupFailed => (
            "Function does not start",
            "The function could not be started. Its log has the details, under the request id.",
        ),
        Outcome::NoResponse => (
            "No response",
            "The function finished without a response: it waits for something that can never come.",
        ),
        Outcome::Overloaded => (
            "Overloaded",
            "The function has more requests waiting than it may. Try again in a moment.",
        ),
        Outcome::Canceled => (
            "Canceled",
            "The client went away before the request was complete.",
        ),
        Outcome::Crashed => (
            "Crashed",
            "The process that ran the function died, of something other than a limit. Its log has \
             the details, under the request id.",
        ),
        Outcome::Reset => (
            "Reset",
            "The platform took the function away, by no fault of its own. Try again.",
        ),
        Outcome::Ok | Outcome::Refused | Outcome::InternalError => (
            "Internal error",
            "Holm failed to serve this request. Its log has the details, under the request id.",
        ),
    }
}

/// A page for the developer's browser; text is escaped.
fn page(title: &str, text: &str, banner: &Banner, id: RequestId) -> String {
    let banner = banner.as_deref().map(|text| {
        let text = escape(text);
        format!("<h1>Not reloaded: what you see is as it was before</h1><pre>{text}</pre>")
    });
    format!(
        "<!doctype html><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:60rem;\
         padding:0 1rem;color:#1c1e21;background:#fff}}h1{{font-size:1.4rem;color:#b3261e}}\
         pre{{background:#f5f5f4;border-left:4px solid #b3261e;padding:1rem;overflow:auto;\
         font:14px/1.5 ui-monospace,monospace}}p{{color:#6b7075}}\
         @media(prefers-color-scheme:dark){{body{{color:#e8e8e6;background:#16181b}}\
         pre{{background:#202327}}h1{{color:#ff897d}}}}</style>\
         {banner}<h1>{title}</h1><pre>{text}</pre>\
         <p>holm dev · request {id} · save the file to try again</p>",
        title = escape(title),
        banner = banner.unwrap_or_default(),
        text = escape(text),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
