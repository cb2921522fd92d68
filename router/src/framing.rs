//! Where HTTP/1 requests begin and end: a strict second opinion beside hyper's parser.
//!
//! hyper is lenient where RFC 9112 lets a recipient be: it ends lines at a bare LF, drops a
//! `Content-Length` beside `Transfer-Encoding`, and folds equal lengths into one, and then leaves
//! no trace of it in the request. Every such liberty is one that some proxy in front may take in
//! another way, which is what request smuggling is made of. So the bytes pass through here first
//! (see `wire`), and a head with any of it gets no further:
//!
//! - lines end in CRLF, and CR, LF and NUL stand nowhere else; no folded fields;
//! - at most one `Content-Length`, of digits alone; `Transfer-Encoding` is `chunked`, once, in
//!   HTTP/1.1, and not beside a length;
//! - a target in one of the four forms of RFC 9112, 3.2; HTTP/1.0 or 1.1;
//! - the limits on URL, fields and head.
//!
//! It keeps count of the heads it let pass. A request that hyper sees beyond that count is one
//! that the two parsers disagree about, and is refused.

mod chunked;
mod head;

use crate::refusal::Refusal;

use chunked::Chunked;
use head::Head;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of the whole head, in bytes.
    pub(crate) head: usize,
    /// Of the target, in bytes.
    pub(crate) url: usize,
    /// Of header fields, by number.
    pub(crate) fields: usize,
}

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    Length(u64),
    Chunked,
}

/// Follows one connection's inbound bytes.
#[derive(Debug)]
pub(crate) struct Framing {
    limits: Limits,
    state: State,
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head(Head),
    Length(u64),
    Chunked(Chunked),
}

/// What may be done with the bytes given to [`Framing::advance`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advance {
    /// This many may be passed on.
    pub(crate) pass: usize,
    /// And the rest?
    pub(crate) rest: Rest,
}

/// What to do with the bytes that may not be passed on yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There are none.
    None,
    /// They are the start of a head: keep them, and give them again with what follows.
    Hold,
    /// They are no request. None of them, and nothing behind them, may be passed on.
    Refuse(Refusal),
    /// They are no part of a body that has begun. As above.
    Break,
}

impl Framing {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(Head::default()),
            heads: 0,
        }
    }

    /// How many heads were let pass.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether the next byte belongs to a head.
    pub(crate) fn expects_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Looks at the next bytes: those held back the last time, and what came since.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Advance {
        let mut pass = 0;
        while pass < input.len() {
            let rest = &input[pass..];
            match &mut self.state {
                State::Head(head) => match head.advance(rest, &self.limits) {
                    Ok(None) => {
                        return Advance {
                            pass,
                            rest: Rest::Hold,
                        };
                    }
                    Ok(Some((length, body))) => {
                        pass += length;
                        self.heads += 1;
                        self.state = match body {
                            BodyFraming::Length(0) => State::Head(Head::default()),
                            BodyFraming::Length(length) => State::Length(length),
                            BodyFraming::Chunked => State::Chunked(Chunked::default()),
                        };
                    }
                    Err(refusal) => {
                        return Advance {
                            pass,
                            rest: Rest::Refuse(refusal),
                        };
                    }
                },
                State::Length(left) => {
                    let here = usize::try_from(*left).map_or(rest.len(), |n| n.min(rest.len()));
                    pass += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::Head(Head::default());
                    }
                }
                State::Chunked(chunked) => match chunked.advance(rest) {
                    Ok((here, is_end)) => {
                        pass += here;
                        if is_end {
                            self.state = State::Head(Head::default());
                        }
                    }
                    Err(sound) => {
                        pass += sound;
                        return Advance {
                            pass,
                            rest: Rest::Break,
                        };
                    }
                },
            }
        }
        Advance {
            pass,
            rest: Rest::None,
        }
    }
}

#[cfg(test)]
mod tests;
