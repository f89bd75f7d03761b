//! HTTP/1.1 as far as the server needs it: one request a connection, whose last byte is left unread.
//!
//! A connection that is closed while something in it is unread is reset (RFC 2525, 2.17; RFC 1122, 4.2.2.13), which is how
//! a reset is made here without an option of the socket. It is so on Linux and Windows; where a system closes in order
//! instead, a reset looks like a torn answer.

use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::Request;
use super::reply::{End, Reply};

/// How long a request may be silent before it is given up, and how long a client may refuse to read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client is given to read the first half before the reset, which may throw away what is on its way.
const READING: Duration = Duration::from_millis(20);

const HEAD_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 128;
/// A longer request is given up.
const BODY_MAX: u64 = 64 * 1024 * 1024;
/// How much of a body is kept.
const BODY_KEPT_MAX: usize = 64 * 1024;

/// The request on this connection, but for its last byte; `None` when none came, or none that can be read.
pub(super) fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(head) = read_head(stream)? else { return Ok(None) };
    let Some(mut request) = parse(&head) else { return Ok(None) };
    let length = match request.header("content-length") {
        None if request.header("transfer-encoding").is_some() => return Ok(None),
        None => 0,
        Some(length) => match length.parse::<u64>() {
            Ok(length) if length <= BODY_MAX => length,
            _ => return Ok(None),
        },
    };
    if let Some(but_one) = length.checked_sub(1) {
        rest(stream)?;
        let mut body = Read::take(stream, but_one);
        let kept = Read::take(&mut body, BODY_KEPT_MAX as u64).read_to_end(&mut request.body)?;
        let over = io::copy(&mut body, &mut io::sink())?;
        if kept as u64 + over < but_one {
            return Ok(None);
        }
        // The byte that stays unread belongs to the body all the same.
        let mut last = [0];
        if stream.peek(&mut last)? == 1 && request.body.len() < BODY_KEPT_MAX {
            request.body.push(last[0]);
        }
    }
    Ok(Some(request))
}

/// Does what the reply says, until `pause` says that the server stops.
pub(super) fn answer(
    mut stream: &TcpStream,
    request: &Request,
    reply: &Reply,
    pause: impl Fn(Duration) -> bool,
) -> io::Result<()> {
    if pause(reply.before) {
        return Ok(());
    }
    let body: &[u8] = if request.method == "HEAD" { &[] } else { &reply.body };
    let half = &body[..body.len() / 2];
    match reply.end {
        End::Silent => rest(stream)?,
        // The last byte may be still on its way; once it is here, dropping the stream is the reset.
        End::Reset => {
            stream.peek(&mut [0])?;
            return Ok(());
        }
        End::ResetMidBody => {
            stream.peek(&mut [0])?;
            stream.write_all(reply.head().as_bytes())?;
            stream.write_all(half)?;
            pause(READING);
            return Ok(());
        }
        End::Torn => {
            rest(stream)?;
            stream.write_all(reply.head().as_bytes())?;
            stream.write_all(half)?;
        }
        End::Bare => {
            rest(stream)?;
            stream.write_all(body)?;
        }
        End::Whole => {
            rest(stream)?;
            stream.write_all(reply.head().as_bytes())?;
            stream.write_all(body)?;
        }
        End::Drip(gap) => {
            rest(stream)?;
            stream.write_all(reply.head().as_bytes())?;
            for byte in body {
                stream.write_all(&[*byte])?;
                if pause(gap) {
                    break;
                }
            }
        }
    }
    stream.shutdown(Shutdown::Write)
}

/// The byte that was left.
fn rest(mut stream: &TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])
}

/// The head but for its last byte.
fn read_head(mut stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    let mut seen = [0; 4096];
    while head.len() < HEAD_MAX {
        // Looked at before it is read, so that no more is read than what belongs to the head.
        let more = stream.peek(&mut seen)?;
        if more == 0 {
            return Ok(None);
        }
        let before = head.len();
        head.extend_from_slice(&seen[..more]);
        let from = before.saturating_sub(END.len());
        let end = head[from..].windows(END.len()).position(|four| four == END);
        let length = end.map_or(head.len(), |at| from + at + END.len() - 1);
        head.truncate(length);
        stream.read_exact(&mut seen[..length - before])?;
        if end.is_some() {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn parse(head: &[u8]) -> Option<Request> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.take(HEADERS_MAX).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    let headers = headers.collect();
    Some(Request {
        number: 0,
        method,
        path,
        headers,
        body: Vec::new(),
        authorized: true,
        applied: false,
        status: None,
    })
}
