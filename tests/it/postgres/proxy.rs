//! A way to the server that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What happens to what goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    /// It goes through.
    Pass,
    /// The next write does not reach the server, and the connection is cut; then it goes through again.
    CutBeforeAWrite,
    /// The next write reaches the server, and the connection is cut when it has answered after its commit.
    CutAfterAWrite,
    /// Nothing comes back, and nobody hears why.
    Silent,
    /// Nobody gets in, and who is in is thrown out.
    Down,
}

/// What a call of the function that writes looks like on the wire.
const WRITE: &[u8] = b"apply_set(";
/// What the server says when the transaction is over.
const READY: &[u8] = b"Z\0\0\0\x05I";

pub(super) struct Proxy {
    pub(super) url: String,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub(super) fn before(url: &str) -> Self {
        let behind: tokio_postgres::Config = url.parse().unwrap();
        let server = ("127.0.0.1", behind.get_ports()[0]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(Mode::Pass as u8));
        let theirs = Arc::clone(&mode);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is(&theirs, Mode::Down) {
                    continue;
                }
                let server = TcpStream::connect(server).unwrap();
                let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (one, other) = (Arc::clone(&theirs), Arc::clone(&theirs));
                std::thread::spawn(move || to_server(client, server, &one));
                std::thread::spawn(move || to_client(server_too, client_too, &other));
            }
        });
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), mode }
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}

fn is(mode: &AtomicU8, wanted: Mode) -> bool {
    mode.load(Ordering::SeqCst) == wanted as u8
}

fn to_server(mut client: TcpStream, mut server: TcpStream, mode: &AtomicU8) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let write = bytes[..count].windows(WRITE.len()).any(|part| part == WRITE);
        if is(mode, Mode::Down) || (write && is(mode, Mode::CutBeforeAWrite)) {
            if write {
                mode.store(Mode::Pass as u8, Ordering::SeqCst);
            }
            break;
        }
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    cut(&client, &server);
}

fn to_client(mut server: TcpStream, mut client: TcpStream, mode: &AtomicU8) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = server.read(&mut bytes) {
        if is(mode, Mode::Silent) {
            continue;
        }
        if is(mode, Mode::CutAfterAWrite) {
            if bytes[..count].ends_with(READY) {
                mode.store(Mode::Pass as u8, Ordering::SeqCst);
                break;
            }
            continue;
        }
        if is(mode, Mode::Down) || client.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    cut(&client, &server);
}

fn cut(one: &TcpStream, other: &TcpStream) {
    drop(one.shutdown(Shutdown::Both));
    drop(other.shutdown(Shutdown::Both));
}
