//! Messages on a stream: header lines with `Content-Length`, an empty line, so many bytes of JSON.

use std::io::{self, BufRead, Read, Write};

/// Longest message taken in, bytes. Editors send kilobytes.
pub(super) const MAX_MESSAGE: usize = 16 << 20;
/// Longest header line, bytes.
const MAX_HEADER: u64 = 4 << 10;
/// Most header lines.
const MAX_HEADERS: usize = 32;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// It ended in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    Cut,
    /// This is no header of the protocol.
    #[error("not a message of the debug adapter protocol: {0}")]
    Header(String),
}

/// Reads one message's body; `None` at a clean end. After an error the place of the next message is unknown.
pub(super) fn read(r: &mut impl BufRead) -> Result<Option<Vec<u8>>, WireError> {
    let mut length = None;
    for n in 0..=MAX_HEADERS {
        let mut line = Vec::new();
        let got = r.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line)?;
        if got == 0 {
            return if n == 0 { Ok(None) } else { Err(WireError::Cut) };
        }
        if line.last() != Some(&b'\n') {
            return Err(if got as u64 == MAX_HEADER {
                WireError::Header(format!("a header line of more than {MAX_HEADER} bytes"))
            } else {
                WireError::Cut
            });
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            let Some(length) = length else {
                return Err(WireError::Header("there is no Content-Length".into()));
            };
            let mut body = vec![0; length];
            return match r.read_exact(&mut body) {
                Ok(()) => Ok(Some(body)),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(WireError::Cut),
                Err(e) => Err(e.into()),
            };
        }
        let shown = crate::base::text::printable_str(text, 80);
        let Some((name, value)) = text.split_once(':') else {
            return Err(WireError::Header(format!("`{shown}` is no header")));
        };
        if name.trim().eq_ignore_ascii_case("content-length") {
            match value.trim().parse::<usize>() {
                Ok(n) if n <= MAX_MESSAGE => length = Some(n),
                Ok(n) => return Err(WireError::Header(format!("a message of {n} bytes; {MAX_MESSAGE} are taken in"))),
                Err(_) => return Err(WireError::Header(format!("`{shown}` has no number of bytes"))),
            }
        }
    }
    Err(WireError::Header(format!("more than {MAX_HEADERS} header lines")))
}

/// Writes one message.
pub(super) fn write(w: &mut impl Write, body: &[u8]) -> io::Result<()> {
    write!(w, "Content-Length: {}\r\n\r\n", body.len())?;
    w.write_all(body)?;
    w.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut bytes: &[u8]) -> Vec<Result<Option<Vec<u8>>, String>> {
        let mut out = Vec::new();
        loop {
            let one = read(&mut bytes).map_err(|e| e.to_string());
            let end = !matches!(one, Ok(Some(_)));
            out.push(one);
            if end {
                return out;
            }
        }
    }

    #[test]
    fn frames() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"{}").expect("written");
        bytes.extend(b"content-length : 3\r\nContent-Type: x\r\n\r\nabc");
        assert_eq!(all(&bytes), [Ok(Some(b"{}".to_vec())), Ok(Some(b"abc".to_vec())), Ok(None)]);
    }

    #[test]
    fn damage() {
        for (bytes, says) in [
            (&b"Content-Length: 5\r\n\r\nab"[..], "in the middle"),
            (b"Content-Length: 5\r\n", "in the middle"),
            (b"Content-Length: 99999999999999\r\n\r\n", "bytes;"),
            (b"Content-Length: -1\r\n\r\n", "no number"),
            (b"X: y\r\n\r\n{}", "no Content-Length"),
            (b"{\"seq\":1}\r\n\r\n", "no Content-Length"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "is no header"),
            (&[b'a'; 9000][..], "header line of more"),
            (&b"a: b\r\n".repeat(40)[..], "header lines"),
        ] {
            let got = all(bytes).pop().expect("something");
            assert!(got.as_ref().is_err_and(|e| e.contains(says)), "{got:?} should say {says}");
        }
    }
}
