//! A WebSocket client that hides nothing: the opening by hand, then frames or messages.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long something that must come may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// An open socket.
pub(crate) struct WebSocket<I = TcpStream>(pub(crate) WebSocketStream<I>);

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a close of this status (1005: none) and reason.
    Closed(u16, String),
    /// Without one.
    Lost,
}

/// A connection that was answered, whatever with: the head, and what follows it.
pub(crate) async fn ask(
    server: SocketAddr,
    host: &str,
    path: &str,
    fields: &str,
) -> anyhow::Result<(String, TcpStream)> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    Ok((head_of(&mut stream).await?, stream))
}

/// Reads a head, and not a byte more.
pub(crate) async fn head_of(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        anyhow::Ok(())
    };
    timeout(DEADLINE, read).await.context("no answer")??;
    Ok(String::from_utf8(head)?)
}

/// The bytes of an open socket.
pub(crate) async fn raw(server: SocketAddr, host: &str, path: &str) -> anyhow::Result<TcpStream> {
    let (head, stream) = ask(server, host, path, "").await?;
    ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    ensure!(head.contains(accept), "{head}");
    Ok(stream)
}

/// A masked frame, its key zero.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap_or(0)),
        middle @ ..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(middle).unwrap_or(0).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

impl WebSocket {
    /// Opens one.
    pub(crate) async fn open(server: SocketAddr, host: &str, path: &str) -> anyhow::Result<Self> {
        let stream = raw(server, host, path).await?;
        Ok(Self(
            WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
        ))
    }
}

impl<I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> WebSocket<I> {
    /// Sends a message.
    pub(crate) async fn send(&mut self, message: impl Into<Message>) -> anyhow::Result<()> {
        let sent = timeout(DEADLINE, self.0.send(message.into())).await;
        Ok(sent.context("a message is not taken")??)
    }

    /// The next message that is none of the protocol's own, or the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Result<Message, Ended>> {
        loop {
            let next = timeout(DEADLINE, self.0.next()).await;
            return Ok(match next.context("no message")? {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(close))) => Err(match close {
                    Some(close) => Ended::Closed(close.code.into(), close.reason.to_string()),
                    None => Ended::Closed(1005, String::new()),
                }),
                Some(Ok(message)) => Ok(message),
                Some(Err(_)) | None => Err(Ended::Lost),
            });
        }
    }

    /// Sends text, and fails unless this comes back.
    pub(crate) async fn exchange(&mut self, text: &str, expected: &str) -> anyhow::Result<()> {
        self.send(text).await?;
        let next = self.next().await?;
        ensure!(next == Ok(Message::text(expected)), "{next:?}");
        Ok(())
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<Ended> {
        match self.next().await? {
            Err(ended) => Ok(ended),
            Ok(message) => bail!("a message instead of the end: {message:?}"),
        }
    }
}
