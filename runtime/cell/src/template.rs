//! A template: runs a function's start-up, and is copied then.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use holm_graph::ModuleGraph;
use holm_graph::Packed;
use holm_model::limits::HeapBytes;
use holm_model::message::FromCell;
use holm_model::message::Purpose;
use holm_model::message::Start;
use holm_model::message::put;
use holm_process::blob;
use holm_process::passing::Socket;
use holm_process::sandbox::Limits;
use holm_process::zygote::Child;

use crate::cell;
use crate::last_words;
use crate::zygote::Made;

/// One more than the highest descriptor of a process with a function in it.
pub(crate) const FILES: u64 = 64;

/// Bytes that a start has to leave on the heap for a collection to be worth it.
const WORTH: u64 = 1 << 20;

/// Bytes of compiled code in one frame.
const CODE_PART: usize = 512 << 10;

/// The life of the process. It has one thread, and talks by waiting: the node kills it if that takes too long.
pub(crate) fn live(child: Child, made: Made) {
    let name = child.name.clone();
    if let Err(error) = run(child, made) {
        cell::complain(&name, &error);
    }
}

fn run(mut child: Child, mut made: Made) -> io::Result<()> {
    let [socket, control, code] = cell::take_fds(&mut child)?;
    let mut socket = UnixStream::from(socket);
    let start = cell::read_start(&mut socket)?;
    let code = unpack(code)?;
    let limits = Limits {
        data: made.data.saturating_add(start.data),
        files: FILES,
    };
    let control = Socket::from(control);
    last_words::hush(made.nowhere)?;
    let (zygote, _) = child.into_template(control, &made.sandbox, limits)?;
    last_words::starting(socket.as_fd(), memory_limit(&start));
    let has_helpers = Arc::new(AtomicBool::new(false));
    let before = made.blank.memory();
    let runtime = cell::tokio_runtime(&has_helpers)?;
    let started = runtime.block_on(made.blank.start(code, &start));
    last_words::started();
    let (mut isolate, uncalled) = match started {
        Ok(started) => started,
        Err(error) => return cell::send(&mut socket, &FromCell::StartFailed(error), b""),
    };
    for (specifier, code) in isolate.take_code() {
        cell::write(&mut socket, &code_frames(&specifier, &code))?;
    }
    isolate.forget_code();
    let reason = {
        let _inside = runtime.enter();
        isolate.why_not_copyable()
    };
    let reason = if has_helpers.load(Ordering::Relaxed) {
        Some("its start-up uses cryptography on helper threads")
    } else if runtime.metrics().num_alive_tasks() > 0 {
        Some("its start-up leaves work pending")
    } else {
        reason
    };
    let started = FromCell::Started {
        uncalled,
        not_copyable: reason.map(str::to_owned),
    };
    if reason.is_some() {
        return cell::send(&mut socket, &started, b"");
    }
    // A cell that collects garbage copies the heap that it shares; but so does the template, whose garbage has to be
    // worth that.
    if isolate.memory() > before + WORTH {
        isolate.collect();
    }
    drop(runtime);
    cell::send(&mut socket, &started, b"")?;
    drop(socket);
    let sandbox = made.sandbox;
    let born = move |child: Child| match Purpose::of(child.purpose) {
        Some(Purpose::Copy) => cell::copied(child, isolate, &sandbox, limits, &start),
        Some(Purpose::Compiler | Purpose::Template | Purpose::Cell) | None => {}
    };
    zygote.serve(born).map_err(io::Error::other)
}

/// The modules in the file `fd`, which is closed, and what V8 compiled of them.
pub(crate) fn unpack(fd: OwnedFd) -> io::Result<Packed> {
    ModuleGraph::unpack(blob::map(fd.as_fd())?).map_err(io::Error::other)
}

/// The memory limit in words, for a function whose start-up runs over it.
pub(crate) fn memory_limit(start: &Start) -> String {
    let limit = HeapBytes::from_bytes(start.memory);
    format!("memory of {limit}; `limits.memory` raises it")
}

/// The frames that carry compiled code.
pub(crate) fn code_frames(specifier: &str, code: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(code.len() + 64);
    let mut parts = code.chunks(CODE_PART).peekable();
    while let Some(part) = parts.next() {
        let more = parts.peek().is_some();
        put(&mut wire, &FromCell::Code { specifier, more }, part);
    }
    wire
}
