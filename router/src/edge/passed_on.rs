//! Connections that a proxy passes on as they come, with a PROXY header in front.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{Edge, Origin};
use crate::dispatch::Dispatch;
use crate::link::Link;
use crate::proxies::{Preface, read_preface};
use crate::tls::Certificates;

impl<D: Dispatch> Edge<D> {
    /// Reads the header that `proxy` sends first, and serves the connection as one of the client that
    /// is named in it. Without a header, whole and in time, the connection ends.
    pub(crate) fn passed_on_connection(
        self: Arc<Self>,
        link: Arc<Link>,
        mut stream: TcpStream,
        proxy: SocketAddr,
        certificates: Option<Arc<Certificates>>,
    ) -> impl Future<Output = ()> + Send {
        // Counted before the future is first polled, as every connection.
        let open = self.stats.connection();
        async move {
            let (deadline, arrival) = (self.settings().head_time, self.settings().arrival);
            let draining = async {
                self.draining().await;
                sleep(arrival).await;
            };
            let preface = tokio::select! {
                read = timeout(deadline, read_preface(&mut stream)) => read,
                () = draining => return,
            };
            let preface = match preface {
                Ok(Ok(preface)) => preface,
                Ok(Err(error)) => {
                    debug!(%proxy, %error, "a connection of a proxy is refused");
                    return;
                }
                Err(_) => {
                    debug!(%proxy, "a proxy sent no PROXY header in time");
                    return;
                }
            };
            let (peer, is_secure) = match preface {
                Preface::Own => (proxy, false),
                Preface::Client { address, is_secure } => (address, is_secure),
            };
            // The proxy itself may have any number.
            if !self.settings().proxies.trusts(peer.ip()) {
                let Some(place) = self.place(peer.ip()) else {
                    self.stats.shedding();
                    return;
                };
                link.keep(place);
            }
            match certificates {
                Some(certificates) => {
                    let handshake = self.begin_handshake();
                    let edge = Arc::clone(&self);
                    edge.secured(link, stream, peer, certificates, handshake)
                        .await;
                }
                None => {
                    let origin = Origin::http(proxy).passed_on(peer, is_secure);
                    Arc::clone(&self).serve(link, stream, origin).await;
                }
            }
            drop(open);
        }
    }
}
