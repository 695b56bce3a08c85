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
const MAX_WORDS: u64 = 512;
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

/// The poll descriptor and what is waited for: `pollDesc.rg` or `wg` is the goroutine itself. It is the first argument of
/// `runtime_pollWait`, in its spill slot or somewhere in the frames around.
fn poll_descriptor(p: &Parked<'_>) -> Option<(LoadAddr, WaitOp)> {
    let l = p.rt().layout().poll?;
    let waits = |pd: LoadAddr| {
        let is = |o: u64| p.mem().read_ptr(pd.add(o)) == Ok(p.g.addr);
        match pd.0 > 4096 {
            true if is(l.rg) => Some((pd, WaitOp::Read)),
            true if is(l.wg) => Some((pd, WaitOp::Write)),
            _ => None,
        }
    };
    let f = p.frame_of(|f| f == "internal/poll.runtime_pollWait")?;
    let word = |at: LoadAddr| p.mem().read_ptr(at).ok();
    word(f.cfa).and_then(waits).or_else(|| (0..MAX_WORDS).find_map(|i| waits(word(f.sp.add(i * 8))?)))
}

/// The `poll.FD` whose poll descriptor this is: among the words of the frames that wait.
fn descriptor(p: &Parked<'_>, pd: LoadAddr) -> Option<LoadAddr> {
    let inner = p.frame_of(|f| f == "internal/poll.runtime_pollWait")?.cfa;
    let outer = p.frames().iter().find(|f| {
        let user = |n: &str| n.starts_with("internal/poll.") || n.starts_with("net.") || n.starts_with("os.");
        f.cfa > inner && !f.info.frames.iter().any(|l| user(&l.at.function))
    });
    let end = outer.map_or(inner.add(MAX_WORDS * 8), |f| f.cfa);
    let leads = |fd: LoadAddr| fd.0 > 4096 && p.mem().read_ptr(fd.add(at::FD_RUNTIME_CTX)) == Ok(pd);
    // Where the methods of FD keep their receiver, if they kept it; else anywhere in these frames.
    let methods =
        p.frames().iter().filter(|f| f.info.frames.iter().any(|l| l.at.function.starts_with("internal/poll.(*FD).")));
    let kept = methods.filter_map(|f| p.mem().read_ptr(f.cfa).ok()).find(|fd| leads(*fd));
    kept.or_else(|| {
        let words = (end.since(inner) / 8).min(MAX_WORDS);
        (0..words).filter_map(|i| p.mem().read_ptr(inner.add(i * 8)).ok()).find(|fd| leads(*fd))
    })
}

/// `IO wait`.
pub(super) const IO: Primitive = Primitive {
    name: "io",
    applies: |p| p.reason() == "IO wait",
    find: |p| {
        let mem = p.mem();
        let Some((pd, op)) = poll_descriptor(p) else { return Found::default() };
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
