//! Listening sockets that the process was given, until they are served or closed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;

use holm_process::activation;
use rustix::net::AddressFamily;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::sockopt::socket_domain;
use rustix::net::sockopt::socket_type;
use serde::Deserialize;
use serde::Serialize;
use tracing::info;
use tracing::warn;

/// The key of `[server]` that a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Key {
    Http,
    Https,
    Admin,
}

/// Who else has a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Holder {
    /// Nobody: it is this process's own.
    Nobody,
    /// The service manager. It has it when this process has ended, too.
    Manager,
}

/// A listening socket, and what it is known by.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the node before this one served on it, and where its file said so. Nothing, if it is from the
    /// service manager.
    pub(crate) wanted: Option<(Key, String)>,
    /// What the service manager calls it.
    pub(crate) name: String,
    pub(crate) holder: Holder,
    pub(crate) fd: OwnedFd,
}

/// Where one listens.
#[derive(Debug)]
enum Local {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Those that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    left: Vec<(Local, Held)>,
    /// What the node before this one served on those that were taken.
    taken: Vec<Key>,
    /// Descriptors that are none, and why.
    strange: Vec<String>,
}

impl Sockets {
    /// From the service manager, if there are any. To be called before anything else is opened.
    ///
    /// # Errors
    /// The environment says that there are some, and there are none.
    pub(crate) fn given() -> io::Result<Self> {
        let given = activation::given()?.into_iter();
        Ok(Self::of(given.map(|given| Held {
            wanted: None,
            name: given.name,
            holder: Holder::Manager,
            fd: given.fd,
        })))
    }

    pub(super) fn of(held: impl IntoIterator<Item = Held>) -> Self {
        let mut sockets = Self::default();
        for held in held {
            match local(&held.fd) {
                Ok(local) => sockets.left.push((local, held)),
                Err(why) => sockets.strange.push(format!("{:?}: {why}", held.name)),
            }
        }
        sockets
    }

    /// The one at this address, for this key. One that was at any port is taken for the same key alone.
    pub(crate) fn take_tcp(
        &mut self,
        key: Key,
        address: SocketAddr,
    ) -> Option<(TcpListener, Holder)> {
        let held = self.take(|local, held| match local {
            Local::Tcp(local) if address.port() != 0 => *local == address,
            Local::Tcp(_) => held.is_wanted(key, &address.to_string()),
            Local::Unix(_) => false,
        })?;
        Some((held.fd.into(), held.holder))
    }

    /// The one at this path.
    pub(crate) fn take_unix(&mut self, path: &Path) -> Option<(UnixListener, Holder)> {
        let held = self.take(|local, _| match local {
            Local::Unix(local) => local == path,
            Local::Tcp(_) => false,
        })?;
        Some((held.fd.into(), held.holder))
    }

    fn take(&mut self, is_it: impl Fn(&Local, &Held) -> bool) -> Option<Held> {
        let place = self.left.iter().position(|(at, held)| is_it(at, held))?;
        let (_, held) = self.left.swap_remove(place);
        self.taken.extend(held.wanted.iter().map(|(key, _)| *key));
        Some(held)
    }

    /// What the node before this one served on those that were taken.
    pub(crate) fn taken(&self) -> &[Key] {
        &self.taken
    }

    /// Those that are left and that a new one can be bound beside.
    pub(crate) fn others(&self) -> Vec<holm_router::Socket> {
        let tcp = self.left.iter().filter_map(|(local, held)| match local {
            Local::Tcp(_) => held.fd.try_clone().ok(),
            Local::Unix(_) => None,
        });
        tcp.map(|fd| holm_router::Socket::of(fd.into())).collect()
    }

    /// Closes those that are left, and says which.
    pub(crate) fn close(&mut self) {
        for strange in self.strange.drain(..) {
            warn!(socket = %strange, "the service manager has passed what cannot be served: it is closed");
        }
        for (local, held) in self.left.drain(..) {
            match held.holder {
                Holder::Manager => warn!(
                    addr = %local,
                    name = %held.name,
                    "the service manager has passed a socket that is at no address of [server] in the file: \
                     it is closed, and who connects to it waits for nothing; have both say the same"
                ),
                Holder::Nobody => info!(
                    addr = %local,
                    "the node before this one listens there, and the file does not say so any more"
                ),
            }
        }
    }
}

impl Held {
    fn is_wanted(&self, key: Key, address: &str) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|(of, at)| *of == key && at == address)
    }
}

/// Where it listens.
///
/// # Errors
/// It does not, in words.
fn local(fd: &OwnedFd) -> Result<Local, String> {
    let refused = |error: io::Error| error.to_string();
    let is_stream = socket_type(fd).map_err(|error| refused(error.into()))? == SocketType::STREAM;
    if !is_stream || !socket_acceptconn(fd).map_err(|error| refused(error.into()))? {
        return Err("it is not a socket that listens for streams".to_owned());
    }
    let copy = || fd.as_fd().try_clone_to_owned().map_err(refused);
    match socket_domain(fd).map_err(|error| refused(error.into()))? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let listener = TcpListener::from(copy()?);
            listener.local_addr().map(Local::Tcp).map_err(refused)
        }
        AddressFamily::UNIX => {
            let listener = UnixListener::from(copy()?);
            let local = listener.local_addr().map_err(refused)?;
            let path = local.as_pathname().map(Path::to_owned);
            path.map(Local::Unix)
                .ok_or_else(|| "it has no path in the file system".to_owned())
        }
        _ => Err("it is of no kind that Holm serves".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (SocketAddr, OwnedFd) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        (listener.local_addr().expect("bound"), listener.into())
    }

    fn held(fd: OwnedFd, wanted: Option<(Key, &str)>) -> Held {
        Held {
            wanted: wanted.map(|(key, at)| (key, at.to_owned())),
            name: "holm.socket".to_owned(),
            holder: Holder::Manager,
            fd,
        }
    }

    #[test]
    fn a_socket_is_known_by_its_address_whatever_it_is_for() {
        let (address, fd) = listener();
        let mut sockets = Sockets::of([held(fd, None)]);
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(sockets.take_tcp(Key::Http, other).is_none());
        assert_eq!(sockets.others().len(), 1);
        let (taken, holder) = sockets.take_tcp(Key::Https, address).expect("it is there");
        assert_eq!(taken.local_addr().expect("bound"), address);
        assert_eq!(holder, Holder::Manager);
        assert!(sockets.take_tcp(Key::Https, address).is_none());
    }

    #[test]
    fn any_port_is_the_one_that_it_was_for_the_same_key() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let wanted = Some((Key::Http, "127.0.0.1:0"));
        let mut sockets = Sockets::of([held(listener().1, None), held(listener().1, wanted)]);
        assert!(sockets.take_tcp(Key::Https, any).is_none());
        assert!(sockets.take_tcp(Key::Http, any).is_some());
        assert!(sockets.take_tcp(Key::Http, any).is_none());
    }

    #[test]
    fn what_does_not_listen_is_none() {
        let file = std::fs::File::open("/dev/null").expect("opened");
        let datagrams = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        let (client, _server) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let sockets = Sockets::of([
            held(file.into(), None),
            held(datagrams.into(), None),
            held(client.into(), None),
        ]);
        assert!(sockets.left.is_empty());
        assert_eq!(sockets.strange.len(), 3);
    }

    #[test]
    fn one_in_the_file_system_is_known_by_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let listener = UnixListener::bind(&path).expect("bound");
        let mut sockets = Sockets::of([held(listener.into(), None)]);
        assert!(sockets.take_unix(&folder.path().join("other")).is_none());
        assert!(sockets.take_unix(&path).is_some());
    }
}
