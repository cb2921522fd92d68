//! The answer to a request: which file, how it is to be sent, and the head of that.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT_RANGES;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;
use http::header::ETAG;
use http::header::LOCATION;
use http::header::VARY;

use super::Assets;
use super::find;
use super::find::Found;
use super::folder::Asset;
use super::negotiate;
use super::negotiate::Coding;
use super::negotiate::Condition;
use super::negotiate::Part;
use super::read::ReadError;
use super::read::Reading;
use super::redirects::Led;
use crate::config::HtmlHandling;
use crate::config::NotFound;

/// What caches may do unless `_headers` says otherwise: keep it, and ask each time whether it still is the same.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// A request, as far as files have to do with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Its method.
    pub(crate) method: &'a Method,
    /// Its path, as it came.
    pub(crate) path: &'a str,
    /// Its query, if there is one.
    pub(crate) query: Option<&'a str>,
    /// Its fields.
    pub(crate) headers: &'a HeaderMap,
    /// Whether whoever asks undoes codings.
    pub(crate) takes_codings: bool,
    /// Whether nobody else answers if there is no such file.
    pub(crate) is_last: bool,
}

/// What there is to say.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This.
    Response(Box<Response<Content>>),
    /// There is no such file.
    NotFound,
    /// Files are only read.
    NotAllowed,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Content {
    Empty,
    Whole(Bytes),
    Stream(Reading),
}

/// What is to be answered, before a file is read.
enum Choice<'a> {
    File {
        asset: &'a Asset,
        /// Under which it was found.
        name: String,
        status: StatusCode,
    },
    Away(StatusCode, HeaderValue),
    NotFound,
    NotAllowed,
}

impl Assets {
    /// The answer to a request; nothing if the function is to give one.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        asked: Asked<'_>,
    ) -> Result<Option<Answer>, ReadError> {
        let Some(choice) = self.choose(asked) else {
            return Ok(None);
        };
        let response = match choice {
            Choice::NotAllowed => return Ok(Some(Answer::NotAllowed)),
            Choice::NotFound => return Ok(Some(Answer::NotFound)),
            Choice::Away(status, to) => {
                let mut response = Response::new(Content::Empty);
                *response.status_mut() = status;
                response.headers_mut().insert(LOCATION, to);
                response
            }
            Choice::File {
                asset,
                name,
                status,
            } => match self.send(asked, asset, &name, status).await {
                Ok(response) => response,
                Err(ReadError::Gone) if asked.is_last => return Ok(Some(Answer::NotFound)),
                Err(ReadError::Gone) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Ok(Some(Answer::Response(Box::new(response))))
    }

    fn choose(&self, asked: Asked<'_>) -> Option<Choice<'_>> {
        let plan = &self.plan;
        if !asked.is_last && plan.function_first {
            return None;
        }
        if *asked.method != Method::GET && *asked.method != Method::HEAD {
            return asked.is_last.then_some(Choice::NotAllowed);
        }
        let with_status = |(asset, name), status| Choice::File {
            asset,
            name,
            status,
        };
        let found = match self.folder.redirects.find(asked.path, asked.query) {
            Some(Led::Away(status, to)) => return Some(Choice::Away(status, to)),
            Some(Led::To(path)) => self.under(&path),
            None => match find::find(&self.folder, asked.path, plan.html_handling) {
                Some(Found::File(asset, name)) => Some((asset, name)),
                Some(Found::Elsewhere(mut path)) => {
                    if let Some(query) = asked.query {
                        path.push('?');
                        path.push_str(query);
                    }
                    let to = HeaderValue::from_str(&path).ok()?;
                    return Some(Choice::Away(StatusCode::TEMPORARY_REDIRECT, to));
                }
                None => None,
            },
        };
        if let Some(found) = found {
            return Some(with_status(found, StatusCode::OK));
        }
        let page = match plan.not_found {
            NotFound::SinglePageApplication if asked.is_last || navigates(asked.headers) => {
                let page = self.under("/index.html");
                page.map(|page| with_status(page, StatusCode::OK))
            }
            NotFound::Page if asked.is_last => find::not_found(&self.folder, asked.path)
                .map(|page| with_status(page, StatusCode::NOT_FOUND)),
            NotFound::SinglePageApplication | NotFound::Page | NotFound::None => None,
        };
        page.or(asked.is_last.then_some(Choice::NotFound))
    }

    /// The file at `path`, whatever its own address is.
    fn under(&self, path: &str) -> Option<(&Asset, String)> {
        let by = |path: &str, html| match find::find(&self.folder, path, html) {
            Some(Found::File(asset, name)) => Ok((asset, name)),
            Some(Found::Elsewhere(path)) => Err(Some(path)),
            None => Err(None),
        };
        let html = self.plan.html_handling;
        by(path, HtmlHandling::None)
            .or_else(|_| by(path, html))
            .or_else(|elsewhere| elsewhere.map_or(Err(None), |path| by(&path, html)))
            .ok()
    }

    /// The file `name`, as it is asked for.
    async fn send(
        self: &Arc<Self>,
        asked: Asked<'_>,
        plain: &Asset,
        name: &str,
        status: StatusCode,
    ) -> Result<Response<Content>, ReadError> {
        let (asset, coding, varies) = self.pack(asked, plain, name);
        let mut response = Response::new(Content::Empty);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, plain.kind.clone());
        headers.insert(CACHE_CONTROL, CACHED);
        self.folder.headers.apply(asked.path, headers);
        if varies {
            headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if let Some(coding) = coding {
            let coding = HeaderValue::from_static(coding.word());
            headers.insert(CONTENT_ENCODING, coding);
        }
        let length = asset.stamp.size;
        let mut part = 0..length;
        // What stands in for something else has no version and no parts.
        if status == StatusCode::OK {
            headers.insert(ETAG, asset.etag.clone());
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            match negotiate::condition(asked.headers, &asset.etag) {
                Condition::Holds => {}
                Condition::Unchanged => return Ok(bare(response, StatusCode::NOT_MODIFIED)),
                Condition::Failed => return Ok(bare(response, StatusCode::PRECONDITION_FAILED)),
            }
            let asked_for = if *asked.method == Method::GET {
                negotiate::part(asked.headers, &asset.etag, length)
            } else {
                Part::All
            };
            match asked_for {
                Part::All => {}
                Part::Nothing => {
                    let all = format!("bytes */{length}");
                    headers.insert(CONTENT_RANGE, text(&all));
                    return Ok(bare(response, StatusCode::RANGE_NOT_SATISFIABLE));
                }
                Part::Bytes(range) => {
                    let (start, last) = (range.start, range.end - 1);
                    let which = format!("bytes {start}-{last}/{length}");
                    headers.insert(CONTENT_RANGE, text(&which));
                    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                    part = range;
                }
            }
        }
        if *asked.method == Method::HEAD {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            return Ok(response);
        }
        self.fill(response, asset, part, status).await
    }

    /// Puts `part` of `asset` into `response`, or all of it, if it is another one now.
    async fn fill(
        self: &Arc<Self>,
        mut response: Response<Content>,
        asset: &Asset,
        mut part: Range<u64>,
        status: StatusCode,
    ) -> Result<Response<Content>, ReadError> {
        let path = &asset.path;
        let most = part.end - part.start;
        let first = self
            .clone()
            .read(path.clone(), Some(asset.stamp), part.start, most)
            .await;
        let (ahead, stamp) = match first {
            Err(ReadError::Changed) => {
                let now = self.clone().read(path.clone(), None, 0, u64::MAX).await?;
                part = 0..now.1.size;
                *response.status_mut() = status;
                let headers = response.headers_mut();
                for name in [ETAG, ACCEPT_RANGES, CONTENT_RANGE] {
                    headers.remove(name);
                }
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                now
            }
            read => read?,
        };
        let length = part.end - part.start;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        let read = ahead.len() as u64;
        *response.body_mut() = if read == length {
            Content::Whole(ahead)
        } else {
            Content::Stream(Reading {
                assets: self.clone(),
                path: path.clone(),
                stamp,
                next: part.start + read,
                end: part.end,
                ahead: Some(ahead),
                piece: None,
            })
        };
        Ok(response)
    }

    /// What is sent for the file `name`, and whether others would get something else: the file beside it that the
    /// client wants most, and of those the smallest.
    fn pack<'a>(
        &'a self,
        asked: Asked<'_>,
        plain: &'a Asset,
        name: &str,
    ) -> (&'a Asset, Option<Coding>, bool) {
        let packed = Coding::ALL
            .into_iter()
            .filter_map(|coding| Some((self.folder.packed(name, coding)?, coding)));
        let packed: Vec<_> = packed.collect();
        let varies = asked.takes_codings && !packed.is_empty();
        let wanted = packed
            .into_iter()
            .filter(|_| asked.takes_codings)
            .map(|(asset, coding)| (negotiate::wish(asked.headers, coding), asset, coding))
            .filter(|(wish, ..)| *wish > 0)
            .max_by_key(|(wish, asset, _)| (*wish, u64::MAX - asset.stamp.size));
        match wanted {
            Some((_, asset, coding)) => (asset, Some(coding), varies),
            None => (plain, None, varies),
        }
    }
}

/// A response that has no content.
fn bare(mut response: Response<Content>, status: StatusCode) -> Response<Content> {
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_ENCODING, ACCEPT_RANGES] {
        headers.remove(name);
    }
    response
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("words and numbers")
}

/// Whether a browser goes to another page, and does not load something for the one that it shows.
fn navigates(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-mode")
        .is_some_and(|mode| mode == "navigate")
}
