//! Messages on a byte stream: a little-endian u32 length, then the message in MessagePack with field names, so that a
//! newer side may add fields. The length's top bit says that the message is deflated (zlib), as long ones are on a line that is not local.

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Longest message accepted, bytes. A longer one is a damaged stream.
pub const MAX_FRAME: usize = 64 << 20;

/// Of a length: the message is deflated.
const DEFLATED: u32 = 1 << 31;
/// Messages from this length on are worth deflating, bytes.
const LONG: usize = 512;

/// Writes one message, deflated if it is long.
pub fn write_deflated<T: Serialize>(w: &mut impl Write, message: &T) -> io::Result<()> {
    frame(w, message, LONG)
}

/// Writes one message.
pub fn write<T: Serialize>(w: &mut impl Write, message: &T) -> io::Result<()> {
    frame(w, message, usize::MAX)
}

/// Writes a message, deflated from this length on.
fn frame<T: Serialize>(w: &mut impl Write, message: &T, deflate_from: usize) -> io::Result<()> {
    let mut buf = vec![0; 4];
    rmp_serde::encode::write_named(&mut buf, message).map_err(io::Error::other)?;
    let len = buf.len() - 4;
    if len > MAX_FRAME {
        return Err(io::Error::other(format!("a message of {len} bytes is too long")));
    }
    let mut head = len as u32;
    if len >= deflate_from {
        let mut z = ZlibEncoder::new(vec![0; 4], Compression::new(6));
        z.write_all(&buf[4..])?;
        buf = z.finish()?;
        head = (buf.len() - 4) as u32 | DEFLATED;
    }
    buf[..4].copy_from_slice(&head.to_le_bytes());
    w.write_all(&buf)?;
    w.flush()
}

/// Reads one message; `None` at a clean end of the stream.
pub fn read<T: DeserializeOwned>(r: &mut impl Read) -> io::Result<Option<T>> {
    read_limited(r, MAX_FRAME)
}

/// As [`read`], of a sender who may not say more than `most` bytes at once, packed or not.
pub fn read_limited<T: DeserializeOwned>(r: &mut impl Read, most: usize) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    let mut got = 0;
    while got < 4 {
        match r.read(&mut head[got..]) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let head = u32::from_le_bytes(head);
    let len = (head & !DEFLATED) as usize;
    let most = most.min(MAX_FRAME);
    if len > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes: not our protocol")));
    }
    // What was promised is not believed: room is made as bytes come.
    let mut body = Vec::new();
    if r.take(len as u64).read_to_end(&mut body)? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if head & DEFLATED != 0 {
        // A small one must not become a large one.
        let mut plain = Vec::new();
        let n = ZlibDecoder::new(&body[..]).take(most as u64 + 1).read_to_end(&mut plain)?;
        if n > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long when inflated"));
        }
        body = plain;
    }
    rmp_serde::from_slice(&body).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::protocol::*;
    use crate::model::*;

    #[test]
    fn round_trip_and_damage() {
        let msg = FromHost::Reply {
            id: 7,
            result: Ok(Reply::Stack {
                epoch: Default::default(),
                stack: Stack { frames: vec![Frame { index: 1, ..Frame::default() }], ..Stack::default() },
            }),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &msg).expect("written");
        assert_eq!(read::<FromHost>(&mut &bytes[..]).expect("read"), Some(msg));
        assert_eq!(read::<FromHost>(&mut &b""[..]).expect("end"), None);
        assert!(read::<FromHost>(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(read::<FromHost>(&mut &[255u8; 40][..]).is_err());
        let long = FromHost::Notice(Notice::Output(vec![b'x'; 100_000]));
        let mut deflated = Vec::new();
        write_deflated(&mut deflated, &long).expect("written");
        assert!(deflated.len() < 1000);
        assert_eq!(read::<FromHost>(&mut &deflated[..]).expect("read"), Some(long));
        for i in 4..deflated.len() {
            let mut bad = deflated.clone();
            bad[i] ^= 0x5a;
            let _any_result_but_no_panic = read::<FromHost>(&mut &bad[..]);
        }
        // A bomb.
        let mut z = ZlibEncoder::new(vec![0; 4], Compression::best());
        let zeros = vec![0; 1 << 20];
        (0..MAX_FRAME / zeros.len() + 1).for_each(|_| z.write_all(&zeros).expect("written"));
        let mut bomb = z.finish().expect("finished");
        let head = (bomb.len() - 4) as u32 | DEFLATED;
        bomb[..4].copy_from_slice(&head.to_le_bytes());
        assert!(read::<FromHost>(&mut &bomb[..]).is_err_and(|e| e.to_string().contains("inflated")));
        let mut bad = bytes.clone();
        for i in 4..bad.len() {
            bad[i] ^= 0x5a;
            let _any_result_but_no_panic = read::<FromHost>(&mut &bad[..]);
        }
    }
}
