//! The network poller: which descriptor, in which direction, and whose it is (connection's addresses, file's name), read from the
//! structures of `internal/poll`, `net` and `os`, so that it works on a core too.

use super::{Found, Parked, Primitive};
use crate::base::{LoadAddr, Memory};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// Offsets in `internal/poll.FD`, `net.netFD` and `os.file`, the same from 1.21 to 1.27.
mod at {
    pub const FD_RUNTIME_CTX: u64 = 32;
    pub const NETFD_NET: u64 = 80;
    pub const NETFD_LADDR: u64 = 96;
    pub const NETFD_RADDR: u64 = 112;
    pub const FILE_NAME: u64 = 56;
    /// `net.TCPAddr` and `net.UDPAddr`: IP, Port.
    pub const ADDR_PORT: u64 = 24;
    /// `abi.ITab`: the type.
    pub const ITAB_TYPE: u64 = 8;
}
/// Words of the waiting frames looked through for the descriptor's structure.
const MAX_WORDS: u64 = 96;
const MAX_TEXT: u64 = 256;

fn text(mem: &dyn Memory, at: LoadAddr) -> Option<String> {
    let (ptr, len) = (mem.read_ptr(at).ok()?, mem.read_u64(at.add(8)).ok()?);
    if len == 0 || len > MAX_TEXT {
        return None;
    }
    String::from_utf8(mem.read_vec(ptr, len as usize).ok()?).ok()
}

/// A `net.Addr`.
fn addr(p: &Parked<'_>, at: LoadAddr) -> Option<String> {
    let mem = p.mem();
    let (itab, data) = (mem.read_ptr(at).ok()?, mem.read_ptr(at.add(8)).ok()?);
    if itab.is_nil() || data.is_nil() {
        return None;
    }
    let t = p.rt().runtime_type(mem, mem.read_ptr(itab.add(at::ITAB_TYPE)).ok()?)?;
    match t.name.as_str() {
        "*net.TCPAddr" | "*net.UDPAddr" => {
            let (ip, len) = (mem.read_ptr(data).ok()?, mem.read_u64(data.add(8)).ok()?);
            let port = mem.read_u64(data.add(at::ADDR_PORT)).ok()?;
            let b = if matches!(len, 4 | 16) { mem.read_vec(ip, len as usize).ok()? } else { Vec::new() };
            Some(match *b.as_slice() {
                [a, b, c, d] | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => {
                    format!("{}:{port}", std::net::Ipv4Addr::new(a, b, c, d))
                }
                [] => format!(":{port}"),
                _ => {
                    let bytes: [u8; 16] = b.try_into().ok()?;
                    format!("[{}]:{port}", std::net::Ipv6Addr::from(bytes))
                }
            })
        }
        "*net.UnixAddr" => text(mem, data),
        _ => None,
    }
}

/// The `poll.FD` whose poll descriptor this is: among the words of the frames that wait.
fn descriptor(p: &Parked<'_>, pd: LoadAddr) -> Option<LoadAddr> {
    let inner = p.frame_of(|f| f == "internal/poll.runtime_pollWait")?.cfa;
    let outer = p.frames().iter().find(|f| {
        let user = |n: &str| n.starts_with("internal/poll.") || n.starts_with("net.") || n.starts_with("os.");
        f.cfa > inner && !f.info.frames.iter().any(|l| user(&l.at.function))
    });
    let end = outer.map_or(inner.add(MAX_WORDS * 8), |f| f.cfa);
    let words = (end.since(inner) / 8).min(MAX_WORDS);
    (0..words).find_map(|i| {
        let fd = p.mem().read_ptr(inner.add(i * 8)).ok().filter(|a| a.0 > 4096)?;
        (p.mem().read_ptr(fd.add(at::FD_RUNTIME_CTX)).ok()? == pd).then_some(fd)
    })
}

/// `IO wait`.
pub(super) const IO: Primitive = Primitive {
    name: "io",
    applies: |p| p.reason() == "IO wait",
    find: |p| {
        let mem = p.mem();
        let Some(f) = p.frame_of(|f| f == "internal/poll.runtime_pollWait") else { return Found::default() };
        let Ok(pd) = mem.read_ptr(f.cfa) else { return Found::default() };
        let op = match mem.read_u64(f.cfa.add(8)).map(|m| m as u8) {
            Ok(b'w') => WaitOp::Write,
            _ => WaitOp::Read,
        };
        let fd = p.rt().layout().poll.and_then(|l| mem.read_u64(pd.add(l.fd)).ok()).filter(|n| *n < 1 << 31);
        let mut words: Vec<String> = fd.map(|n| format!("fd {n}")).into_iter().collect();
        let owner = descriptor(p, pd);
        let mut type_name = None;
        if let Some(o) = owner {
            if p.frame_of(|f| f.starts_with("net.(*netFD)")).is_some() {
                type_name = Some("net.netFD".to_string());
                words.extend(text(mem, o.add(at::NETFD_NET)));
                words.extend(addr(p, o.add(at::NETFD_LADDR)));
                words.extend(addr(p, o.add(at::NETFD_RADDR)).map(|a| format!("<- {a}")));
            } else if p.frame_of(|f| f.starts_with("os.(*File)")).is_some() {
                type_name = Some("os.file".to_string());
                words.extend(text(mem, o.add(at::FILE_NAME)));
            }
        }
        Found::one(WaitOn {
            kind: WaitKind::Io,
            op,
            addr: owner.or(Some(pd)).filter(|a| !a.is_nil()),
            type_name,
            detail: (!words.is_empty()).then(|| words.join(" ")),
            ..WaitOn::default()
        })
    },
};
