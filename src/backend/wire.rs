//! Messages on a byte stream: a little-endian u32 length, then the message in MessagePack with field names, so that a
//! newer side may add fields.

use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Longest message accepted, bytes. A longer one is a damaged stream.
pub const MAX_FRAME: usize = 64 << 20;

/// Writes one message.
pub fn write<T: Serialize>(w: &mut impl Write, message: &T) -> io::Result<()> {
    let mut buf = vec![0; 4];
    rmp_serde::encode::write_named(&mut buf, message).map_err(io::Error::other)?;
    let len = buf.len() - 4;
    if len > MAX_FRAME {
        return Err(io::Error::other(format!("a message of {len} bytes is too long")));
    }
    buf[..4].copy_from_slice(&(len as u32).to_le_bytes());
    w.write_all(&buf)?;
    w.flush()
}

/// Reads one message; `None` at a clean end of the stream.
pub fn read<T: DeserializeOwned>(r: &mut impl Read) -> io::Result<Option<T>> {
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
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes: not our protocol")));
    }
    let mut body = vec![0; len];
    r.read_exact(&mut body)?;
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
        let mut bad = bytes.clone();
        for i in 4..bad.len() {
            bad[i] ^= 0x5a;
            let _any_result_but_no_panic = read::<FromHost>(&mut &bad[..]);
        }
    }
}
