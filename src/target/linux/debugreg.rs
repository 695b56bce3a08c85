//! The processor's debug registers of one thread, by ptrace: DR0 to DR3 hold addresses, DR7 says what to do, DR6 what happened (Intel
//! SDM volume 3, 18.2). They belong to the thread: a new one begins without, an execve clears them, and nothing else does.

use super::sys;
use crate::base::{LoadAddr, Tid};
use std::io;

/// Addresses that the processor can watch at once.
pub const REGISTERS: usize = 4;

/// One watched piece of memory: 1, 2, 4 or 8 bytes at an address that is a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Where.
    pub addr: LoadAddr,
    /// Bytes.
    pub len: u8,
    /// Reads count too.
    pub reads: bool,
}

/// Cuts a range into pieces that a register can hold each.
pub fn pieces(addr: LoadAddr, len: u64, reads: bool) -> Vec<Watched> {
    let (mut at, end) = (addr.0, addr.0.saturating_add(len));
    let mut out = Vec::new();
    while at < end && out.len() <= REGISTERS {
        let size = [8u64, 4, 2, 1].into_iter().find(|s| at.is_multiple_of(*s) && at + s <= end).unwrap_or(1);
        out.push(Watched { addr: LoadAddr(at), len: size as u8, reads });
        at += size;
    }
    out
}

/// DR7 for these registers: local enable bits, then four bits each for access and length.
fn control(list: &[Option<Watched>; REGISTERS]) -> u64 {
    let mut dr7 = 0;
    for (i, w) in list.iter().enumerate() {
        let Some(w) = w else { continue };
        let access = if w.reads { 0b11 } else { 0b01 };
        let len = match w.len {
            1 => 0b00,
            2 => 0b01,
            8 => 0b10,
            _ => 0b11,
        };
        dr7 |= 1 << (2 * i) | (access | len << 2) << (16 + 4 * i);
    }
    dr7
}

/// Sets the registers of a standing thread. `ENOSPC` if another user of the kernel's breakpoints has them.
pub fn set(tid: Tid, list: &[Option<Watched>; REGISTERS]) -> io::Result<()> {
    sys::poke_debug(tid, 7, 0)?;
    for (i, w) in list.iter().enumerate() {
        if let Some(w) = w {
            sys::poke_debug(tid, i, w.addr.0)?;
        }
    }
    match control(list) {
        0 => Ok(()),
        dr7 => sys::poke_debug(tid, 7, dr7),
    }
}

/// Takes what happened since the last time: a bit each for the registers.
pub fn take_hits(tid: Tid) -> io::Result<u8> {
    let hit = sys::peek_debug(tid, 6)? as u8 & 0xf;
    if hit != 0 {
        sys::poke_debug(tid, 6, 0)?;
    }
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_alignment() {
        let cut = |a: u64, n: u64| pieces(LoadAddr(a), n, false).iter().map(|w| (w.addr.0, w.len)).collect::<Vec<_>>();
        assert_eq!(cut(0x1000, 16), [(0x1000, 8), (0x1008, 8)]);
        assert_eq!(cut(0x1006, 6), [(0x1006, 2), (0x1008, 4)]);
        assert_eq!(cut(0x1001, 1), [(0x1001, 1)]);
        assert!(cut(0x1000, 1 << 20).len() > REGISTERS);
    }

    #[test]
    fn control_word() {
        let w = |len, reads| Some(Watched { addr: LoadAddr(0x1000), len, reads });
        assert_eq!(control(&[w(8, false), None, None, None]), 0x9_0001);
        assert_eq!(control(&[None, w(4, true), None, None]), 0xf0_0004);
        assert_eq!(control(&[None; 4]), 0);
    }
}
