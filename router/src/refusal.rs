//! Requests that the edge turns away before a function is chosen, and what it says to them.

use std::time::Duration;

use holm_model::outcome::Outcome;
use http::StatusCode;

use crate::body::BodyError;
use crate::hostname::{Hostname, HostnameError};
use crate::path::PathFault;
use crate::synthetic::Synthetic;

/// What makes a browser ask its user (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"preview\", charset=\"UTF-8\"";

/// Why a request got no further than the edge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not what RFC 9112 calls a request.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// No `Host`, and no host in the target.
    #[error("the request names no host")]
    HostMissing,
    /// More than one `Host`.
    #[error("the request names its host more than once")]
    HostRepeated,
    /// A `Host` that is none.
    #[error("the request's host is invalid: {0}")]
    HostInvalid(#[from] HostnameError),
    /// A `Host` that is not even text, or has a port that is no number.
    #[error("the request's host is not of the form host:port")]
    HostUnreadable,
    /// The target and the `Host` field name different hosts.
    #[error("the request's target and its Host field disagree")]
    HostMismatch,
    /// The host is not the one that the TLS connection was made for.
    #[error("this connection was made for another host than {0}")]
    Misdirected(Hostname),
    /// A path that URL parsers would rewrite.
    #[error("the path has {0}; a client is expected to resolve it before it asks")]
    Path(#[from] PathFault),
    /// No route takes the host.
    #[error("no function is served at {0}")]
    UnknownHost(Hostname),
    /// Routes take the host, and none the path.
    #[error("no function at {0} is served under this path")]
    UnknownPath(Hostname),
    /// The client's address is not one that may ask for the function.
    #[error("this function is not served to the address that the request comes from")]
    AddressDenied,
    /// The function takes a token, and the request has none, or another one.
    #[error(
        "this function takes a token: as a bearer's, or as the password that a browser asks for"
    )]
    TokenMissing,
    /// `OPTIONS *`.
    #[error("`*` asks about the whole server, and no function speaks for it")]
    Asterisk,
    /// CONNECT, TRACE or TRACK: no function can see them, by the Fetch standard.
    #[error("this method is not for functions")]
    Method,
    /// The client took too long to send its head, or fell silent within its body.
    #[error("the request did not arrive in time: {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The body is larger than allowed.
    #[error("the request's body is larger than the {0} bytes allowed")]
    BodyTooLarge(u64),
    /// The URL is longer than allowed.
    #[error("the URL is longer than the {0} bytes allowed")]
    UrlTooLong(usize),
    /// The head is larger than allowed.
    #[error("the request's head is larger than the {0} bytes allowed")]
    HeadTooLarge(usize),
    /// There are more header fields than allowed.
    #[error("the request has more than the {0} header fields allowed")]
    TooManyFields(usize),
    /// The edge holds as many connections as it may.
    #[error("the server has as many connections as it can serve")]
    TooManyConnections,
    /// Its client has as many requests in flight as it may.
    #[error("there are more than the {0} requests at a time that one address may have")]
    TooManyRequests(usize),
    /// It expects something else than `100-continue`.
    #[error("the only expectation that can be met is `100-continue`")]
    Expectation,
    /// It asks for a WebSocket in another version of the protocol than there is.
    #[error("the version of the WebSocket protocol is 13")]
    WebSocketVersion,
    /// The answer is not one that can be sent.
    #[error("the answer has a status that cannot be sent: {0}")]
    BadStatus(StatusCode),
}

impl Refusal {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid(_)
            | Self::HostUnreadable
            | Self::HostMismatch
            | Self::Path(_) => StatusCode::BAD_REQUEST,
            Self::UnknownHost(_) | Self::UnknownPath(_) | Self::Asterisk => StatusCode::NOT_FOUND,
            Self::AddressDenied => StatusCode::FORBIDDEN,
            Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UrlTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::HeadTooLarge(_) | Self::TooManyFields(_) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TooManyConnections => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::BadStatus(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// What a body that ended early says to its sender. `None` where nobody is left to be told,
    /// or where the sender is not to blame.
    pub fn of_body(error: &BodyError) -> Option<Self> {
        match error {
            BodyError::TooLarge { limit } => Some(Self::BodyTooLarge(*limit)),
            BodyError::Idle { after } => Some(Self::TimedOut(*after)),
            BodyError::Malformed => Some(Self::Malformed("its body is not well chunked")),
            BodyError::Length { .. } => Some(Self::Malformed("its body has another length")),
            BodyError::Disconnected | BodyError::Aborted(_) => None,
        }
    }

    /// What its answer and its record call it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TooManyConnections => Outcome::Overloaded,
            // The function's answer could not be sent.
            Self::BadStatus(_) => Outcome::Exception,
            Self::Malformed(_)
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid(_)
            | Self::HostUnreadable
            | Self::HostMismatch
            | Self::Misdirected(_)
            | Self::Path(_)
            | Self::UnknownHost(_)
            | Self::UnknownPath(_)
            | Self::AddressDenied
            | Self::TokenMissing
            | Self::Asterisk
            | Self::Method
            | Self::TimedOut(_)
            | Self::BodyTooLarge(_)
            | Self::UrlTooLong(_)
            | Self::HeadTooLarge(_)
            | Self::TooManyFields(_)
            | Self::TooManyRequests(_)
            | Self::Expectation
            | Self::WebSocketVersion => Outcome::Refused,
        }
    }

    /// Whether the connection has to end with it: its framing is in doubt, or its sender is.
    pub(crate) fn closes(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid(_)
            | Self::HostUnreadable
            | Self::HostMismatch
            | Self::Method
            | Self::TimedOut(_)
            | Self::BodyTooLarge(_)
            | Self::UrlTooLong(_)
            | Self::HeadTooLarge(_)
            | Self::TooManyFields(_)
            | Self::TooManyConnections => true,
            Self::Misdirected(_)
            | Self::Path(_)
            | Self::UnknownHost(_)
            | Self::UnknownPath(_)
            | Self::AddressDenied
            | Self::TokenMissing
            | Self::Asterisk
            | Self::TooManyRequests(_)
            | Self::Expectation
            | Self::WebSocketVersion
            | Self::BadStatus(_) => false,
        }
    }
}

impl From<Refusal> for Synthetic {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.status();
        let title = status.canonical_reason().unwrap_or("Refused");
        // The messages start in lower case, to be quoted by others; this one stands alone.
        let mut detail = refusal.to_string();
        detail[..1].make_ascii_uppercase();
        detail.push('.');
        let mut synthetic = Self::new(status, title, detail).outcome(refusal.outcome().word());
        if refusal == Refusal::Method {
            synthetic.allow = Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if refusal == Refusal::TokenMissing {
            synthetic.challenge = Some(CHALLENGE);
        }
        if matches!(
            refusal,
            Refusal::TooManyConnections | Refusal::TooManyRequests(_)
        ) {
            synthetic.retry_after = Some(Duration::from_secs(1));
        }
        synthetic
    }
}
