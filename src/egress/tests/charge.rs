//! Whose CPU time an exchange is.

use std::time::Duration;

use bytes::Bytes;
use holm_model::body::Body;
use holm_model::outbound::{Account, Caller, Outbound, OutboundRequest};
use http::Request;
use hyper::body::Incoming;

use super::super::charge;
use super::tls::{localhost, trusting, url};
use super::{Server, answer, collect, get};

async fn megabyte(_: Request<Incoming>) -> http::Response<super::Outgoing> {
    answer(Body::Full(Bytes::from(vec![7; 1 << 20])))
}

fn get_for(account: &Account, url: &str) -> OutboundRequest {
    let request = get(url);
    let caller = Caller {
        account: account.clone(),
        ..request.caller
    };
    OutboundRequest { caller, ..request }
}

/// Clocks may tick as slowly as this.
const TICK: Duration = Duration::from_micros(10);

#[tokio::test]
async fn a_connection_is_charged_to_whom_it_works_for() {
    for protocol in ["http/1.1", "h2"] {
        let server = Server::listen(Some(localhost(&[protocol])), megabyte).await;
        let client = trusting();
        let [first, second] = [Account::default(), Account::default()];
        for account in [&first, &second] {
            let before = (first.total(), second.total());
            let answer = client.send(get_for(account, &url(&server))).await;
            let body = answer.expect("an answer").body;
            let length = collect(body).await.expect("a body").len();
            assert_eq!(length, 1 << 20);
            // A handshake at first, and a megabyte to decrypt each time.
            let charged = (first.total() - before.0, second.total() - before.1);
            let (mine, others) = if account.total() == first.total() {
                charged
            } else {
                (charged.1, charged.0)
            };
            assert!(mine > TICK, "{protocol}: {charged:?}");
            assert!(mine > others, "{protocol}: {charged:?}");
        }
        assert_eq!(server.connections(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn work_is_charged_where_it_is_done_and_to_the_innermost() {
    fn spin() {
        let begun = holm_process::clock::of_this_thread();
        while holm_process::clock::of_this_thread() - begun < Duration::from_millis(2) {}
    }
    let [outer, inner] = [Account::default(), Account::default()];
    let of_thread = charge::to(outer.clone(), async {
        let payer = charge::payer();
        let thread = tokio::task::spawn_blocking(|| charge::blocking(payer, spin));
        thread.await.expect("no panic");
    });
    of_thread.await;
    assert!(outer.total() >= Duration::from_millis(2), "{outer:?}");

    let task = charge::to(inner.clone(), async {
        spin();
        let other = tokio::spawn(charge::on(async { spin() }));
        other.await.expect("no panic");
    });
    task.await;
    assert!(inner.total() >= Duration::from_millis(4), "{inner:?}");
    assert!(charge::payer().is_none());
}
