//! Who a request takes this machine for.

use axum::extract::Request;
use axum::http::header;
use axum::http::uri::Authority;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a request was sent to an address, and not to a name.
///
/// A page from anywhere, open in a browser on this machine, may let its own name mean 127.0.0.1 ("DNS rebinding"), and what
/// it asks for then is of its own origin: its scripts read the answer. The browser still says the page's name in `Host`. No
/// script can write an address there without being from that address, and `localhost` is no name that somebody could own.
pub(super) fn is_by_address(request: &Request) -> bool {
    // A request line may have an authority as well, which then is what counts: neither may be a name.
    if request.uri().authority().is_some_and(|authority| !is_address(authority)) {
        return false;
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    host.to_str().ok().and_then(|host| host.parse().ok()).is_some_and(|host| is_address(&host))
}

fn is_address(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok() || host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn addresses_are_right() {
        let right =
            ["127.0.0.1", "127.0.0.1:9690", "10.1.2.3:80", "[::1]", "[::1]:9690", "localhost", "LocalHost:1"];
        for host in right {
            assert!(is_by_address(&request("/", &[host])), "{host}");
        }
        assert!(is_by_address(&request("http://127.0.0.1:9690/", &["127.0.0.1:9690"])));
    }

    #[test]
    fn names_are_not() {
        let wrong = [
            "example.org",
            "example.org:9690",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "localhost.",
            "node-1",
            "",
            "a@127.0.0.1",
            "127.0.0.1@example.org",
            "::1",
            "[example.org]",
            "0x7f.1",
            "127.1",
            "[::1",
        ];
        for host in wrong {
            assert!(!is_by_address(&request("/", &[host])), "{host}");
        }
        assert!(!is_by_address(&request("/", &[])));
        assert!(!is_by_address(&request("/", &["127.0.0.1", "example.org"])));
        assert!(!is_by_address(&request("http://example.org/", &["127.0.0.1"])));
    }
}
