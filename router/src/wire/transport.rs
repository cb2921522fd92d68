//! What connections run over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

/// What a connection runs over: TCP, or TLS over TCP.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Makes the drop that follows visible to the peer as an abort (for TCP, a reset), so that a
    /// response which broke off is not taken for one that ended. Transports with an end of their
    /// own, as TLS has, need do nothing.
    fn reset(&mut self) {}

    /// Whether [`register`](Self::register) does anything.
    fn is_movable(&self) -> bool {
        false
    }

    /// Registers with the tokio runtime of the calling task, which has taken the connection over.
    ///
    /// # Errors
    /// When the runtime cannot take the socket. The transport is of no use then.
    fn register(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Another handle on the socket, to end the connection by from elsewhere.
    fn second(&self) -> Option<Socket> {
        None
    }
}

/// An in-memory pipe, for tests. Its end is always clean.
impl Transport for DuplexStream {}

/// A TCP connection that can be moved from one tokio runtime to another.
#[derive(Debug)]
pub struct Tcp {
    /// Nothing if a move failed.
    stream: Option<TcpStream>,
}

impl Tcp {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl From<TcpStream> for Tcp {
    fn from(stream: TcpStream) -> Self {
        let stream = Some(stream);
        Self { stream }
    }
}

impl Transport for Tcp {
    fn reset(&mut self) {
        if let Some(stream) = &self.stream {
            // Fails only on a socket that is gone already.
            let _ = stream.set_zero_linger();
        }
    }

    fn is_movable(&self) -> bool {
        true
    }

    fn register(&mut self) -> io::Result<()> {
        if let Some(stream) = self.stream.take() {
            self.stream = Some(TcpStream::from_std(stream.into_std()?)?);
        }
        Ok(())
    }

    fn second(&self) -> Option<Socket> {
        SockRef::from(self.stream.as_ref()?).try_clone().ok()
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}
