//! Taking an address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted. The kernel caps it (`net.core.somaxconn`).
pub(super) const BACKLOG: i32 = 1024;

/// Why an address could not be taken, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has it.
    #[error(
        "{address} is in use by another program; stop that program (`ss -ltnp` shows it), \
         or choose another port"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1024 are for the privileged.
    #[error(
        "no permission to listen on {address}; choose a port from 1024 up, or allow it \
         (`setcap cap_net_bind_service=+ep` on the program)"
    )]
    Denied {
        /// The address.
        address: SocketAddr,
    },
    /// No interface of this machine has it.
    #[error(
        "{address} is not an address of this machine; 0.0.0.0 listens on all IPv4 addresses, \
         [::] on all of both kinds"
    )]
    NotHere {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on `address`, which those of `others` with the same port may overlap.
pub(super) fn listen(
    address: SocketAddr,
    others: &[&super::Socket],
) -> Result<TcpListener, BindError> {
    let shares = |other: &&&super::Socket| {
        let local = other.listener.local_addr();
        address.port() != 0 && local.is_ok_and(|local| local.port() == address.port())
    };
    let others: Vec<_> = others.iter().filter(shares).collect();
    open(address, &others).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied => BindError::Denied { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address },
        _ => BindError::Other { address, source },
    })
}

fn open(address: SocketAddr, others: &[&&super::Socket]) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for the old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Whatever the system's default is: [::] means both.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    if others.is_empty() {
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
    } else {
        listen_beside(&socket, address, others)?;
    }
    Ok(socket.into())
}

/// Only meanwhile do the others let somebody else have their port: a second node must still be told that
/// it is in use.
fn listen_beside(
    socket: &Socket,
    address: SocketAddr,
    others: &[&&super::Socket],
) -> io::Result<()> {
    let share = |is_shared| {
        let others = others.iter().map(|other| SockRef::from(&other.listener));
        for other in others.chain([SockRef::from(socket)]) {
            other.set_reuse_port(is_shared)?;
        }
        io::Result::Ok(())
    };
    let listens = share(true)
        .and_then(|()| socket.bind(&address.into()))
        .and_then(|()| socket.listen(BACKLOG));
    share(false)?;
    listens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_way_out() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0)), &[]).expect("a free port");
        let address = first.local_addr().expect("a bound socket");
        let error = listen(address, &[]).expect_err("it is taken");
        assert!(matches!(error, BindError::InUse { .. }));
        let message = error.to_string();
        assert!(message.contains(&address.to_string()), "{message}");
        assert!(message.contains("another port"), "{message}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // TEST-NET-1, RFC 5737.
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        assert!(matches!(
            listen(elsewhere, &[]),
            Err(BindError::NotHere { .. })
        ));
    }

    #[test]
    fn an_address_that_covers_one_of_ours_can_be_had() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0)), &[]).expect("a free port");
        let port = first.local_addr().expect("a bound socket").port();
        let first = super::super::Socket::of(first);
        let all = SocketAddr::from(([0, 0, 0, 0], port));
        assert!(matches!(listen(all, &[]), Err(BindError::InUse { .. })));
        let _second = listen(all, &[&first]).expect("only we have it");
        // It is not open to everybody now.
        assert!(matches!(listen(all, &[]), Err(BindError::InUse { .. })));
    }
}
