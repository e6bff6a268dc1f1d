//! Which addresses may be called: nobody gets at what is inside the network through a list or a redirect of theirs.
//!
//! 1. [`Guard::client_for`] looks at the host of each address before it is called, that of a redirect too.
//! 2. A number is judged at once: no name is looked up for it, so 3 would not see it.
//! 3. A name is looked up by [`Resolver`], which hands on only what may be called; the connection is made to that very
//!    address, so a name that changes its mind between check and call (rebinding) gains nothing.
//!
//! Hosts of `web.allowed_hosts` may be inside, because organisations keep documents there. Addresses that name no
//! server of documents anywhere (metadata services of clouds, link-local, multicast) stay closed to names even then.
//! A proxy would look names up itself, so none is used. There is one parser of addresses: that of the HTTP client.

use crate::client::{NotAllowed, builder, built};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};
use vellum_core::{Error, ErrorKind, Result};

/// What may be called, and what calls it.
#[derive(Debug)]
pub(super) struct Guard {
    allowed: Vec<Allowed>,
    /// Calls public addresses only.
    outside: reqwest::Client,
    /// Calls hosts of `allowed`.
    inside: reqwest::Client,
}

/// A host that may be inside, on one port or on each.
#[derive(Debug, PartialEq)]
struct Allowed {
    host: Host,
    port: Option<u16>,
}

impl Guard {
    /// Returns the guard that lets the hosts in `allowed` be inside: names or numbers, each with a port or without.
    ///
    /// # Errors
    /// `Invalid` for an entry that names no host.
    pub(super) fn new(allowed: &[String]) -> Result<Self> {
        let allowed = allowed.iter().map(|entry| allow(entry)).collect::<Result<_>>()?;
        let client =
            |is_inside| built(builder().no_proxy().dns_resolver(Arc::new(Resolver { is_inside })));
        Ok(Self { allowed, outside: client(false)?, inside: client(true)? })
    }

    /// Returns the client for addresses outside.
    pub(super) fn outside(&self) -> &reqwest::Client {
        &self.outside
    }

    /// Returns the client for an address that may be called.
    ///
    /// # Errors
    /// `Unsupported` for another scheme, `Invalid` for an address that holds a password, `Forbidden` for one inside.
    pub(super) fn client_for(&self, url: &Url) -> Result<&reqwest::Client> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::new(ErrorKind::Unsupported, format!("`{url}` is no web address"))
                .with_hint("use http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "addresses with a user name or password are not read";
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("take them out: every citation would show them"));
        }
        let Some(host) = url.host() else {
            return Err(Error::new(ErrorKind::Invalid, format!("`{url}` names no host")));
        };
        if self.allowed.iter().any(|allowed| allowed.covers(&host, url.port_or_known_default())) {
            return Ok(&self.inside);
        }
        let number = match host {
            Host::Domain(_) => return Ok(&self.outside),
            Host::Ipv4(number) => IpAddr::V4(number),
            Host::Ipv6(number) => IpAddr::V6(number),
        };
        match reach(number) {
            Reach::Public => Ok(&self.outside),
            Reach::Inside | Reach::Nowhere => Err(closed(&refusal(&number.to_string(), &[number]))),
        }
    }
}

/// Returns the error of an address that must not be called.
pub(super) fn closed(why: &str) -> Error {
    Error::new(ErrorKind::Forbidden, why)
        .with_hint("name the host in `web.allowed_hosts` if it is one of yours")
}

impl Allowed {
    fn covers(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let is_host = match (&self.host, host) {
            (Host::Domain(known), Host::Domain(name)) => *known == without_dot(name),
            (Host::Ipv4(known), Host::Ipv4(number)) => known == number,
            (Host::Ipv6(known), Host::Ipv6(number)) => known == number,
            _ => false,
        };
        is_host && (self.port.is_none() || self.port == port)
    }
}

/// Reads an entry of the setting.
fn allow(entry: &str) -> Result<Allowed> {
    let wrong = || {
        let message = format!("web.allowed_hosts: `{entry}` names no host");
        Error::new(ErrorKind::Invalid, message)
            .with_hint("write a name or a number, with a port or without: `intranet.example:8080`")
    };
    if let Ok(number) = entry.parse::<Ipv6Addr>() {
        return Ok(Allowed { host: Host::Ipv6(number), port: None });
    }
    let is_port = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if is_port(&port) => {
            (host, Some(port.parse::<u16>().map_err(|_| wrong())?))
        }
        _ => (entry, None),
    };
    // A star would stand for itself only, and look as if it were more.
    let host = match Host::parse(host).ok().filter(|_| !host.contains('*')).ok_or_else(wrong)? {
        Host::Domain(name) => Host::Domain(without_dot(&name).to_owned()),
        number => number,
    };
    Ok(Allowed { host, port })
}

/// A name with the dot of the root at its end is the same name.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Looks names up and keeps closed addresses to itself.
struct Resolver {
    is_inside: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_inside = self.is_inside;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open = admitted(name.as_str(), &found, is_inside)?;
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

/// Returns the addresses of `name` that may be called.
fn admitted(
    name: &str,
    found: &[SocketAddr],
    is_inside: bool,
) -> std::result::Result<Vec<SocketAddr>, NotAllowed> {
    let is_open = |found: &&SocketAddr| match reach(found.ip()) {
        Reach::Public => true,
        Reach::Inside => is_inside,
        Reach::Nowhere => false,
    };
    let open: Vec<SocketAddr> = found.iter().filter(is_open).copied().collect();
    if open.is_empty() && !found.is_empty() {
        let numbers: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
        return Err(NotAllowed(refusal(name, &numbers)));
    }
    Ok(open)
}

fn refusal(name: &str, numbers: &[IpAddr]) -> String {
    let shown: Vec<String> = numbers.iter().take(3).map(IpAddr::to_string).collect();
    let of = if shown == [name] { String::new() } else { format!(" ({})", shown.join(", ")) };
    format!("`{name}`{of} is inside the network or no address of a server")
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anywhere on the internet.
    Public,
    /// This machine, or a network that is not public.
    Inside,
    /// Metadata of clouds, link-local, unspecified, multicast, tunnels: no server of documents.
    Nowhere,
}

/// Returns where an address is.
///
/// Source: the special-purpose address registries of IANA (RFC 6890 and its updates); addresses of metadata services
/// from the guides of AWS, Google, Azure, Oracle and Alibaba.
fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Metadata: Alibaba, Oracle, Azure. The last is a public number that each machine there reaches its host by.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Reach::Nowhere,
        // "This network", link-local with everybody else's metadata, multicast, reserved, broadcast.
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Nowhere,
        [10 | 127, ..] | [192, 168, ..] | [198, 18..=19, ..] => Reach::Inside,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Inside,
        // Shared by customers of a provider.
        [100, second, ..] if second & 0xc0 == 64 => Reach::Inside,
        // Protocol assignments, documentation, a retired relay.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Reach::Inside
        }
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let embedded =
        |high: u16, low: u16| reach_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // IPv4 in IPv6, and IPv4 behind a translator, is what it holds.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Inside,
        // Metadata: AWS, Google.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Reach::Nowhere,
        // Unique local, and site-local of old.
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Reach::Inside,
        // Protocol assignments and the tunnels Teredo and 6to4, which hold any address.
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Reach::Nowhere,
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Inside,
        [first, ..] if first & 0xe000 == 0x2000 => Reach::Public,
        _ => Reach::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        Guard::new(&allowed).unwrap()
    }

    /// S9: spellings of addresses inside, as hosts of a web address.
    const INSIDE: [&str; 76] = [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "2130706433.",
        "0x7f000001",
        "0X7F000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "0x7f.0x0.0x0.0x1",
        "017700000001",
        "0177.0.0.1",
        "0177.0.0.01",
        "0177.1",
        "127.0.0.0x1",
        "127.255.255.254",
        "0",
        "0.0.0.0",
        "0x0",
        "00",
        "0.1.2.3",
        "10.0.0.1",
        "10.1",
        "167772161",
        "012.0.0.1",
        "0xa.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "0xac.0x10.1",
        "192.168.1.1",
        "192.168.257",
        "3232235777",
        "0xc0a80101",
        "0300.0250.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "169.254.169.254",
        "169.254.43518",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.0xfe.0xa9.0xfe",
        "169.254.170.2",
        "192.0.0.192",
        "168.63.129.16",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::a00:1]",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[ff02::1]",
        "[2002:7f00:1::]",
        "[2001:0:a00:1::]",
        "[2001:db8::1]",
    ];

    #[test]
    fn s9_numbers_inside_are_refused_however_they_are_spelt() {
        let guard = guard(&["intranet.example", "10.9.9.9:80"]);
        let more = ["①②⑦.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "127.0.0.1:443", "[::1]:8080"];
        for host in INSIDE.into_iter().chain(more) {
            for scheme in ["http", "https"] {
                let url = Url::parse(&format!("{scheme}://{host}/x")).expect(host);
                let error = guard.client_for(&url).expect_err(host);
                assert_eq!(error.kind(), ErrorKind::Forbidden, "{host}: {error}");
                assert!(error.hint().unwrap().contains("web.allowed_hosts"));
            }
        }
    }

    #[test]
    fn s9_a_user_name_hides_no_host() {
        let guard = guard(&["good.example"]);
        for text in [
            "http://good.example@127.0.0.1/",
            "http://good.example:80@169.254.169.254/",
            "http://good.example%40@10.0.0.1/",
            "https://u:p@example.com/",
        ] {
            assert!(guard.client_for(&Url::parse(text).unwrap()).is_err(), "{text}");
        }
        // What other programs read as another host than ours: one parser decides, and it is the client's.
        for (text, host) in [
            ("http://good.example\\@127.0.0.1/", "good.example"),
            ("http://127.0.0.1\\@good.example/", "127.0.0.1"),
            ("http://127.0.0.1#@good.example/", "127.0.0.1"),
            ("http://127.0.0.1?@good.example/", "127.0.0.1"),
            ("http:/\t/127.0.0.1\n/", "127.0.0.1"),
            ("http:127.0.0.1", "127.0.0.1"),
            ("http:\\\\127.0.0.1", "127.0.0.1"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.host_str(), Some(host), "{text:?}");
            assert_eq!(guard.client_for(&url).is_ok(), host == "good.example", "{text:?}");
        }
        for other in ["file:///etc/passwd", "gopher://example.com/", "ftp://example.com/"] {
            let error = guard.client_for(&Url::parse(other).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn s9_names_are_judged_by_what_they_lead_to() {
        let found = |numbers: &[&str]| -> Vec<SocketAddr> {
            numbers.iter().map(|n| SocketAddr::new(n.parse().unwrap(), 0)).collect()
        };
        for (numbers, is_inside, expect) in [
            (&["93.184.215.14"][..], false, 1),
            (&["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "1.1.1.1"], false, 2),
            (&["64:ff9b::101:101"], false, 1),
            // A name with two faces leads to the public one only.
            (&["127.0.0.1", "93.184.215.14"], false, 1),
            (&["10.0.0.1", "fd12::1"], true, 2),
        ] {
            assert_eq!(admitted("name", &found(numbers), is_inside).unwrap().len(), expect);
        }
        for (numbers, is_inside) in [
            (&["127.0.0.1", "::1"][..], false),
            (&["10.0.0.1"], false),
            (&["169.254.169.254"], true),
            (&["fe80::1", "ff02::1"], true),
            (&["::ffff:169.254.169.254"], true),
        ] {
            let refused = admitted("name", &found(numbers), is_inside).unwrap_err();
            assert!(refused.0.contains("`name` ("), "{}", refused.0);
        }
        assert!(admitted("name", &[], false).unwrap().is_empty());
    }

    #[test]
    fn hosts_of_ones_own_are_open_on_their_port() {
        let guard =
            guard(&["Intranet.Example.", "wiki.example:8443", "10.0.0.7", "[::1]:9000", "fd12::5"]);
        for (url, is_open) in [
            ("http://intranet.example/", true),
            ("https://INTRANET.example.:8443/a", true),
            ("https://wiki.example:8443/", true),
            ("http://10.0.0.7:81/", true),
            ("http://[::1]:9000/", true),
            ("http://[fd12::5]/", true),
            ("http://10.0.0.8/", false),
            ("http://[::1]/", false),
            ("http://[::ffff:10.0.0.7]/", false),
        ] {
            assert_eq!(guard.client_for(&Url::parse(url).unwrap()).is_ok(), is_open, "{url}");
        }
        let is_inside = |url: &str| {
            std::ptr::eq(
                guard.client_for(&Url::parse(url).unwrap()).unwrap(),
                &raw const guard.inside,
            )
        };
        assert!(is_inside("https://wiki.example:8443/") && !is_inside("https://wiki.example/"));
        assert!(!is_inside("http://x.intranet.example/"), "a host below is another host");
        for wrong in [
            "",
            "https://intranet.example",
            "a b",
            "host:99999",
            "*.example",
            "u@host",
            "host/path",
        ] {
            let error = Guard::new(&[wrong.to_owned()]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        }
    }
}
