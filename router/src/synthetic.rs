//! Responses that no function wrote: one look for all of them.
//!
//! Each says in one sentence what happened, carries the request id that the log carries, is never
//! cached, and speaks the client's language: plain text for a terminal, a small page for a
//! browser, JSON for a program.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::body::ResponseBody;
use crate::dispatch::RequestId;

/// The header with the word for what became of a request.
pub const OUTCOME: HeaderName = HeaderName::from_static("holm-outcome");
/// The header with the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("holm-request-id");

/// A response that no function wrote.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Its status.
    pub status: StatusCode,
    /// The word for the `holm-outcome` header.
    pub outcome: Option<&'static str>,
    /// What happened, in a few words.
    pub title: Cow<'static, str>,
    /// What happened and what to do, in a sentence.
    pub detail: Cow<'static, str>,
    /// When to try again; in the header, rounded up to whole seconds.
    pub retry_after: Option<Duration>,
    /// Methods that would be allowed, for a 405.
    pub allow: Option<&'static str>,
    /// What is to be shown, for a 401.
    pub challenge: Option<&'static str>,
    /// A page of HTML to show a browser instead of the usual small one (code frames under
    /// `holm dev`).
    pub page: Option<String>,
}

impl Synthetic {
    /// The least there is: everything else is empty.
    pub fn new(
        status: StatusCode,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            outcome: None,
            title: title.into(),
            detail: detail.into(),
            retry_after: None,
            allow: None,
            challenge: None,
            page: None,
        }
    }

    /// With an outcome's word.
    pub fn outcome(mut self, word: &'static str) -> Self {
        self.outcome = Some(word);
        self
    }

    /// With a time to try again.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With a page of HTML for browsers.
    pub fn page(mut self, html: String) -> Self {
        self.page = Some(html);
        self
    }

    /// Renders it for a client that sent `headers`.
    pub fn respond(mut self, id: RequestId, headers: &HeaderMap) -> Response<ResponseBody> {
        let format = Format::wanted(headers);
        let body = match format {
            Format::Text => self.text(id),
            Format::Html => self.html(id),
            Format::Json => self.json(id),
        };
        let mut response = Response::new(ResponseBody::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REQUEST_ID, id.into());
        if let Some(outcome) = self.outcome {
            headers.insert(OUTCOME, HeaderValue::from_static(outcome));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            let version = HeaderValue::from_static(crate::websocket::handshake::VERSION);
            headers.insert(SEC_WEBSOCKET_VERSION, version);
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn text(&self, id: RequestId) -> String {
        let Self {
            status,
            title,
            detail,
            ..
        } = self;
        let code = status.as_u16();
        format!("{code} {title}\n\n{detail}\n\nrequest id: {id}\n")
    }

    fn html(&mut self, id: RequestId) -> String {
        if let Some(page) = self.page.take() {
            return page;
        }
        let (title, detail) = (Escaped(&self.title), Escaped(&self.detail));
        let code = self.status.as_u16();
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>{code} {title}</title>\
             <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;\
             padding:0 1rem;color-scheme:light dark}}code{{opacity:.7}}</style>\
             <h1>{code} {title}</h1><p>{detail}<p><code>request id: {id}</code>\n"
        )
    }

    fn json(&self, id: RequestId) -> String {
        let mut json = format!("{{\"status\":{},\"title\":", self.status.as_u16());
        quote(&mut json, &self.title);
        json.push_str(",\"detail\":");
        quote(&mut json, &self.detail);
        if let Some(outcome) = self.outcome {
            json.push_str(",\"outcome\":");
            quote(&mut json, outcome);
        }
        json.push_str(",\"requestId\":");
        quote(&mut json, &id.to_string());
        json.push_str("}\n");
        json
    }
}

impl From<RequestId> for HeaderValue {
    fn from(id: RequestId) -> Self {
        let chars = Bytes::copy_from_slice(&id.chars());
        HeaderValue::from_maybe_shared(chars).expect("letters and digits make a header value")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Html,
    Json,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// The one that `Accept` weighs most; the first among equals; text for `*/*` and for want of
    /// anything better.
    fn wanted(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Text);
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let format = match parts.next() {
                    Some("text/html" | "application/xhtml+xml") => Self::Html,
                    Some("application/json") => Self::Json,
                    Some("text/plain" | "text/*" | "*/*") => Self::Text,
                    _ => continue,
                };
                let weight = parts
                    .find_map(|part| part.strip_prefix("q="))
                    .map_or(1.0, |q| q.parse().unwrap_or(0.0));
                if weight > best.0 {
                    best = (weight, format);
                }
            }
        }
        best.1
    }
}

/// Text, safe inside HTML.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            _ => f.write_char(character),
        })
    }
}

/// Appends `text` as a JSON string.
fn quote(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                json.push('\\');
                json.push(character);
            }
            '\n' => json.push_str("\\n"),
            _ if character.is_control() => {
                json.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::RequestIds;

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_client_chooses_the_format() {
        const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                              image/webp,*/*;q=0.8";
        for (value, format) in [
            ("*/*", Format::Text),
            ("", Format::Text),
            ("image/png", Format::Text),
            (CHROME, Format::Html),
            ("application/json", Format::Json),
            ("application/json, text/plain, */*", Format::Json),
            ("text/html;q=0.5, application/json;q=0.9", Format::Json),
            (
                "text/html; charset=utf-8; q=0, text/plain;q=0.1",
                Format::Text,
            ),
            ("text/html;q=x", Format::Text),
        ] {
            assert_eq!(Format::wanted(&accept(value)), format, "{value}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Text);
    }

    #[tokio::test]
    async fn every_format_carries_the_id_and_escapes_what_it_quotes() {
        let id = RequestIds::random().id(7);
        let detail = "\"<script>\"\nwas \\ asked for";
        for (value, escaped) in [
            ("text/html", "&quot;&lt;script&gt;&quot;"),
            ("application/json", "\\\"<script>\\\"\\nwas \\\\ asked"),
            ("*/*", "\"<script>\"\nwas \\"),
        ] {
            let synthetic = Synthetic::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail)
                .outcome("overloaded")
                .retry_after(Duration::from_millis(1_200));
            let mut response = synthetic.respond(id, &accept(value));
            assert_eq!(response.headers()[OUTCOME], "overloaded");
            assert_eq!(response.headers()[REQUEST_ID], id.to_string());
            assert_eq!(response.headers()[RETRY_AFTER], "2");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let body = response.body_mut().chunk().await;
            let body = body.expect("a body").expect("no error");
            let body = std::str::from_utf8(&body).expect("UTF-8");
            assert!(body.contains(&id.to_string()), "{body}");
            assert!(body.contains(escaped), "{body}");
        }
    }
}
