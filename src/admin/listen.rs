//! The admin listener's thread: its socket, its connections, and what bounds them.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use holm_process::schedule::take_short_turns;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustix::fs::Mode;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tracing::error;
use tracing::info;

use super::Address;
use super::Board;
use super::answer::Answers;
use crate::config::AdminPlan;

/// Connections at once. The oldest makes room for a new one: who holds them all keeps nobody out.
const CONNECTIONS: usize = 16;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// How long a head may take, and a connection may be silent.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a head, and of an answer that waits to be taken.
const BUFFER: usize = 16 << 10;
/// How long a connection may be used; the client makes another one.
const LIFE: Duration = Duration::from_secs(60);
/// How long the answer at hand may still take to be read then.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// Pause when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Somebody else has it.
    #[error(
        "the admin address {0} is in use by another program, another Holm perhaps; stop that \
         program, or choose another `server.admin`"
    )]
    InUse(Address),
    /// A file that is no socket is there.
    #[error("{} is there already and is no socket; remove it, or choose another `server.admin`", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {0}, the admin address: {1}")]
    Other(Address, #[source] io::Error),
}

/// The listener. Dropping it closes it and removes its socket, when the answer at hand is made.
#[derive(Debug)]
pub(crate) struct Admin {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix {
        listener: tokio::net::UnixListener,
        /// Removes the file.
        _socket: Socket,
    },
}

/// A socket in the file system. Removed by drop, unless another one has taken its place.
struct Socket {
    path: PathBuf,
    inode: Option<u64>,
}

impl Admin {
    /// Listens where `plan` says, and tells what is on `board`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) fn start(plan: &AdminPlan, board: Arc<Board>) -> Result<Self, AdminError> {
        let other = |error| AdminError::Other(plan.address.clone(), error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_name("holm-admin")
            .on_thread_start(take_short_turns)
            .build()
            .map_err(other)?;
        let (listener, address) = {
            let _inside = runtime.enter();
            bind(&plan.address)?
        };
        let answers = Arc::new(Answers::new(board, &address, plan.token.clone()));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("holm-admin".into())
            .spawn(move || {
                take_short_turns();
                runtime.block_on(serve(listener, answers, stopped));
            })
            .map_err(other)?;
        info!(addr = %address, token = plan.token.is_some(), "admin listens");
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, if that is a port.
    pub(crate) fn port(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the admin listener's thread panicked");
        }
    }
}

fn bind(address: &Address) -> Result<(Listener, Address), AdminError> {
    let other = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse(address.clone()),
        _ => AdminError::Other(address.clone(), error),
    };
    match address {
        Address::Tcp(wanted) => {
            let listener = TcpListener::bind(wanted).map_err(other)?;
            listener.set_nonblocking(true).map_err(other)?;
            let got = listener.local_addr().map_err(other)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(other)?;
            Ok((Listener::Tcp(listener), Address::Tcp(got)))
        }
        Address::Unix(path) => {
            clear(path, address)?;
            let listener = bind_unix(path).map_err(other)?;
            let _socket = Socket {
                path: path.clone(),
                inode: fs::symlink_metadata(path).ok().map(|found| found.ino()),
            };
            let listener = tokio::net::UnixListener::from_std(listener).map_err(other)?;
            let listener = Listener::Unix { listener, _socket };
            Ok((listener, address.clone()))
        }
    }
}

/// Removes the socket of a process that is gone.
fn clear(path: &Path, address: &Address) -> Result<(), AdminError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(AdminError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let removed = fs::remove_file(path);
            removed.map_err(|error| AdminError::Other(address.clone(), error))
        }
        Ok(_) | Err(_) => Err(AdminError::InUse(address.clone())),
    }
}

/// A socket that nobody but this user can connect to, from the moment when it is there.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    // The file that bind makes takes its mode from the socket's own inode (Linux, unix_bind_bsd).
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).ok();
        if self.inode.is_some() && found.map(|found| found.ino()) == self.inode {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves until `stopped` is dropped.
async fn serve(listener: Listener, answers: Arc<Answers>, mut stopped: oneshot::Receiver<()>) {
    let mut open = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stopped => return,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(guest) => {
                let answers = answers.clone();
                let handle = match guest {
                    Guest::Tcp(stream) => open.spawn(connection(stream, answers)),
                    Guest::Unix(stream) => open.spawn(connection(stream, answers)),
                };
                oldest.retain(|handle| !handle.is_finished());
                if oldest.len() >= CONNECTIONS
                    && let Some(oldest) = oldest.pop_front()
                {
                    oldest.abort();
                }
                oldest.push_back(handle);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

enum Guest {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Guest> {
        match self {
            Self::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| Guest::Tcp(stream)),
            Self::Unix { listener, .. } => listener
                .accept()
                .await
                .map(|(stream, _)| Guest::Unix(stream)),
        }
    }
}

/// Serves one connection to its end. Dropping the future closes it.
async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, answers: Arc<Answers>) {
    // A reload takes as long as it takes.
    let is_patient = Arc::new(AtomicBool::new(false));
    let of_service = is_patient.clone();
    let service = service_fn(move |request| {
        let (answers, is_patient) = (answers.clone(), of_service.clone());
        async move { answers.answer(request, &is_patient).await }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Broken off or done: there is nobody to be told.
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(LIFE) => connection.as_mut().graceful_shutdown(),
    }
    loop {
        let ended = tokio::time::timeout(LAST_ANSWER, connection.as_mut()).await;
        if ended.is_ok() || !is_patient.load(Ordering::Relaxed) {
            return;
        }
    }
}
