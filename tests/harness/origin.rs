//! A small upstream server for functions that fetch.
//!
//! | path | answer |
//! |---|---|
//! | `/hello` | a short text |
//! | `/echo` | what was sent, as JSON |
//! | `/mirror` | the request's body, as it comes |
//! | `/status?CODE` | that status |
//! | `/redirect?URL` | 302 to that URL |
//! | `/redirect-keep?URL` | 307 to that URL |
//! | `/gzip` | a gzip'ed text |
//! | `/bomb` | gzip that inflates to 1 GiB of zeros |
//! | `/drip` | three chunks, length not declared |
//! | `/cut` | declares 100 bytes, sends 5, closes |
//! | `/hang?KEY` | no answer, ever |
//! | `/hang-body?KEY` | a head and one chunk, then nothing |
//! | `/gone?KEY` | answers once a hanging exchange of that key has been dropped |

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use async_compression::tokio::write::GzipEncoder;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the bomb inflates to, in MiB.
const BOMB_MIB: usize = 1024;

/// Body of an answer.
type AnswerBody = BoxBody<Bytes, std::io::Error>;

/// The running upstream server. It lives as long as its runtime.
pub(crate) struct Origin {
    port: u16,
    hanging: Hanging,
}

/// Exchanges that hang, by key.
#[derive(Clone, Default)]
struct Hanging(Arc<Mutex<HashMap<String, watch::Sender<Exchange>>>>);

/// How far the exchanges of one key have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Exchange {
    #[default]
    Expected,
    Reached,
    Gone,
}

/// Marks an exchange as gone when dropped.
struct Entered(watch::Sender<Exchange>);

impl Origin {
    /// Listens on a free port of 127.0.0.1 and serves until the runtime ends.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no upstream server")?;
        let port = listener.local_addr()?.port();
        let hanging = Hanging::default();
        let served = hanging.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, served.clone()));
            }
        });
        Ok(Self { port, hanging })
    }

    /// Its base URL, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until a request of this key hangs.
    pub(crate) async fn reached(&self, key: &str) {
        self.hanging.wait(key, Exchange::Reached).await;
    }

    /// Waits until a hanging request of this key has been dropped by its client.
    pub(crate) async fn gone(&self, key: &str) {
        self.hanging.wait(key, Exchange::Gone).await;
    }

    /// Lets every request to `/gone?KEY` of this key be answered.
    pub(crate) fn release(&self, key: &str) {
        self.hanging.sender(key).send_replace(Exchange::Gone);
    }
}

async fn serve(socket: TcpStream, hanging: Hanging) {
    let service = service_fn(move |request| {
        let hanging = hanging.clone();
        async move { Ok::<_, Infallible>(answer(request, &hanging).await) }
    });
    // A client that goes away in the middle is what several cases are about.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service)
            .await,
    );
}

async fn answer(request: Request<Incoming>, hanging: &Hanging) -> Response<AnswerBody> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let builder = Response::builder();
    let response = match path.as_str() {
        "/hello" => builder
            .header("x-origin", "yes")
            .body(full("hello from the origin")),
        "/echo" => builder
            .header("content-type", "application/json")
            .body(echo(request).await),
        "/mirror" => builder.body(request.into_body().map_err(std::io::Error::other).boxed()),
        "/status" => builder.status(query.as_str()).body(full("status")),
        "/redirect" => builder.status(302).header("location", query).body(full("")),
        "/redirect-keep" => builder.status(307).header("location", query).body(full("")),
        "/gzip" => {
            let body = compressed("inflated text").await;
            builder.header("content-encoding", "gzip").body(body)
        }
        "/bomb" => builder
            .header("content-encoding", "gzip")
            .body(bomb().await),
        "/drip" => builder.body(chunks(["one ", "two ", "three"])),
        "/cut" => builder.header("content-length", "100").body(cut()),
        "/hang" => {
            let _entered = hanging.enter(&query);
            pending().await
        }
        "/hang-body" => builder.body(hang_body(hanging.enter(&query))),
        "/gone" => {
            hanging.wait(&query, Exchange::Gone).await;
            builder.body(full("gone"))
        }
        _ => builder
            .status(StatusCode::NOT_FOUND)
            .body(full("no such path")),
    };
    response.unwrap_or_else(|error| {
        let mut response = Response::new(full(&error.to_string()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    })
}

/// What was sent, as JSON.
async fn echo(request: Request<Incoming>) -> AnswerBody {
    let (head, body) = request.into_parts();
    let headers: HashMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let echo = json!({
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    full(&echo.to_string())
}

fn full(text: &str) -> AnswerBody {
    Full::new(Bytes::from(text.to_owned()))
        .map_err(|never| match never {})
        .boxed()
}

fn chunks<const N: usize>(texts: [&'static str; N]) -> AnswerBody {
    let frames = texts.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    BoxBody::new(StreamBody::new(stream::iter(frames)))
}

fn cut() -> AnswerBody {
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"start"))),
        Err(std::io::Error::other("cut on purpose")),
    ];
    BoxBody::new(StreamBody::new(stream::iter(frames)))
}

fn hang_body(entered: Entered) -> AnswerBody {
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"first chunk")))]);
    let rest = stream::once(async move {
        let _entered = entered;
        pending().await
    });
    BoxBody::new(StreamBody::new(first.chain(rest)))
}

async fn compressed(text: &str) -> AnswerBody {
    let mut encoder = GzipEncoder::new(Vec::new());
    // Writing into memory cannot fail.
    drop(encoder.write_all(text.as_bytes()).await);
    drop(encoder.shutdown().await);
    Full::new(Bytes::from(encoder.into_inner()))
        .map_err(|never| match never {})
        .boxed()
}

/// Gzip that inflates to [`BOMB_MIB`] and costs next to nothing to make: after the first MiB of
/// zeros every further one compresses to the same bytes, because what it refers back to is the
/// same. The end of the format is left out; nobody is meant to get there.
async fn bomb() -> AnswerBody {
    let zeros = vec![0; 1024 * 1024];
    let mut encoder = GzipEncoder::new(Vec::new());
    drop(encoder.write_all(&zeros).await);
    drop(encoder.flush().await);
    let first = encoder.get_ref().len();
    drop(encoder.write_all(&zeros).await);
    drop(encoder.flush().await);
    let mut first_mib = Bytes::from(encoder.into_inner());
    let next_mib = first_mib.split_off(first);
    let mibs = std::iter::once(first_mib).chain(std::iter::repeat_n(next_mib, BOMB_MIB - 1));
    BoxBody::new(StreamBody::new(stream::iter(
        mibs.map(|mib| Ok(Frame::data(mib))),
    )))
}

impl Hanging {
    fn sender(&self, key: &str) -> watch::Sender<Exchange> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(key.to_owned()).or_default().clone()
    }

    fn enter(&self, key: &str) -> Entered {
        let sender = self.sender(key);
        sender.send_replace(Exchange::Reached);
        Entered(sender)
    }

    async fn wait(&self, key: &str, state: Exchange) {
        let sender = self.sender(key);
        // The sender held here keeps the channel open, so the wait ends only with the value.
        drop(sender.subscribe().wait_for(|seen| *seen == state).await);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.send_replace(Exchange::Gone);
    }
}
