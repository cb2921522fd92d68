//! An HTTP client that hides nothing: one connection, one request after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long one exchange may take. Above every limit that a case sets.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(60);

/// Size of the chunks of a sized body.
const CHUNK: usize = 64 * 1024;

/// The body type of requests.
pub(crate) type RequestBody = BoxBody<Bytes, std::io::Error>;

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub(crate) enum Payload {
    /// No body.
    #[default]
    None,
    /// These bytes.
    Bytes(Bytes),
    /// So many bytes `a`, sent in chunks and without a declared length.
    Sized(u64),
}

/// The version of HTTP to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Host, as the function is to see it.
    pub(crate) host: String,
    /// Method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Headers besides Host.
    pub(crate) headers: HeaderMap,
    /// Body.
    pub(crate) payload: Payload,
}

/// What came back, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Body, as far as it came.
    pub(crate) body: Bytes,
    /// Why the body ended early, if it did.
    pub(crate) broken: Option<String>,
}

/// One open connection.
pub(crate) struct Connection {
    sender: Sender,
    _driver: Arc<Driver>,
}

/// The task that moves the bytes. Dropping it closes the connection at once, whatever is under
/// way on it.
struct Driver(JoinHandle<()>);

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Request {
    /// A GET.
    pub(crate) fn get(host: &str, path: &str) -> Self {
        Self {
            host: host.to_owned(),
            method: Method::GET,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            payload: Payload::None,
        }
    }

    /// A POST of these bytes.
    pub(crate) fn post(host: &str, path: &str, body: impl Into<Bytes>) -> Self {
        let payload = Payload::Bytes(body.into());
        Self {
            method: Method::POST,
            payload,
            ..Self::get(host, path)
        }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// Sends it over a connection of its own and reads the whole answer.
    pub(crate) async fn send(self, to: SocketAddr) -> anyhow::Result<Answer> {
        Connection::open(to, Version::Http1)
            .await?
            .exchange(self)
            .await
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr, version: Version) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(to)
            .await
            .with_context(|| format!("connect to {to}"))?;
        socket.set_nodelay(true)?;
        Self::over(socket, version).await
    }

    /// Over something that carries bytes already.
    pub(crate) async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        version: Version,
    ) -> anyhow::Result<Self> {
        let io = TokioIo::new(socket);
        // The connection's own error reaches the caller through the exchange that it broke.
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                let driver = tokio::spawn(async move { drop(connection.await) });
                Self {
                    sender: Sender::Http1(sender),
                    _driver: Arc::new(Driver(driver)),
                }
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                let driver = tokio::spawn(async move { drop(connection.await) });
                Self {
                    sender: Sender::Http2(sender),
                    _driver: Arc::new(Driver(driver)),
                }
            }
        })
    }

    /// The same connection for one more request at the same time; HTTP/2 only.
    pub(crate) fn another_stream(&self) -> anyhow::Result<Self> {
        let Sender::Http2(sender) = &self.sender else {
            bail!("HTTP/1.1 has no streams")
        };
        Ok(Self {
            sender: Sender::Http2(sender.clone()),
            _driver: Arc::clone(&self._driver),
        })
    }

    /// Sends a request and reads the head of the answer.
    pub(crate) async fn head(
        &mut self,
        request: Request,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let builder = http::Request::builder().method(&request.method);
        let answer = async {
            let answer = match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    let builder = builder.uri(&request.path).header("host", &request.host);
                    sender.send_request(finish(builder, &request)?).await?
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    let builder = builder.uri(format!("http://{}{}", request.host, request.path));
                    sender.send_request(finish(builder, &request)?).await?
                }
            };
            anyhow::Ok(answer)
        };
        match tokio::time::timeout(EXCHANGE_DEADLINE, answer).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer after {EXCHANGE_DEADLINE:?}"),
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: Request) -> anyhow::Result<Answer> {
        let (head, body) = self.head(request).await?.into_parts();
        let (body, broken) = match tokio::time::timeout(EXCHANGE_DEADLINE, read(body)).await {
            Ok(read) => read,
            Err(_) => bail!("the body did not end after {EXCHANGE_DEADLINE:?}"),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            broken,
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Payload {
    /// The body to send.
    fn into_body(self) -> RequestBody {
        match self {
            Self::None => Full::default().map_err(|never| match never {}).boxed(),
            Self::Bytes(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed(),
            Self::Sized(length) => {
                let chunk = Bytes::from(vec![b'a'; CHUNK]);
                let chunks = stream::unfold(length, move |left| {
                    let size = left.min(CHUNK as u64);
                    let frame = Frame::data(chunk.slice(..size as usize));
                    async move { (left > 0).then_some((Ok(frame), left - size)) }
                });
                BoxBody::new(StreamBody::new(chunks))
            }
        }
    }
}

/// The request of this head, with the headers and the body that were asked for.
fn finish(
    head: http::request::Builder,
    asked: &Request,
) -> anyhow::Result<http::Request<RequestBody>> {
    let mut request = head.body(asked.payload.clone().into_body())?;
    // `append`, not `extend`: a case may send the same header twice.
    for (name, value) in &asked.headers {
        request.headers_mut().append(name, value.clone());
    }
    Ok(request)
}

/// Everything that comes, and why it stopped if that was early.
async fn read(mut body: Incoming) -> (Bytes, Option<String>) {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    all.extend_from_slice(&data);
                }
            }
            Err(error) => return (all.into(), Some(error.to_string())),
        }
    }
    (all.into(), None)
}
