//! The PROXY protocol (haproxy, versions 1 and 2): a proxy that does not read what it passes on says
//! in front of it who the client is.
//!
//! Not a byte behind the header is read here: it may be the first of a TLS handshake.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// What both versions begin with is told apart in so many bytes; no header is shorter.
const START: usize = 12;

/// The longest header of version 1, by its specification.
const LONGEST_V1: usize = 107;

/// The longest of version 2 that is read: addresses take 36 bytes, or 216 of Unix sockets, and the rest
/// are extensions that nobody here asks for. A certificate among them fits.
const LONGEST_V2: usize = 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// The connection is the proxy's own: it asks whether we live.
    Own,
    /// It passes on the connection of a client.
    Client {
        /// Its address and port.
        address: SocketAddr,
        /// It speaks TLS with the proxy, which takes it off.
        is_secure: bool,
    },
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrefaceError {
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("its PROXY header is longer than {0} bytes")]
    TooLong(usize),
    #[error("its PROXY header is not well formed")]
    Malformed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header.
///
/// Dropping the future loses what was read: the connection is of no use then.
pub(crate) async fn read_preface(stream: &mut TcpStream) -> Result<Preface, PrefaceError> {
    let mut bytes = vec![0; START];
    stream.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        read_v2(stream, bytes).await
    } else if bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_v1(stream, bytes).await
    } else {
        Err(PrefaceError::Missing)
    }
}

async fn read_v2(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Result<Preface, PrefaceError> {
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).await?;
    bytes.extend_from_slice(&rest);
    let length = bytes.len() + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
    if length > LONGEST_V2 {
        return Err(PrefaceError::TooLong(LONGEST_V2));
    }
    let known = bytes.len();
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[known..]).await?;
    parse_v2(&bytes)
}

async fn read_v1(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Result<Preface, PrefaceError> {
    let mut ahead = [0; LONGEST_V1];
    while !bytes.ends_with(b"\n") {
        let room = LONGEST_V1 - bytes.len();
        if room == 0 {
            return Err(PrefaceError::TooLong(LONGEST_V1));
        }
        // Up to the line's end, and no further.
        let seen = stream.peek(&mut ahead[..room]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = memchr::memchr(b'\n', &ahead[..seen]).map_or(seen, |at| at + 1);
        stream.read_exact(&mut ahead[..end]).await?;
        bytes.extend_from_slice(&ahead[..end]);
    }
    parse_v1(&bytes)
}

/// What a whole header says, for a fuzz target: the client, if there is a header and it names one.
#[cfg(fuzzing)]
pub fn fuzz_header(bytes: &[u8]) -> Option<(SocketAddr, bool)> {
    let preface = match bytes.starts_with(v2::PROTOCOL_PREFIX) {
        true => parse_v2(bytes),
        false => parse_v1(bytes),
    };
    match preface {
        Ok(Preface::Client { address, is_secure }) => Some((address, is_secure)),
        Ok(Preface::Own) | Err(_) => None,
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Preface, PrefaceError> {
    let header = v1::Header::try_from(bytes).map_err(|_| PrefaceError::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(tcp) => client((tcp.source_address, tcp.source_port), false),
        v1::Addresses::Tcp6(tcp) => client((tcp.source_address, tcp.source_port), false),
        v1::Addresses::Unknown => Preface::Own,
    })
}

fn parse_v2(bytes: &[u8]) -> Result<Preface, PrefaceError> {
    let header = v2::Header::try_from(bytes).map_err(|_| PrefaceError::Malformed)?;
    match header.command {
        v2::Command::Local => return Ok(Preface::Own),
        v2::Command::Proxy => {}
    }
    let is_secure = is_secure(&header);
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => client((ip.source_address, ip.source_port), is_secure),
        v2::Addresses::IPv6(ip) => client((ip.source_address, ip.source_port), is_secure),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Preface::Own,
    })
}

fn client(source: impl Into<SocketAddr>, is_secure: bool) -> Preface {
    Preface::Client {
        address: source.into(),
        is_secure,
    }
}

/// Whether the client came over TLS: the first bit of what `PP2_TYPE_SSL` says (2.2.5).
fn is_secure(header: &v2::Header<'_>) -> bool {
    let ssl = u8::from(v2::Type::SSL);
    let extensions = header.tlvs().filter_map(Result::ok);
    extensions
        .filter(|extension| extension.kind == ssl)
        .any(|extension| extension.value.first().is_some_and(|bits| bits & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    /// What a header is read as, sent in pieces of `step` bytes, and what is left behind it.
    async fn read(bytes: &[u8], step: usize) -> (Result<Preface, PrefaceError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sent = async {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            for piece in bytes.chunks(step) {
                // Who has read enough may have closed.
                if stream.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let received = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let preface = read_preface(&mut stream).await;
            let mut rest = Vec::new();
            if preface.is_ok() {
                stream.read_to_end(&mut rest).await.expect("the rest");
            }
            (preface, rest)
        };
        let ((), read) = tokio::join!(sent, received);
        read
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[tokio::test]
    async fn clients_are_named_and_nothing_behind_is_touched() {
        let ip4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let ssl = [&ip4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let not_ssl = [&ip4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat();
        let ip6 = {
            let mut bytes = [0_u8; 36];
            bytes[0] = 0x20;
            bytes[15] = 7;
            bytes[32..34].copy_from_slice(&4660_u16.to_be_bytes());
            bytes
        };
        for (header, named) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(),
                Some(("192.0.2.7:4660", false)),
            ),
            (
                b"PROXY TCP6 2000::7 ::1 4660 80\r\n".to_vec(),
                Some(("[2000::7]:4660", false)),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, &ip4), Some(("192.0.2.7:4660", false))),
            (v2(1, 0x11, &ssl), Some(("192.0.2.7:4660", true))),
            (v2(1, 0x11, &not_ssl), Some(("192.0.2.7:4660", false))),
            (v2(1, 0x21, &ip6), Some(("[2000::7]:4660", false))),
            (v2(0, 0, b""), None),
            (v2(1, 0, b""), None),
        ] {
            let expected = named.map_or(Preface::Own, |(address, is_secure)| {
                client(address.parse::<SocketAddr>().expect(address), is_secure)
            });
            for step in [1, 13, 4096] {
                let sent = [&header[..], b"PROXY GET\r\n"].concat();
                let (preface, rest) = read(&sent, step).await;
                assert_eq!(preface.expect("a header"), expected);
                assert_eq!(rest, b"PROXY GET\r\n");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(),
            b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 99999\r\n".to_vec(),
            b"PROXY UN".to_vec(),
            long,
            v2(1, 0x11, &[1, 2, 3]),
            v2(1, 0x11, &[0; 5000]),
            v2(5, 0x11, &[0; 12]),
            v2(1, 0x11, &[0; 12])[..20].to_vec(),
        ] {
            let (preface, _) = read(&bytes, 4096).await;
            assert!(preface.is_err(), "{bytes:?} {preface:?}");
        }
    }
}
