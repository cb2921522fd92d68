//! What connections run over.

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;

/// What a connection runs over: TCP, or TLS over TCP.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Makes the drop that follows visible to the peer as an abort (for TCP, a reset), so that a
    /// response which broke off is not taken for one that ended. Transports with an end of their
    /// own, as TLS has, need do nothing.
    fn reset(&mut self) {}
}

/// An in-memory pipe, for tests. Its end is always clean.
impl Transport for DuplexStream {}

impl Transport for TcpStream {
    fn reset(&mut self) {
        // Fails only on a socket that is gone already.
        let _ = self.set_zero_linger();
    }
}
