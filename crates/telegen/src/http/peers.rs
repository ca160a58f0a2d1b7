//! Whose the connections are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that one address may have at a time; less than there are, so that nobody can have them all.
const MAX_OF_ONE: usize = 64;

/// How many connections each address has.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that is counted as long as this lives.
pub(super) struct Counted {
    peers: Peers,
    whose: IpAddr,
}

impl Peers {
    /// Counts a connection, if its address may have one more.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Counted> {
        let whose = owner(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(whose).or_default();
        if *count == MAX_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Counted { peers: self.clone(), whose })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&self.whose) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.whose);
        }
    }
}

/// Who has an address: in IPv6 a single machine has 64 bits of them (RFC 4291, section 2.5.1).
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_get_everything_and_gets_back_what_it_lets_go() {
        let peers = Peers::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut held: Vec<_> = (0..MAX_OF_ONE).map(|_| peers.admit(address("192.0.2.1")).unwrap()).collect();
        assert!(peers.admit(address("192.0.2.1")).is_none());
        assert!(peers.admit(address("::ffff:192.0.2.1")).is_none());
        assert!(peers.admit(address("192.0.2.2")).is_some());
        held.pop();
        assert!(peers.admit(address("192.0.2.1")).is_some());
        let same = (0..MAX_OF_ONE).map(|at| peers.admit(address(&format!("2001:db8::{at:x}"))).unwrap());
        let same: Vec<_> = same.collect();
        assert!(peers.admit(address("2001:db8::ffff:1")).is_none());
        assert!(peers.admit(address("2001:db8:0:1::1")).is_some());
        drop((held, same));
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
