//! What each address has open: connections, and requests in flight.
//!
//! Nobody's share may be all of it. An address of IPv6 counts with the rest of its /64, which is what one
//! subscriber has. Entries live as long as something of theirs is open, so there are never more than
//! connections and requests.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Locks that the addresses are spread over.
const SHARDS: usize = 16;

/// All addresses.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    shards: [Mutex<FxHashMap<IpAddr, Arc<Open>>>; SHARDS],
}

/// What one address has open.
#[derive(Debug, Default)]
struct Open {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// An address that has something open.
#[derive(Debug)]
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    key: IpAddr,
    open: Arc<Open>,
}

/// One connection of an address; over by drop.
#[derive(Debug)]
pub(crate) struct OpenConnection(Member);

/// One request of an address; over by drop.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Member>);

impl Crowd {
    /// Finds or makes the entry of an address.
    pub(crate) fn member(self: &Arc<Self>, address: IpAddr) -> Member {
        let key = key(address);
        let mut shard = self.shard(key);
        let open = Arc::clone(shard.entry(key).or_default());
        drop(shard);
        Member {
            crowd: Arc::clone(self),
            key,
            open,
        }
    }

    fn shard(&self, key: IpAddr) -> std::sync::MutexGuard<'_, FxHashMap<IpAddr, Arc<Open>>> {
        let last = match key {
            IpAddr::V4(address) => address.octets()[3],
            // Of the network: the rest is zero.
            IpAddr::V6(address) => address.octets()[7],
        };
        let shard = &self.shards[usize::from(last) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// One more connection, unless it has `most`.
    pub(crate) fn connect(self, most: usize) -> Option<OpenConnection> {
        take(&self.open.connections, most).then_some(OpenConnection(self))
    }

    /// One more request, unless it has `most`.
    pub(crate) fn request(self: &Arc<Self>, most: usize) -> Option<OpenRequest> {
        take(&self.open.requests, most).then(|| OpenRequest(Arc::clone(self)))
    }
}

/// Counts one more, if there are fewer than `most`. Each count is read by itself: relaxed.
fn take(count: &AtomicUsize, most: usize) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < most {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut shard = self.crowd.shard(self.key);
        // Clones are made under the lock: the map's, and this one.
        if Arc::strong_count(&self.open) <= 2 {
            shard.remove(&self.key);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(network).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(crowd: &Crowd) -> usize {
        let shards = crowd.shards.iter();
        shards
            .map(|shard| shard.lock().expect("no panic").len())
            .sum()
    }

    #[test]
    fn each_address_has_its_share_and_leaves_nothing() {
        let crowd = Arc::new(Crowd::default());
        let member = |address: &str| crowd.member(address.parse().expect(address));
        let first = member("192.0.2.1").connect(2);
        let second = member("::ffff:192.0.2.1").connect(2);
        assert!(first.is_some() && second.is_some());
        assert!(member("192.0.2.1").connect(2).is_none());
        assert!(member("192.0.2.2").connect(1).is_some(), "another address");
        drop(second);
        assert!(member("192.0.2.1").connect(2).is_some());

        let network = member("2001:db8::1").connect(1);
        assert!(member("2001:db8::ffff:1").connect(1).is_none());
        assert!(member("2001:db8:0:1::1").connect(1).is_some());
        assert_eq!(entries(&crowd), 2);

        let member = Arc::new(member("192.0.2.1"));
        let request = member.request(1);
        assert!(member.request(1).is_none());
        drop(request);
        assert!(member.request(1).is_some());
        drop((first, network, member));
        assert_eq!(entries(&crowd), 0);
    }
}
