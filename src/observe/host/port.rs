//! Whether somebody listens.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

use crate::base::time::{Clock, System};
use crate::decide::gate::Reading;

/// So many names may be looked up at once, however long the resolver takes.
const LOOKUPS_MAX: usize = 8;

/// Names whose lookup has not come back. The system's resolver has no time-out of ours, so it runs on a thread that is left alone when
/// it takes too long, and is not begun again while it runs.
#[derive(Default)]
pub(super) struct Ports {
    lookups: BTreeMap<String, Receiver<std::io::Result<Vec<SocketAddr>>>>,
}

impl Ports {
    pub(super) fn answers(&mut self, address: &str, limit: Duration, left: Duration) -> Reading {
        if left.is_zero() {
            return Reading::missing("the ports before it took all the time of the sample");
        }
        let limit = limit.min(left);
        let found = match address.parse() {
            Ok(found) => Ok(vec![found]),
            Err(_) => self.lookup(address, limit),
        };
        match found {
            Ok(found) => Reading::Is(connects(&found, limit.min(left))),
            Err(why) => Reading::missing(why),
        }
    }

    fn lookup(&mut self, address: &str, limit: Duration) -> Result<Vec<SocketAddr>, String> {
        // Those that came back after all make room.
        self.lookups.retain(|name, coming| {
            name == address || !matches!(coming.try_recv(), Ok(_) | Err(TryRecvError::Disconnected))
        });
        let coming = match self.lookups.remove(address) {
            Some(coming) => coming,
            None if self.lookups.len() >= LOOKUPS_MAX => {
                return Err(format!("{LOOKUPS_MAX} other names are still being looked up"));
            }
            None => begin(address).map_err(|error| format!("no thread for its lookup: {error}"))?,
        };
        match coming.recv_timeout(limit) {
            Ok(Ok(found)) if found.is_empty() => Err(String::from("its name has no address")),
            Ok(found) => found.map_err(|error| format!("its name is not found: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                self.lookups.insert(address.to_owned(), coming);
                Err(format!("its name was not found within {limit:?}"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(String::from("the lookup of its name ended without an answer"))
            }
        }
    }
}

fn begin(address: &str) -> std::io::Result<Receiver<std::io::Result<Vec<SocketAddr>>>> {
    let (send, coming) = sync_channel(1);
    let address = address.to_owned();
    std::thread::Builder::new().name(String::from("unattended-lookup")).spawn(move || {
        // Nobody may be there to hear it any more.
        drop(send.try_send(address.to_socket_addrs().map(Iterator::collect)));
    })?;
    Ok(coming)
}

/// One of the addresses accepts a connection, all of them tried within the limit.
fn connects(addresses: &[SocketAddr], limit: Duration) -> bool {
    let begun = System.moment();
    addresses.iter().any(|address| {
        let left = limit.saturating_sub(System.moment().since(begun));
        !left.is_zero() && TcpStream::connect_timeout(address, left).is_ok()
    })
}
