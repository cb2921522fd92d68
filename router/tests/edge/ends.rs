//! The end of a client's side, which is not its going away: what it asked for is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holm_router::{Dispatch, Edge, Exchange, Origin, ResponseBody, Settings};
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::{Event, Served, status};

const ASK: &str = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
const CHUNKED: &str = "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n0\r\n\r\n";
const STREAM: &str = "GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// What an answer ends in.
const ANSWER: &str = "\r\n\r\nanswer";
const STREAMED: &str = "2\r\nno\r\n1\r\nw\r\n0\r\n\r\n";

/// Takes its time over each part of an answer.
struct Slow {
    takes: Duration,
    begun: mpsc::UnboundedSender<()>,
    dropped: Arc<AtomicUsize>,
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Dispatch for Slow {
    async fn dispatch(&self, mut exchange: Exchange) -> Response<ResponseBody> {
        let unfinished = CountDrop(Arc::clone(&self.dropped));
        let _ = self.begun.send(());
        while let Some(chunk) = exchange.request.body_mut().chunk().await {
            assert!(chunk.is_ok(), "{chunk:?}");
        }
        sleep(self.takes).await;
        std::mem::forget(unfinished);
        if exchange.path() != "/stream" {
            return Response::new(ResponseBody::from("answer"));
        }
        let (sender, receiver) = mpsc::channel(1);
        let takes = self.takes;
        tokio::spawn(async move {
            for chunk in ["no", "w"] {
                sleep(takes).await;
                let _ = sender.send(Ok(Bytes::from_static(chunk.as_bytes()))).await;
            }
        });
        Response::new(ResponseBody::stream(receiver, None))
    }
}

/// A connection on which each part of an answer takes so long.
struct Opened {
    client: DuplexStream,
    begun: mpsc::UnboundedReceiver<()>,
    dropped: Arc<AtomicUsize>,
    server: DuplexStream,
    edge: Arc<Edge<Slow>>,
}

impl Opened {
    fn new(takes: Duration) -> Self {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (sender, begun) = mpsc::unbounded_channel();
        let dropped = Arc::default();
        let slow = Slow {
            takes,
            begun: sender,
            dropped: Arc::clone(&dropped),
        };
        let edge = Edge::new(slow, Settings::default(), Arc::default());
        Self {
            client,
            begun,
            dropped,
            server,
            edge,
        }
    }

    async fn send(&mut self, bytes: &str) {
        let sent = self.client.write_all(bytes.as_bytes()).await;
        sent.expect("room for it");
    }

    async fn end(&mut self) {
        self.client.shutdown().await.expect("open");
    }
}

fn serve(edge: Arc<Edge<Slow>>, server: DuplexStream) -> JoinHandle<()> {
    let origin = Origin::http(([127, 0, 0, 1], 1).into());
    tokio::spawn(edge.connection(server, origin))
}

/// All that comes back, to the end of the connection.
async fn rest(client: &mut DuplexStream, connection: JoinHandle<()>) -> String {
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.expect("text");
    connection.await.expect("no panic");
    answers
}

fn assert_answers(answers: &str, ends: &[&str]) {
    let mut rest = answers;
    for end in ends {
        assert_eq!(status(rest), 200, "{answers}");
        let (_, behind) = rest.split_once(end).unwrap_or_else(|| panic!("{answers}"));
        rest = behind;
    }
    assert_eq!(rest, "", "{answers}");
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_end_behind_a_request_is_never_its_clients() {
    let two = format!("{ASK}{ASK}");
    let three = format!("{POST}{STREAM}{ASK}");
    let blank = format!("{POST}\r\n");
    for (bytes, ends) in [
        (ASK, &[ANSWER][..]),
        (POST, &[ANSWER]),
        (CHUNKED, &[ANSWER]),
        (STREAM, &[STREAMED]),
        (&two, &[ANSWER, ANSWER]),
        (&three, &[ANSWER, STREAMED, ANSWER]),
        // Some clients end a body with a line break that is no part of it.
        (&blank, &[ANSWER]),
    ] {
        let mut opened = Opened::new(HOUR);
        opened.send(bytes).await;
        opened.end().await;
        let connection = serve(Arc::clone(&opened.edge), opened.server);
        let answers = rest(&mut opened.client, connection).await;
        assert_answers(&answers, ends);
        assert_eq!(opened.dropped.load(Ordering::Relaxed), 0, "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_while_a_request_runs_leaves_it_a_second() {
    for (takes, is_answered) in [(400, true), (900, true), (1_100, false), (5_000, false)] {
        for bytes in [ASK, POST, CHUNKED] {
            let mut opened = Opened::new(Duration::from_millis(takes));
            let connection = serve(Arc::clone(&opened.edge), opened.server);
            opened
                .client
                .write_all(bytes.as_bytes())
                .await
                .expect("room");
            opened.begun.recv().await.expect("it has begun");
            // It waits now, and has found nothing behind the request.
            sleep(Duration::from_millis(1)).await;
            opened.client.shutdown().await.expect("open");
            let began = tokio::time::Instant::now();
            let answers = rest(&mut opened.client, connection).await;
            if is_answered {
                assert_answers(&answers, &[ANSWER]);
            } else {
                assert_eq!(answers, "", "{takes} {bytes:?}");
                assert_eq!(began.elapsed().as_millis(), 1_000, "{takes} {bytes:?}");
            }
            let dropped = opened.dropped.load(Ordering::Relaxed);
            assert_eq!(dropped, usize::from(!is_answered), "{takes} {bytes:?}");
        }
    }
}

/// With nothing under way, an end is an end.
#[tokio::test(start_paused = true)]
async fn an_end_between_requests_closes_at_once() {
    let mut opened = Opened::new(Duration::ZERO);
    let connection = serve(Arc::clone(&opened.edge), opened.server);
    opened.client.write_all(ASK.as_bytes()).await.expect("room");
    let mut answer = vec![0; 4096];
    let read = opened.client.read(&mut answer).await.expect("an answer");
    assert_answers(&String::from_utf8_lossy(&answer[..read]), &[ANSWER]);
    opened.client.shutdown().await.expect("open");
    let began = tokio::time::Instant::now();
    assert_eq!(rest(&mut opened.client, connection).await, "");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// What is not there will not come.
#[test]
fn an_end_within_a_request_is_none_of_it() {
    let served = Served::new();
    for (bytes, began) in [
        ("GET /x HT", None),
        ("GET /x HTTP/1.1\r\nHost: a.test\r\n", None),
        (
            "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nabc",
            Some("POST a.test /x"),
        ),
        (
            "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Some("POST a.test /x"),
        ),
    ] {
        let mut client = served.client();
        client.send(bytes);
        client.half_close();
        assert!(!client.rest().contains("abc"), "{bytes:?}");
        if let Some(began) = began {
            assert_eq!(served.event(), Event::Began(began.to_owned()));
        }
    }
    assert_eq!(served.began(), Vec::<String>::new());
}

/// The same on a socket, where the end may come a moment later.
#[test]
fn a_client_that_only_writes_is_answered() {
    let served = Served::new();
    for _ in 0..20 {
        let mut client = served.client();
        client.send(format!("{ASK}{POST}{CHUNKED}"));
        client.half_close();
        let answers = client.end().expect("a clean end");
        let ends = [
            "\r\n\r\nGET a.test /x ",
            "POST a.test /x abc",
            "POST a.test /x abc",
        ];
        assert_answers(&answers, &ends);
    }
}

/// More than the sockets hold, so that it waits to be written when the request is over.
#[test]
fn a_long_answer_is_whole_behind_an_end() {
    let served = Served::new();
    let size = 20 << 20;
    let mut client = served.client();
    let head = format!("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n");
    client.send(head);
    client.send(vec![b'y'; size]);
    client.half_close();
    let answer = client.end().expect("a clean end");
    assert_eq!(answer.matches('y').count(), size);
}
