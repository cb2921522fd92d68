//! What a function is told when an exchange fails.

use std::error::Error;

use holm_model::body::BodyError;
use holm_model::outbound::OutboundError;
use url::Url;

use super::dial::DialError;

/// The port's error for a failed exchange with `url`.
pub(super) fn explain(url: &Url, error: &(dyn Error + 'static)) -> OutboundError {
    let host = || url.host_str().unwrap_or_default().to_owned();
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<BodyError>() {
            return OutboundError::Invalid(format!("the request body failed: {error}"));
        }
        match cause.downcast_ref::<DialError>() {
            Some(DialError::Forbidden) => return OutboundError::Forbidden { host: host() },
            Some(DialError::Resolve(reason)) => {
                return OutboundError::Resolve {
                    host: host(),
                    reason: reason.to_string(),
                };
            }
            // Both say all there is to say; the general case below words them.
            Some(DialError::Connect(_) | DialError::TimedOut(_)) | None => {}
        }
    }
    unreachable(url, reason(error))
}

/// The peer of `url` cannot be talked to.
pub(super) fn unreachable(url: &Url, reason: String) -> OutboundError {
    let port = url.port_or_known_default().unwrap_or_default();
    OutboundError::Unreachable {
        host: format!("{}:{port}", url.host_str().unwrap_or_default()),
        reason,
    }
}

/// The causes of `error` in words, innermost last, each said once.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut words = String::new();
    for cause in causes(error) {
        // "client error (Connect)" and the like: which step of hyper's failed, not why.
        if cause.is::<hyper_util::client::legacy::Error>() && cause.source().is_some() {
            continue;
        }
        let cause = cause.to_string();
        if words.ends_with(&cause) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause);
    }
    words
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
