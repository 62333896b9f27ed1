//! Where the server listens: the default ports, or what was asked for.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use crate::exit::Failure;
use crate::os;

/// How many ports are tried after a default one that is taken.
const NEXT_PORTS: u16 = 50;

/// An address flag, with the port that is meant if it is not given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) flag: &'static str,
    pub(crate) asked: Option<&'a str>,
    pub(crate) port_default: u16,
    pub(crate) insecure: bool,
}

/// Open listeners, all on one port.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) listeners: Vec<TcpListener>,
    /// The first of them.
    pub(crate) addr: SocketAddr,
    /// The default port was taken, and by whom.
    pub(crate) moved: Option<Moved>,
}

/// Why another port than the default one is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: u16,
    pub(crate) holder: Option<String>,
}

/// Opens the listeners.
///
/// # Errors
/// If what was asked for cannot be had, or nothing near the default can.
pub(crate) fn listen(wanted: Wanted<'_>) -> Result<Listening, Failure> {
    match wanted.asked {
        Some(asked) => listen_as_asked(wanted, asked),
        None => listen_near_default(wanted),
    }
}

fn listen_as_asked(wanted: Wanted<'_>, asked: &str) -> Result<Listening, Failure> {
    let flag = wanted.flag;
    let failed = |source| Failure::Address { flag, addr: asked.to_owned(), source };
    let addrs: Vec<SocketAddr> = asked.to_socket_addrs().map_err(failed)?.collect();
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut addr in addrs {
        if !wanted.insecure && !addr.ip().is_loopback() {
            return Err(Failure::Open { flag, addr });
        }
        // A name with several addresses: all on the port that the first one got.
        if let Some(first) = listeners.first()
            && addr.port() == 0
        {
            addr.set_port(first.local_addr().map_err(failed)?.port());
        }
        match TcpListener::bind(addr) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(Failure::AddressTaken { flag, addr, holder: os::port_holder(addr) });
            }
            Err(_) if !listeners.is_empty() => {} // `localhost` without IPv6
            Err(error) => return Err(failed(error)),
        }
    }
    opened(wanted, listeners, None)
}

fn listen_near_default(wanted: Wanted<'_>) -> Result<Listening, Failure> {
    let first = wanted.port_default;
    let mut moved = None;
    for port in first..first.saturating_add(NEXT_PORTS) {
        match bind_loopback(port) {
            Ok(listeners) => return opened(wanted, listeners, moved),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                moved.get_or_insert_with(|| Moved { from: first, holder: os::port_holder(addr) });
            }
            Err(source) => {
                let addr = format!("127.0.0.1:{port}");
                return Err(Failure::Address { flag: wanted.flag, addr, source });
            }
        }
    }
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, first));
    Err(Failure::AddressTaken { flag: wanted.flag, addr, holder: os::port_holder(addr) })
}

/// Both loopback addresses on one port; the first alone where there is no IPv6.
fn bind_loopback(port: u16) -> std::io::Result<Vec<TcpListener>> {
    let v4 = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), port))?;
    match TcpListener::bind((IpAddr::V6(Ipv6Addr::LOCALHOST), port)) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        Err(_) => Ok(vec![v4]),
    }
}

fn opened(wanted: Wanted<'_>, listeners: Vec<TcpListener>, moved: Option<Moved>) -> Result<Listening, Failure> {
    let failed = |source| Failure::Address { flag: wanted.flag, addr: "its address".into(), source };
    for listener in &listeners {
        listener.set_nonblocking(true).map_err(failed)?;
    }
    let first = listeners.first().ok_or_else(|| failed(ErrorKind::AddrNotAvailable.into()))?;
    let addr = first.local_addr().map_err(failed)?;
    Ok(Listening { listeners, addr, moved })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { flag: "--http-addr", asked: None, port_default: 0, insecure: false };

    #[test]
    fn an_address_that_was_asked_for_and_is_taken_is_refused_with_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = taken.local_addr().unwrap().to_string();
        let error = listen(Wanted { asked: Some(&asked), ..WANTED }).unwrap_err();
        assert!(matches!(&error, Failure::AddressTaken { .. }), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        }
    }

    #[test]
    fn a_default_port_that_is_taken_gives_way_to_the_next_free_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port_default = taken.local_addr().unwrap().port();
        let listening = listen(Wanted { port_default, ..WANTED }).unwrap();
        assert_ne!(listening.addr.port(), port_default);
        assert_eq!(listening.moved.unwrap().from, port_default);
    }

    #[test]
    fn an_address_that_others_can_reach_must_be_meant() {
        let error = listen(Wanted { asked: Some("0.0.0.0:0"), ..WANTED }).unwrap_err();
        assert!(matches!(error, Failure::Open { .. }), "{error}");
        assert!(listen(Wanted { asked: Some("0.0.0.0:0"), insecure: true, ..WANTED }).is_ok());
    }
}
