//! The addresses that a node takes, and its certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::OptionFuture;
use futures::future::try_join;
use holm_router::Drained;
use holm_router::Edge;
use holm_router::Server;
use holm_router::Settings;
use holm_router::Stats;
use holm_router::tls::Certificates;
use tokio::time::sleep;
use tracing::info;
use tracing::warn;

use super::Failure;
use crate::app::Node;
use crate::app::Ports;
use crate::config::Plan;

/// How long before its end a certificate is spoken of: time enough to see to it, and half of what
/// most tools leave that renew them.
pub(super) const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Between two looks at the certificates.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Bound addresses, not yet served.
#[derive(Debug)]
pub(super) struct Listeners {
    http: Server,
    https: Option<Https>,
    settings: Settings,
}

#[derive(Debug)]
struct Https {
    server: Server,
    certificates: Arc<Certificates>,
}

impl Listeners {
    /// Takes the addresses of `plan`.
    ///
    /// # Errors
    /// One cannot be had, or the certificates cannot be served.
    pub(super) fn bind(plan: &Plan) -> Result<Self, Failure> {
        let settings = Settings {
            connections: plan.server.max_connections,
            connections_per_address: plan.server.max_connections_per_address,
            requests_per_address: plan.server.max_requests_per_address,
            upload_rate: plan.server.upload_rate.as_u64(),
            upload_time: plan.server.upload_time.as_duration(),
            unsent: plan.server.max_unsent.as_u64(),
            drain_time: plan.server.drain.as_duration(),
            handshake_time: plan.server.handshake_time.as_duration(),
            handshakes: plan.server.max_handshakes,
            proxies: plan.server.proxies.clone(),
            request_id: plan.server.request_id.clone(),
            ..Settings::default()
        };
        let http = Server::bind(plan.server.http, settings.clone())?
            .with_proxy_protocol(plan.server.proxy_protocol);
        let https = plan.tls.as_ref().map(|tls| {
            let certificates = Certificates::new(tls.certificates()).map_err(Failure::Tls)?;
            let server = Server::bind(tls.https, settings.clone())?;
            let server = server
                .with_tls(Arc::clone(&certificates))
                .with_proxy_protocol(plan.server.proxy_protocol_https);
            Ok::<_, Failure>(Https {
                server,
                certificates,
            })
        });
        Ok(Self {
            http,
            https: https.transpose()?,
            settings,
        })
    }

    /// The ports that it got.
    pub(super) fn ports(&self) -> Ports {
        Ports {
            http: self.http.local_addr().port(),
            https: self.https.as_ref().map(Https::port),
        }
    }

    /// The certificates, for whoever swaps them.
    pub(super) fn certificates(&self) -> Option<Arc<Certificates>> {
        let https = self.https.as_ref();
        https.map(|https| Arc::clone(&https.certificates))
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        info!(addr = %self.http.local_addr(), scheme = "http", "listening");
        if let Some(https) = &self.https {
            info!(addr = %https.server.local_addr(), scheme = "https", "listening");
        }
    }

    /// Serves all of them until `shutdown`, and until what was under way then is over.
    ///
    /// # Errors
    /// A listener broke. The others are dropped, with their connections.
    pub(super) async fn serve(
        self,
        node: Arc<Node>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, Failure> {
        let certificates = self.certificates();
        let edge = Edge::new(node, self.settings, Arc::new(Stats::default()));
        let shutdown = shutdown.shared();
        let serve = |server: Server| {
            let address = server.local_addr();
            let served = server.serve_edge(Arc::clone(&edge), shutdown.clone());
            served.map(move |drained| drained.map_err(|source| failed(address, source)))
        };
        let http = serve(self.http);
        let https = OptionFuture::from(self.https.map(|https| serve(https.server)));
        let served = try_join(http, https.map(Option::transpose));
        let (http, https) = tokio::select! {
            drained = served => drained?,
            never = warn_of_ends(certificates) => match never {},
        };
        let https = https.unwrap_or(Drained {
            finished: 0,
            aborted: 0,
        });
        Ok(Drained {
            finished: http.finished + https.finished,
            aborted: http.aborted + https.aborted,
        })
    }
}

impl Https {
    fn port(&self) -> u16 {
        self.server.local_addr().port()
    }
}

fn failed(address: SocketAddr, source: std::io::Error) -> Failure {
    Failure::Serve { address, source }
}

/// Says now, and once a day, which certificates end soon.
async fn warn_of_ends(certificates: Option<Arc<Certificates>>) -> std::convert::Infallible {
    let Some(certificates) = certificates else {
        return std::future::pending().await;
    };
    loop {
        let now = SystemTime::now();
        for expiry in certificates.expiries() {
            if expiry.is_within(SOON, now) {
                warn!(certificate = %expiry, "a certificate ends soon: renew it");
            }
        }
        sleep(DAY).await;
    }
}
