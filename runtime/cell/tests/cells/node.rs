//! The node's side, with blocking sockets.

use std::cell::Cell as Number;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use holm_graph::Compiler;
use holm_graph::ModuleGraph;
use holm_graph::Part;
use holm_model::log::Level;
use holm_model::log::Thrown;
use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::Purpose;
use holm_model::message::Settled;
use holm_model::message::Start;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::ToCell;
use holm_model::message::put;
use holm_model::outcome::Outcome;
use holm_model::start::StartError;
use holm_process::blob;
use holm_process::lifeline::Anchor;
use holm_process::page::Page;
use holm_process::passing::Socket;
use holm_process::spawn;
use holm_process::spawn::Process;
use holm_process::spawn::ZygoteProcess;
use http::HeaderMap;

pub(crate) const ARGUMENT: &str = "--zygote";

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    anchor: Anchor,
    zygote: ZygoteProcess,
}

/// What a cell said, with what it borrows made its own.
#[derive(Debug)]
pub(crate) enum Said {
    Ready,
    Started(Vec<String>, Option<String>),
    StartFailed(StartError),
    Code(String, Vec<u8>, bool),
    Reply(u32, u16, HeaderMap, BodyKind, Vec<u8>, Option<Settled>),
    Failed(u32, Outcome, Option<Thrown>),
    Settled(u32, Settled),
    Stream(StreamId, StreamMessage, Vec<u8>),
    Log(u32, Level, u64, String),
    Fetch(u32, u32, String, HeaderMap, BodyKind, Vec<u8>),
    FetchLeft(u32),
}

/// A socket to a process, and the process.
pub(crate) struct Talk {
    pub(crate) process: Process,
    socket: UnixStream,
    input: Vec<u8>,
}

pub(crate) struct Template {
    talk: Talk,
    control: Socket,
}

pub(crate) struct Cell {
    pub(crate) talk: Talk,
    pub(crate) page: Page,
    last: Number<u32>,
}

/// A function's modules.
pub(crate) fn graph(files: &[(&str, &str)]) -> ModuleGraph {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        std::fs::write(folder.path().join(path), text).expect("a file");
    }
    let main = folder.path().join(files[0].0);
    ModuleGraph::load(Path::new(&main), folder.path(), Compiler::Here).expect("a graph")
}

fn blob_of(graph: &ModuleGraph, compiled: &[(String, Vec<u8>)]) -> OwnedFd {
    let compiled = compiled.iter();
    let parts = graph.pack(compiled.map(|(specifier, code)| (specifier.as_str(), &code[..])));
    let parts: Vec<&[u8]> = parts.iter().map(Part::as_ref).collect();
    blob::create(&parts).expect("a blob")
}

pub(crate) fn start() -> Start {
    Start {
        vars: r#"{"NAME":"value"}"#.into(),
        assets: None,
        memory: 64 << 20,
        data: 512 << 20,
        subrequests: 50,
        log: 64 << 10,
        websockets: 10,
        concurrency: 1,
        eval: true,
        wants_code: false,
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        let anchor = Anchor::new().expect("an anchor");
        let zygote =
            spawn::spawn(&anchor, [ARGUMENT], &[("HOLM_SANDBOX", "auto")]).expect("a zygote");
        let layers = zygote.ready(LONG).expect("ready");
        assert!(layers.to_string().contains("seccomp"), "{layers}");
        Self { anchor, zygote }
    }

    /// A template of `main`, and what it said until it had started or not.
    pub(crate) fn template(&self, main: &str, start: &Start) -> (Template, Vec<Said>) {
        self.template_of(&graph(&[("index.js", main)]), start)
    }

    pub(crate) fn template_of(&self, graph: &ModuleGraph, start: &Start) -> (Template, Vec<Said>) {
        self.template_with(graph, &[], start)
    }

    /// As [`Self::template_of`], with what V8 compiled before.
    pub(crate) fn template_with(
        &self,
        graph: &ModuleGraph,
        compiled: &[(String, Vec<u8>)],
        start: &Start,
    ) -> (Template, Vec<Said>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (control, served) = Socket::pair().expect("a pair");
        let code = blob_of(graph, compiled);
        let fds = [theirs.as_fd(), served.as_fd(), code.as_fd()];
        let purpose = Purpose::Template as u8;
        let control_of = self.zygote.control();
        let process =
            spawn::fork(control_of, &self.anchor, purpose, "template", &fds).expect("a template");
        drop((theirs, served));
        let mut talk = Talk::new(process, ours);
        talk.start(start);
        let said = talk.until_started();
        (Template { talk, control }, said)
    }

    pub(crate) fn hello(&self) -> Template {
        let text = r#"export default { fetch() { return new Response("hello") } }"#;
        self.good_template(text, &start())
    }

    pub(crate) fn good_template(&self, main: &str, start: &Start) -> Template {
        let (template, said) = self.template(main, start);
        match said.last() {
            Some(Said::Started(_, None)) => template,
            said => panic!("{said:?}"),
        }
    }

    pub(crate) fn copy(&self, template: &Template) -> Cell {
        let cell = self.fork_copy(template);
        cell.once_ready()
    }

    /// One that has not said a word yet.
    pub(crate) fn fork_copy(&self, template: &Template) -> Cell {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (page, page_fd) = Page::create().expect("a page");
        let fds = [theirs.as_fd(), page_fd.as_fd()];
        let purpose = Purpose::Copy as u8;
        let (of, control) = (&template.talk.process, &template.control);
        let process =
            spawn::copy(of, control, &self.anchor, purpose, "copy", &fds).expect("a copy");
        Cell::new(Talk::new(process, ours), page)
    }

    /// A copy of a template of `main`.
    pub(crate) fn cell(&self, main: &str) -> Cell {
        self.cell_with(main, &start())
    }

    pub(crate) fn cell_with(&self, main: &str, start: &Start) -> Cell {
        self.copy(&self.good_template(main, start))
    }

    /// A cell that was forked from the zygote, and what it said until it had started or not.
    pub(crate) fn own_cell(&self, main: &str, start: &Start) -> (Cell, Vec<Said>) {
        self.own_cell_of(&graph(&[("index.js", main)]), start)
    }

    pub(crate) fn own_cell_of(&self, graph: &ModuleGraph, start: &Start) -> (Cell, Vec<Said>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (page, page_fd) = Page::create().expect("a page");
        let code = blob_of(graph, &[]);
        let fds = [theirs.as_fd(), page_fd.as_fd(), code.as_fd()];
        let purpose = Purpose::Cell as u8;
        let control = self.zygote.control();
        let process = spawn::fork(control, &self.anchor, purpose, "cell", &fds).expect("a cell");
        drop(theirs);
        let mut talk = Talk::new(process, ours);
        talk.start(start);
        let said = talk.until_started();
        (Cell::new(talk, page), said)
    }
}

impl Template {
    pub(crate) fn has_ended(&self) -> bool {
        self.talk.process.ended(LONG).expect("wait")
    }
}

impl Talk {
    fn new(process: Process, socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(LONG)).expect("a timeout");
        Self {
            process,
            socket,
            input: Vec::new(),
        }
    }

    /// Closes this end.
    pub(crate) fn hang_up(&self) {
        self.socket
            .shutdown(std::net::Shutdown::Both)
            .expect("a socket");
    }

    fn start(&mut self, start: &Start) {
        let mut wire = Vec::new();
        put(&mut wire, start, b"");
        self.socket.write_all(&wire).expect("written");
    }

    fn until_started(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next().expect("it has started, or not");
            let is_last = matches!(said, Said::Started(..) | Said::StartFailed(_));
            all.push(said);
            if is_last {
                return all;
            }
        }
    }

    /// The next thing that it says; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Said> {
        loop {
            let mut frames = Frames::of(&self.input);
            if let Some((message, payload)) = frames.next::<FromCell<'_>>().expect("a message") {
                let said = own(message, payload);
                let used = frames.used();
                self.input.drain(..used);
                return Some(said);
            }
            let mut more = [0; 4096];
            match self.socket.read(&mut more) {
                Ok(0) => return None,
                Ok(read) => self.input.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn own(message: FromCell<'_>, payload: &[u8]) -> Said {
    let bytes = payload.to_vec();
    let map = |fields: Fields<'_>| fields.to_map().expect("fields");
    match message {
        FromCell::Ready => Said::Ready,
        FromCell::Started {
            uncalled,
            not_copyable,
        } => Said::Started(uncalled, not_copyable),
        FromCell::StartFailed(error) => Said::StartFailed(error),
        FromCell::Code { specifier, more } => Said::Code(specifier.to_owned(), bytes, more),
        FromCell::Reply {
            seq,
            status,
            fields,
            body,
            settled,
        } => Said::Reply(seq, status, map(fields), body, bytes, settled),
        FromCell::Failed {
            seq,
            outcome,
            thrown,
        } => Said::Failed(seq, outcome, thrown),
        FromCell::Settled { seq, settled } => Said::Settled(seq, settled),
        FromCell::Stream(id, message) => Said::Stream(id, message, bytes),
        FromCell::Log {
            seq,
            level,
            dropped,
        } => Said::Log(seq, level, dropped, String::from_utf8(bytes).expect("text")),
        FromCell::Fetch {
            seq,
            fetch,
            way: _,
            method,
            url,
            fields,
            body,
        } => Said::Fetch(
            seq,
            fetch,
            format!("{method} {url}"),
            map(fields),
            body,
            bytes,
        ),
        FromCell::Socket(..) | FromCell::Awake => panic!("no scenario has WebSockets"),
        FromCell::FetchLeft { fetch } => Said::FetchLeft(fetch),
    }
}

impl Cell {
    fn new(talk: Talk, page: Page) -> Self {
        Self {
            talk,
            page,
            last: Number::new(0),
        }
    }

    pub(crate) fn once_ready(mut self) -> Self {
        assert!(matches!(self.talk.next(), Some(Said::Ready)));
        self
    }

    pub(crate) fn say(&mut self, message: &ToCell<'_>, payload: &[u8]) {
        let mut wire = Vec::new();
        put(&mut wire, message, payload);
        self.talk.socket.write_all(&wire).expect("written");
    }

    /// Sends requests for these paths in one go; returns their numbers.
    pub(crate) fn send_together(&mut self, paths: &[&str]) -> Vec<u32> {
        let mut wire = Vec::new();
        let map = HeaderMap::new();
        let seqs = paths.iter().map(|path| {
            let seq = self.last.get() + 1;
            self.last.set(seq);
            self.page.offer(seq);
            let message = ToCell::Request {
                seq,
                method: "GET",
                url: &format!("http://test.localhost{path}"),
                fields: Fields::Map(&map),
                body: BodyKind::Empty,
            };
            put(&mut wire, &message, b"");
            seq
        });
        let seqs = seqs.collect();
        self.talk.socket.write_all(&wire).expect("written");
        seqs
    }

    /// Sends a request for `path`; returns its number.
    pub(crate) fn send(&mut self, path: &str) -> u32 {
        self.send_with("GET", path, BodyKind::Empty, b"")
    }

    pub(crate) fn send_with(
        &mut self,
        method: &str,
        path: &str,
        body: BodyKind,
        payload: &[u8],
    ) -> u32 {
        let seq = self.last.get() + 1;
        self.last.set(seq);
        self.page.offer(seq);
        let url = format!("http://test.localhost{path}");
        let mut map = HeaderMap::new();
        map.insert("x-test", http::HeaderValue::from_static("yes"));
        let message = ToCell::Request {
            seq,
            method,
            url: &url,
            fields: Fields::Map(&map),
            body,
        };
        self.say(&message, payload);
        seq
    }

    pub(crate) fn stream(&mut self, id: StreamId, message: StreamMessage, payload: &[u8]) {
        self.say(&ToCell::Stream(id, message), payload);
    }

    pub(crate) fn next(&mut self) -> Said {
        self.talk.next().expect("it lives")
    }

    /// The text of a whole answer to a new request for `path`, which settles.
    pub(crate) fn ask(&mut self, path: &str) -> String {
        let seq = self.send(path);
        self.whole(seq)
    }

    /// The text of a whole answer, which settles.
    pub(crate) fn whole(&mut self, seq: u32) -> String {
        let (text, settled) = self.answer(seq);
        let settled = settled.unwrap_or_else(|| match self.next() {
            Said::Settled(own, settled) if own == seq => settled,
            said => panic!("{said:?}"),
        });
        assert!(settled.is_fit);
        text
    }

    pub(crate) fn answer(&mut self, seq: u32) -> (String, Option<Settled>) {
        match self.next() {
            Said::Reply(own, 200, _, BodyKind::Whole, text, settled) if own == seq => {
                (String::from_utf8(text).expect("text"), settled)
            }
            said => panic!("{said:?}"),
        }
    }

    pub(crate) fn settled(&mut self, seq: u32) -> Settled {
        match self.next() {
            Said::Settled(own, settled) if own == seq => settled,
            said => panic!("{said:?}"),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.talk.process.ended(LONG).expect("wait")
    }
}
