//! A cell: a process that answers the requests of one function.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::MAX_FRAME;
use holm_model::message::Start;
use holm_model::message::put;
use holm_process::duplex::Duplex;
use holm_process::page::Page;
use holm_process::sandbox::Limits;
use holm_process::sandbox::Sandbox;
use holm_process::zygote::Child;
use tokio::runtime::Runtime;

use crate::isolate::Isolate;
use crate::last_words;
use crate::serve::Server;
use crate::template;
use crate::zygote::Made;

/// Threads that do native work (WebCrypto) at the same time.
const HELPERS: usize = 4;

/// Time after which such a thread ends without work.
const HELPER_IDLE: Duration = Duration::from_secs(2);

/// Its stack, in bytes. It counts as memory of the process, used or not.
const HELPER_STACK: usize = 512 << 10;

/// The life of a cell that was forked from the zygote.
pub(crate) fn live(child: Child, made: Made) {
    let name = child.name.clone();
    if let Err(error) = run(child, made) {
        complain(&name, &error);
    }
}

fn run(mut child: Child, made: Made) -> io::Result<()> {
    let [socket, page, code] = take_fds(&mut child)?;
    let mut socket = UnixStream::from(socket);
    let start = read_start(&mut socket)?;
    let code = template::unpack(code)?;
    let page = map(page)?;
    let limits = Limits {
        data: made.data.saturating_add(start.data),
        files: template::FILES,
    };
    last_words::hush(made.nowhere)?;
    drop(child.into_cell(&made.sandbox, limits)?);
    last_words::starting(socket.as_fd(), template::memory_limit(&start));
    last_words::judge_aborts(start.memory);
    let runtime = tokio_runtime(&Arc::default())?;
    page.set_computing(true);
    let started = runtime.block_on(made.blank.start(code, &start));
    last_words::started();
    let (mut isolate, uncalled) = match started {
        Ok(started) => started,
        Err(error) => return send(&mut socket, &FromCell::StartFailed(error), b""),
    };
    let mut first = Vec::new();
    for (specifier, code) in isolate.take_code() {
        first.extend(template::code_frames(&specifier, &code));
    }
    let started = FromCell::Started {
        uncalled,
        not_copyable: None,
    };
    put(&mut first, &started, b"");
    serve(&runtime, isolate, socket, page, &start, first)
}

/// The life of a cell that was forked from a template.
pub(crate) fn copied(
    child: Child,
    isolate: Isolate,
    sandbox: &Sandbox,
    limits: Limits,
    start: &Start,
) {
    let name = child.name.clone();
    if let Err(error) = run_copied(child, isolate, sandbox, limits, start) {
        complain(&name, &error);
    }
}

fn run_copied(
    mut child: Child,
    mut isolate: Isolate,
    sandbox: &Sandbox,
    limits: Limits,
    start: &Start,
) -> io::Result<()> {
    let [socket, page] = take_fds(&mut child)?;
    let socket = UnixStream::from(socket);
    let page = map(page)?;
    drop(child.into_cell(sandbox, limits)?);
    last_words::judge_aborts(start.memory);
    let runtime = tokio_runtime(&Arc::default())?;
    isolate
        .forget()
        .map_err(|_| io::Error::other("the system gives no randomness"))?;
    let mut first = Vec::new();
    put(&mut first, &FromCell::Ready, b"");
    serve(&runtime, isolate, socket, page, start, first)
}

/// Answers requests until the node closes the socket. `first` is said before anything else.
fn serve(
    runtime: &Runtime,
    isolate: Isolate,
    socket: UnixStream,
    page: &'static Page,
    start: &Start,
    first: Vec<u8>,
) -> io::Result<()> {
    runtime.block_on(async move {
        let socket = Duplex::new(socket.into())?;
        let mut server = Server::new(isolate, socket, page, start, first);
        std::future::poll_fn(|cx| server.poll(cx)).await;
        // Nobody waits for anything any more, and what V8 would tidy up goes with the process.
        holm_process::exit(0)
    })
}

/// The page behind `fd`, which is closed.
fn map(fd: OwnedFd) -> io::Result<&'static Page> {
    Ok(last_words::keep(Page::map(fd.as_fd())?))
}

/// What the node has given the process.
pub(crate) fn take_fds<const N: usize>(child: &mut Child) -> io::Result<[OwnedFd; N]> {
    let fds = std::mem::take(&mut child.fds);
    fds.try_into()
        .map_err(|_| io::Error::other("the node gave too little, or too much"))
}

/// A tokio runtime of this process's own. `has_helpers` is set once there is a thread beside this one.
pub(crate) fn tokio_runtime(has_helpers: &Arc<AtomicBool>) -> io::Result<Runtime> {
    let has_helpers = has_helpers.clone();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .thread_keep_alive(HELPER_IDLE)
        .thread_stack_size(HELPER_STACK)
        .on_thread_start(move || has_helpers.store(true, Ordering::Relaxed))
        .build()
}

/// Waits for what the process is to run.
pub(crate) fn read_start(socket: &mut UnixStream) -> io::Result<Start> {
    let mut frame = vec![0; 4];
    socket.read_exact(&mut frame)?;
    let needs = Frames::of(&frame).needs().map_err(io::Error::other)?;
    let needs = needs.filter(|length| *length <= 4 + MAX_FRAME);
    frame.resize(needs.unwrap_or(frame.len()), 0);
    socket.read_exact(&mut frame[4..])?;
    let start = Frames::of(&frame).next::<Start>();
    let (start, _) = start
        .map_err(io::Error::other)?
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(start)
}

/// Tells the node something, and waits until it is told.
pub(crate) fn send(
    socket: &mut UnixStream,
    message: &FromCell<'_>,
    payload: &[u8],
) -> io::Result<()> {
    let mut wire = Vec::new();
    put(&mut wire, message, payload);
    write(socket, &wire)
}

pub(crate) fn write(socket: &mut UnixStream, wire: &[u8]) -> io::Result<()> {
    socket.write_all(wire)
}

/// The process ends over something that is not the function's doing.
pub(crate) fn complain(name: &str, error: &io::Error) {
    match error.kind() {
        // The node has changed its mind.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => {}
        _ => last_words::say(&format!("{name}: {error}")),
    }
}
