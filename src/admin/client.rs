//! The other end of the admin listener: one question, one answer.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::Address;
use super::INTENT;
use crate::secret::Secret;

/// The longest answer that is read. A thousand functions take about 2 MiB.
const LONGEST: usize = 256 << 20;

/// How long an answer may take, unless it is that of a reload.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a reload may take: every function is started.
pub(crate) const RELOAD_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The file has no admin listener.
    #[error(
        "{} has no admin listener; write `admin = \"127.0.0.1:9090\"` under [server] and start the \
         node again, or say where it is with --admin", .0.display()
    )]
    Nowhere(PathBuf),
    /// The file has it at any free port.
    #[error(
        "{} has the admin listener at any free port; the node's log says which: give it with --admin", .0.display()
    )]
    AnyPort(PathBuf),
    /// Nobody is there.
    #[error("no node answers at {address}: {source}; does it run, and as this user?")]
    Connect {
        /// Where.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("the node at {address} broke off: {reason}")]
    Broken {
        /// Where.
        address: Address,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("the node at {address} does not answer within {} s", .within.as_secs())]
    Late {
        /// Where.
        address: Address,
        /// How long it had.
        within: Duration,
    },
    /// It says no.
    #[error("the node at {address} refuses: {status}: {words}")]
    Refused {
        /// Where.
        address: Address,
        /// Its status.
        status: StatusCode,
        /// What it says.
        words: String,
    },
    /// Its answer is not what this version of Holm says.
    #[error("the answer of {address} cannot be read: {reason}; is it a Holm of this version?")]
    Strange {
        /// Where.
        address: Address,
        /// What is wrong with it.
        reason: String,
    },
}

/// A node, as seen by its operator.
#[derive(Debug)]
pub(crate) struct Client {
    address: Address,
    token: Option<Secret>,
    runtime: Runtime,
}

impl Client {
    /// The node whose admin listener is at `address`.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(crate) fn new(address: Address, token: Option<Secret>) -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Ok(Self {
            address: reachable(address),
            token,
            runtime: runtime.enable_all().build()?,
        })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What it answers, whatever the status.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let asked = async {
            match tokio::time::timeout(within, self.exchange(method, path)).await {
                Ok(answer) => answer,
                Err(_) => Err(AskError::Late {
                    address: self.address.clone(),
                    within,
                }),
            }
        };
        self.runtime.block_on(asked)
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), AskError> {
        let none = |source| AskError::Connect {
            address: self.address.clone(),
            source,
        };
        match &self.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(none)?;
                self.speak(stream, method, path).await
            }
            Address::Unix(path_of_socket) => {
                let stream = UnixStream::connect(path_of_socket).await.map_err(none)?;
                self.speak(stream, method, path).await
            }
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let broken = |reason: String| AskError::Broken {
            address: self.address.clone(),
            reason,
        };
        let of_hyper = |error: hyper::Error| broken(error.to_string());
        let host = match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(INTENT, "1");
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.reveal());
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| broken(error.to_string()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(of_hyper)?;
        // Ends with the exchange; its errors are those of the exchange.
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(of_hyper)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

/// Where a listener on every address of this machine is reached.
fn reachable(address: Address) -> Address {
    let Address::Tcp(socket) = address else {
        return address;
    };
    let ip = match socket.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Address::Tcp(SocketAddr::new(ip, socket.port()))
}
