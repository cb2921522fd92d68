//! Certificates that are swapped while connections stand.

use std::sync::Arc;

use holm_router::hostname::Hostname;
use holm_router::tls::{CertificateSet, Certificates, CertifiedName, Pair, SetError};
use holm_router::{Dispatch, Exchange, ResponseBody, Server, Settings};
use http::Response;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::PATIENCE;

/// Tells what it knows of the connection.
struct Teller;

impl Dispatch for Teller {
    async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
        let told = match &exchange.tls {
            Some(tls) => format!(
                "{} {} {:?} {:?}",
                exchange.url(),
                tls.version,
                tls.sni.as_ref().map(ToString::to_string),
                tls.alpn.map(|alpn| alpn.as_str()),
            ),
            None => exchange.url(),
        };
        Response::new(ResponseBody::from(told))
    }
}

fn pair() -> (Arc<Pair>, CertificateDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let der = certificate.der().clone();
    let pair = Pair::new(vec![der.clone()], key.into()).expect("they fit");
    (Arc::new(pair), der)
}

fn set(pair: &Arc<Pair>) -> CertificateSet {
    let names = pair.names().to_vec();
    let set = CertificateSet::builder().pair(Arc::clone(pair), names, false);
    set.build().expect("one pair")
}

async fn connect(
    server: &std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_for(server, trusted, "a.test", &["http/1.1"]).await
}

async fn connect_for(
    server: &std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    name: &'static str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the library's own")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
    let socket = TcpStream::connect(server).await?;
    let name = ServerName::try_from(name).expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = "GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let end = "TLSv1.3 Some(\"a.test\") Some(\"http/1.1\")";
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await.expect("it answers");
        assert!(read > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
    }
    answer
}

#[test]
fn the_next_handshake_sees_the_new_certificate_and_old_connections_go_on() {
    let runtime = Runtime::new().expect("a runtime");
    let ((old, of_old), (new, of_new)) = (pair(), pair());
    let certificates = Certificates::new(set(&old)).expect("random numbers");
    let address = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(address, Settings::default()).expect("a port");
    let server = server.with_tls(Arc::clone(&certificates));
    let (address, stats) = (server.local_addr(), server.stats());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = runtime.spawn(server.serve(Teller, async {
        let _ = stopped.await;
    }));
    let client = async {
        let mut first = connect(&address, &of_old).await.expect("the old one");
        assert!(ask(&mut first).await.contains("https://a.test/x"));
        assert!(connect(&address, &of_new).await.is_err(), "not yet");

        certificates.replace(set(&new)).expect("a sound set");
        let mut second = connect(&address, &of_new).await.expect("the new one");
        assert!(ask(&mut second).await.contains(" 200 "));
        assert!(connect(&address, &of_old).await.is_err(), "no more");
        assert!(ask(&mut first).await.contains(" 200 "), "it goes on");
        assert_eq!(certificates.expiries().len(), 1);
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, client).await })
        .expect("in time");
    assert_eq!((stats.handshakes(), stats.resumed()), (2, 0));
    stop.send(()).expect("it serves");
    let drained = runtime
        .block_on(served)
        .expect("no panic")
        .expect("no error");
    assert_eq!(drained.aborted, 0);
}

#[test]
fn a_proof_is_shown_to_who_asks_for_nothing_else_and_serves_nothing() {
    let runtime = Runtime::new().expect("a runtime");
    let (own, of_own) = pair();
    let certificates = Certificates::new(set(&own)).expect("random numbers");
    let address = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(address, Settings::default()).expect("a port");
    let server = server.with_tls(Arc::clone(&certificates));
    let (address, stats) = (server.local_addr(), server.stats());
    let served = runtime.spawn(server.serve(Teller, std::future::pending()));
    let proof = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let der = certificate.der().clone();
        let host = Hostname::parse(name).expect("a name");
        let shown = certificates.prove(host, der.clone(), &key.into());
        (shown.expect("a sound key"), der)
    };
    let acme = ["acme-tls/1"];
    let with_others = [["acme-tls/1", "h2"], ["h2", "acme-tls/1"]];
    let client = async {
        let ask = |trusted, name, protocols| connect_for(&address, trusted, name, protocols);
        assert!(ask(&of_own, "a.test", &acme).await.is_err(), "no proof yet");
        // A name that no certificate is for.
        let (shown, of_proof) = proof("b.test");
        let mut stream = ask(&of_proof, "b.test", &acme).await.expect("the proof");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
        let request = b"GET / HTTP/1.1\r\nhost: b.test\r\n\r\n";
        // It may be gone by then.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");

        assert!(
            ask(&of_proof, "b.test", &["http/1.1"]).await.is_err(),
            "a browser"
        );
        assert!(
            ask(&of_proof, "b.test", &[]).await.is_err(),
            "without protocols"
        );
        for both in &with_others {
            assert!(ask(&of_proof, "b.test", both).await.is_err(), "both");
            let stream = ask(&of_own, "a.test", both).await.expect("the usual one");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        }
        assert!(
            ask(&of_proof, "a.test", &acme).await.is_err(),
            "another name"
        );
        // A later one stays when the first is withdrawn.
        let (later, of_later) = proof("a.test");
        drop(shown);
        assert!(ask(&of_proof, "b.test", &acme).await.is_err(), "withdrawn");
        ask(&of_later, "a.test", &acme)
            .await
            .expect("the later one");
        drop(later);
        assert!(ask(&of_later, "a.test", &acme).await.is_err(), "withdrawn");
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, client).await })
        .expect("in time");
    assert_eq!(stats.requests(), 0);
    served.abort();
}

#[test]
fn a_name_has_one_certificate() {
    let ((one, _), (other, _)) = (pair(), pair());
    let name = CertifiedName::parse("a.test").expect("a name");
    let twice = CertificateSet::builder()
        .pair(Arc::clone(&one), vec![name.clone()], false)
        .pair(Arc::clone(&other), vec![name.clone()], false);
    assert_eq!(twice.build().err(), Some(SetError::Duplicate(name)));
    let defaults =
        CertificateSet::builder()
            .pair(one, Vec::new(), true)
            .pair(other, Vec::new(), true);
    assert_eq!(defaults.build().err(), Some(SetError::Defaults));
}
