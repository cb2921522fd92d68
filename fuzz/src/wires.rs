//! What comes over sockets, but for HTTP.

use std::cell::OnceCell;

/// In front of a connection, from a proxy: an address, or nothing.
pub fn proxy_header(data: &[u8]) {
    if let Some((address, is_secure)) = holm_router::fuzz::proxy_header(data)
        && data.starts_with(b"PROXY ")
    {
        // Version 1 says it in words: the same ones, written again, are the same client.
        assert!(!is_secure, "version 1 does not know TLS");
        let (family, to) = match address.is_ipv4() {
            true => ("TCP4", "192.0.2.1"),
            false => ("TCP6", "2001:db8::1"),
        };
        let again = format!(
            "PROXY {family} {} {to} {} 443\r\n",
            address.ip(),
            address.port()
        );
        let second = holm_router::fuzz::proxy_header(again.as_bytes());
        assert_eq!(second, Some((address, false)), "{again:?}");
    }
}

/// A byte of flags, the length of pieces, then frames.
pub fn websocket(data: &[u8]) {
    if let [flags, cut, wire @ ..] = data {
        let (is_server, compresses) = (flags & 1 == 0, flags & 2 == 0);
        holm_router::fuzz::websocket_frames(is_server, compresses, usize::from(*cut), wire);
    }
}

/// What a process says that has run a stranger's code: a cell over its socket, a zygote or a template over theirs.
pub fn cell(data: &[u8]) {
    thread_local! {
        static EAR: OnceCell<holm_runtime::fuzz::Ear> = const { OnceCell::new() };
    }
    EAR.with(|ear| ear.get_or_init(holm_runtime::fuzz::Ear::new).hear(data));
    holm_process::fuzz_messages(data);
}
