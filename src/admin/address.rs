//! Where the admin listener is.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

/// `127.0.0.1:9090`, or `unix:/run/holm/admin.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Neither an address and a port nor `unix:` and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not IP:PORT and not unix:PATH")]
pub(crate) struct NotAnAddress;

/// The longest path of a socket: `sun_path` has 108 bytes, the last of them 0.
const LONGEST: usize = 107;

impl Address {
    /// Whether others than this machine's own users reach it, so that it takes a token.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }

    /// The same, with a relative path taken from `folder`.
    pub(crate) fn within(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            Self::Tcp(_) => self,
        }
    }

    /// Whether the system can make a socket of it.
    pub(crate) fn fits(&self) -> bool {
        match self {
            Self::Unix(path) => path.as_os_str().len() <= LONGEST,
            Self::Tcp(_) => true,
        }
    }
}

/// Whether a connection to `to` from this machine may end at a listener on `listener`: whatever a function
/// asks for, it must not.
pub(crate) fn leads_to(to: SocketAddr, listener: SocketAddr) -> bool {
    let (ip, own) = (to.ip().to_canonical(), listener.ip().to_canonical());
    // To connect to the unspecified address is to connect to this machine.
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    to.port() == listener.port() && (ip == own || is_local(ip) || own.is_unspecified())
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if path.is_empty() || path.contains('\0') => Err(NotAnAddress),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| NotAnAddress),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> SocketAddr {
        text.parse().expect("an address of this table")
    }

    #[test]
    fn both_forms_are_read() {
        for (text, is_open) in [
            ("127.0.0.1:9090", false),
            ("127.1.2.3:1", false),
            ("[::1]:9090", false),
            ("[::ffff:127.0.0.1]:9090", false),
            ("0.0.0.0:9090", true),
            ("[::]:9090", true),
            ("10.0.0.1:9090", true),
            ("unix:/run/holm.sock", false),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_open(), is_open, "{text}");
        }
        for text in ["", "9090", "localhost:9090", "unix:", "/run/holm.sock"] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn every_way_to_it_is_known() {
        let own = tcp("127.0.0.1:9090");
        for to in [
            "127.0.0.1:9090",
            "0.0.0.0:9090",
            "[::]:9090",
            "[::ffff:127.0.0.1]:9090",
            "[::1]:9090",
        ] {
            assert!(leads_to(tcp(to), own), "{to}");
        }
        for to in ["127.0.0.1:9091", "10.0.0.1:9090", "8.8.8.8:9090"] {
            assert!(!leads_to(tcp(to), own), "{to}");
        }
        assert!(leads_to(tcp("10.0.0.1:9090"), tcp("0.0.0.0:9090")));
        assert!(leads_to(tcp("10.0.0.1:9090"), tcp("10.0.0.1:9090")));
    }
}
