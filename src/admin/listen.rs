//! The admin listener's thread: its socket, its connections, and what bounds them.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use holm_process::schedule::take_short_turns;
use http::HeaderValue;
use http::header::CONNECTION;
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
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tracing::error;
use tracing::info;

use super::Address;
use super::Board;
use super::answer::Answers;
use crate::config::AdminPlan;
use crate::upgrade::Held;
use crate::upgrade::Holder;
use crate::upgrade::Key;
use crate::upgrade::Sockets;

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
/// How long a connection may be silent before it is closed, once another process has the listener.
const ARRIVAL: Duration = Duration::from_secs(1);
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

/// The listener. Dropping it closes it and removes its socket, when the answers at hand are made.
#[derive(Debug)]
pub(crate) struct Admin {
    handle: AdminHandle,
    /// For the handle.
    socket: Option<Arc<OwnedFd>>,
    thread: Option<JoinHandle<()>>,
}

/// For those who begin and end it.
#[derive(Clone, Debug)]
pub(crate) struct AdminHandle {
    address: Address,
    /// As the file has it: port 0 is any.
    wanted: Address,
    holder: Holder,
    /// Gone with the listener.
    socket: Weak<OwnedFd>,
    course: watch::Sender<Course>,
}

/// What the listener does. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    /// Connections wait: another process still serves them.
    Wait,
    Accept,
    /// Nobody is accepted any more, and each connection ends with the answer at hand.
    Leave {
        /// The socket, its file included, is another process's.
        is_handed_over: bool,
    },
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix {
        listener: tokio::net::UnixListener,
        /// Removes the file.
        socket: Socket,
    },
}

/// A socket in the file system. Removed by drop, unless another one has taken its place, or it is somebody else's.
struct Socket {
    path: PathBuf,
    inode: Option<u64>,
    /// It is another process's, until that one leaves it.
    is_lent: bool,
}

impl Admin {
    /// Listens where `plan` says, and tells what is on `board`: on one of `sockets`, if it is there. If it `waits`,
    /// clients are accepted behind [`AdminHandle::accept`].
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) fn start(
        plan: &AdminPlan,
        board: Arc<Board>,
        sockets: &mut Sockets,
        waits: bool,
    ) -> Result<Self, AdminError> {
        let other = |error| AdminError::Other(plan.address.clone(), error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_name("holm-admin")
            .on_thread_start(take_short_turns)
            .build()
            .map_err(other)?;
        let (listener, address, holder) = {
            let _inside = runtime.enter();
            bind(&plan.address, sockets)?
        };
        let socket = Arc::new(listener.socket().map_err(other)?);
        let answers = Arc::new(Answers::new(board, &address, plan.token.clone()));
        let first = if waits { Course::Wait } else { Course::Accept };
        let (course, followed) = watch::channel(first);
        let thread = thread::Builder::new()
            .name("holm-admin".into())
            .spawn(move || {
                take_short_turns();
                runtime.block_on(serve(listener, answers, followed));
            })
            .map_err(other)?;
        info!(addr = %address, token = plan.token.is_some(), "admin listens");
        let handle = AdminHandle {
            address,
            wanted: plan.address.clone(),
            holder,
            socket: Arc::downgrade(&socket),
            course,
        };
        Ok(Self {
            handle,
            socket: Some(socket),
            thread: Some(thread),
        })
    }

    /// For whoever hands it over.
    pub(crate) fn handle(&self) -> AdminHandle {
        self.handle.clone()
    }

    /// Where it listens, if that is a port.
    pub(crate) fn port(&self) -> Option<SocketAddr> {
        match self.handle.address {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        }
    }
}

impl AdminHandle {
    /// The socket, for another process.
    ///
    /// # Errors
    /// There are no more descriptors, or it is closed.
    pub(crate) fn held(&self) -> io::Result<Held> {
        let socket = self.socket.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Held {
            wanted: Some((Key::Admin, self.wanted.to_string())),
            name: String::new(),
            holder: self.holder,
            fd: socket.try_clone()?,
        })
    }

    /// Clients are accepted from now on.
    pub(crate) fn accept(&self) {
        self.go_on(Course::Accept);
    }

    /// They are not any more. If it was handed over, the socket is another process's.
    pub(crate) fn leave(&self, is_handed_over: bool) {
        self.go_on(Course::Leave { is_handed_over });
    }

    fn go_on(&self, to: Course) {
        self.course.send_if_modified(|course| {
            let is_further = *course < to && !course.has_left();
            if is_further {
                *course = to;
            }
            is_further
        });
    }
}

impl Course {
    fn has_left(self) -> bool {
        match self {
            Self::Wait | Self::Accept => false,
            Self::Leave { .. } => true,
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.handle.leave(false);
        drop(self.socket.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the admin listener's thread panicked");
        }
    }
}

fn bind(
    address: &Address,
    sockets: &mut Sockets,
) -> Result<(Listener, Address, Holder), AdminError> {
    let other = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse(address.clone()),
        _ => AdminError::Other(address.clone(), error),
    };
    match address {
        Address::Tcp(wanted) => {
            let given = sockets.take_tcp(Key::Admin, *wanted);
            let (listener, holder) = match given {
                Some(given) => given,
                None => (TcpListener::bind(wanted).map_err(other)?, Holder::Nobody),
            };
            listener.set_nonblocking(true).map_err(other)?;
            let got = listener.local_addr().map_err(other)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(other)?;
            Ok((Listener::Tcp(listener), Address::Tcp(got), holder))
        }
        Address::Unix(path) => {
            let given = sockets.take_unix(path);
            let is_lent = given.is_some();
            let (listener, holder) = match given {
                Some(given) => given,
                None => {
                    clear(path, address)?;
                    (bind_unix(path).map_err(other)?, Holder::Nobody)
                }
            };
            listener.set_nonblocking(true).map_err(other)?;
            let found = fs::symlink_metadata(path).ok();
            let socket = Socket {
                path: path.clone(),
                // The service manager's own is its to remove.
                inode: found
                    .filter(|_| holder == Holder::Nobody)
                    .map(|found| found.ino()),
                is_lent,
            };
            let listener = tokio::net::UnixListener::from_std(listener).map_err(other)?;
            Ok((Listener::Unix { listener, socket }, address.clone(), holder))
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
        if !self.is_lent && self.inode.is_some() && found.map(|found| found.ino()) == self.inode {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves as `course` says, until it is to leave and the answers at hand are made.
async fn serve(mut listener: Listener, answers: Arc<Answers>, mut course: watch::Receiver<Course>) {
    let mut open = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    let of_connections = course.clone();
    if course
        .wait_for(|course| *course > Course::Wait)
        .await
        .is_err()
    {
        return;
    }
    if *course.borrow() == Course::Accept {
        listener.lend_file(false);
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = course.wait_for(|course| course.has_left()) => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(guest) => {
                let (answers, course) = (answers.clone(), of_connections.clone());
                let handle = match guest {
                    Guest::Tcp(stream) => open.spawn(connection(stream, answers, course)),
                    Guest::Unix(stream) => open.spawn(connection(stream, answers, course)),
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
    if *course.borrow()
        == (Course::Leave {
            is_handed_over: true,
        })
    {
        listener.lend_file(true);
    }
    drop(listener);
    let answered = async { while open.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWER, answered).await;
}

enum Guest {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Another descriptor of it.
    fn socket(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix { listener, .. } => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Whether its file is another process's.
    fn lend_file(&mut self, is_lent: bool) {
        match self {
            Self::Tcp(_) => {}
            Self::Unix { socket, .. } => socket.is_lent = is_lent,
        }
    }

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
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: Arc<Answers>,
    mut course: watch::Receiver<Course>,
) {
    // A reload takes as long as it takes.
    let is_patient = Arc::new(AtomicBool::new(false));
    let (of_service, followed) = (is_patient.clone(), course.clone());
    let service = service_fn(move |request| {
        let (answers, is_patient) = (answers.clone(), of_service.clone());
        let followed = followed.clone();
        async move {
            let mut answer = answers.answer(request, &is_patient).await;
            if let Ok(answer) = &mut answer
                && followed.borrow().has_left()
            {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
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
        () = tokio::time::sleep(LIFE) => {}
        // Whoever has the handle may be gone, too.
        _ = course.wait_for(|course| course.has_left()) => {}
    }
    let is_handed_over = Course::Leave {
        is_handed_over: true,
    };
    if *course.borrow() == is_handed_over {
        // Who was accepted just now has not asked yet.
        if tokio::time::timeout(ARRIVAL, connection.as_mut())
            .await
            .is_ok()
        {
            return;
        }
    }
    connection.as_mut().graceful_shutdown();
    loop {
        let ended = tokio::time::timeout(LAST_ANSWER, connection.as_mut()).await;
        if ended.is_ok() || !is_patient.load(Ordering::Relaxed) {
            return;
        }
    }
}
