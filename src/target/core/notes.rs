//! The notes of a Linux core on amd64: threads' registers, the process, its auxiliary vector and files; read and written.
//!
//! Layouts are the kernel's (`include/uapi/linux/elfcore.h`, `fs/binfmt_elf.c`); sizes in bytes.

use crate::arch::Registers;
use crate::base::{Cursor, Tid};

/// Note types.
pub mod kind {
    #![allow(missing_docs)]
    pub const PRSTATUS: u32 = 1;
    pub const FPREGSET: u32 = 2;
    pub const PRPSINFO: u32 = 3;
    pub const AUXV: u32 = 6;
    pub const FILE: u32 = 0x4649_4c45;
    /// XSAVE area; it begins with the FXSAVE area.
    pub const XSTATE: u32 = 0x202;
    /// Of owner `adit`: a [`super::super::Capture`] in JSON.
    pub const CAPTURE: u32 = 0x4144_4954;
}
/// Size of `struct elf_prstatus`.
const PRSTATUS_SIZE: usize = 336;
/// Where its registers are.
const PRSTATUS_REGS: usize = 112;
/// Size of `struct elf_prpsinfo`.
const PRPSINFO_SIZE: usize = 136;
/// Size of the FXSAVE area, and where XMM0 is in it.
const FXSAVE_SIZE: usize = 512;
const FXSAVE_XMM: usize = 160;
/// Place in `user_regs_struct` of each register in DWARF's order.
const USER_REGS: [usize; 17] = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16];
const EFLAGS: usize = 18;
const FS_BASE: usize = 21;
const WORDS: usize = 27;

/// A part of a file that was mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// First address.
    pub start: u64,
    /// End, exclusive.
    pub end: u64,
    /// Where in the file, bytes.
    pub offset: u64,
    /// Which file.
    pub path: String,
}

/// What the notes say.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Threads in the order of the notes; the kernel puts the one that died first.
    pub threads: Vec<(Tid, Registers)>,
    /// Process id, 0 when unknown.
    pub pid: i32,
    /// `comm`, at most 15 bytes.
    pub name: String,
    /// First 79 bytes of the command line.
    pub args: String,
    /// Signal that the first thread was to die of; 0 for none.
    pub signal: i32,
    /// Auxiliary vector as bytes.
    pub auxv: Vec<u8>,
    /// Mapped files.
    pub files: Vec<FileMapping>,
    /// Our own note.
    pub capture: Option<Vec<u8>>,
    /// A note was cut off.
    pub cut: bool,
}

impl Notes {
    /// Reads the notes of one PT_NOTE segment and adds them.
    pub fn read(&mut self, data: &[u8]) {
        let mut c = Cursor::new(data);
        while c.remaining() >= 12 {
            let mut note = || {
                let (name, desc, kind) = (c.u32().ok()?, c.u32().ok()?, c.u32().ok()?);
                let name = c.take((name as usize).checked_next_multiple_of(4)?).ok()?;
                let at = c.pos();
                let desc_bytes = c.take(desc as usize).ok()?;
                let pad = (4 - desc as usize % 4) % 4;
                let _last_may_lack_it = c.take(pad.min(data.len() - at - desc as usize));
                Some((name, kind, desc_bytes))
            };
            let Some((name, kind, desc)) = note() else {
                self.cut = true;
                return;
            };
            match (name.split(|b| *b == 0).next().unwrap_or_default(), kind) {
                // Delve leaves the owner out.
                (b"CORE" | b"", kind::PRSTATUS) => self.prstatus(desc),
                (b"CORE", kind::FPREGSET) | (b"LINUX" | b"", kind::XSTATE) => self.fpregset(desc),
                (b"CORE" | b"", kind::PRPSINFO) => self.prpsinfo(desc),
                (b"CORE" | b"", kind::AUXV) => self.auxv = desc.to_vec(),
                (b"CORE", kind::FILE) => self.files = files(desc).unwrap_or_default(),
                (b"adit", kind::CAPTURE) => self.capture = Some(desc.to_vec()),
                _ => {}
            }
        }
    }

    fn prstatus(&mut self, d: &[u8]) {
        let Some(regs) = d.get(PRSTATUS_REGS..PRSTATUS_REGS + WORDS * 8) else { return };
        let word = |i: usize| regs.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let mut r = Registers { flags: word(EFLAGS), fs_base: word(FS_BASE), ..Registers::default() };
        for (gp, at) in r.gp.iter_mut().zip(USER_REGS) {
            *gp = word(at);
        }
        let int = |at: usize| d.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes);
        if self.threads.is_empty() {
            self.signal = int(12) & 0xffff;
        }
        self.threads.push((Tid(int(32)), r));
    }

    /// Vector registers of the thread whose status came last.
    fn fpregset(&mut self, d: &[u8]) {
        let (Some((_, regs)), Some(area)) = (self.threads.last_mut(), d.get(FXSAVE_XMM..FXSAVE_XMM + 256)) else {
            return;
        };
        let mut xmm = [0u128; 16];
        for (x, b) in xmm.iter_mut().zip(area.chunks_exact(16)) {
            *x = b.try_into().map_or(0, u128::from_le_bytes);
        }
        regs.xmm = Some(xmm);
    }

    fn prpsinfo(&mut self, d: &[u8]) {
        let text = |from: usize, to: usize| {
            let b = d.get(from..to).unwrap_or_default();
            String::from_utf8_lossy(b.split(|c| *c == 0).next().unwrap_or_default()).trim().to_string()
        };
        self.pid = d.get(24..28).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes);
        self.name = text(40, 56);
        self.args = text(56, 136);
    }

    /// A value of the auxiliary vector.
    pub fn aux(&self, key: u64) -> Option<u64> {
        let word = |b: &[u8]| b.try_into().map_or(0, u64::from_le_bytes);
        self.auxv.chunks_exact(16).find(|p| word(&p[..8]) == key).map(|p| word(&p[8..]))
    }

    /// All notes as the contents of a PT_NOTE segment.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut note = |name: &str, kind: u32, desc: &[u8]| {
            out.extend((name.len() as u32 + 1).to_le_bytes());
            out.extend((desc.len() as u32).to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(name.as_bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend(desc);
            out.resize(out.len().next_multiple_of(4), 0);
        };
        // gdb takes the first thread for the current one, and the process's facts from behind its status.
        for (i, (tid, regs)) in self.threads.iter().enumerate() {
            note("CORE", kind::PRSTATUS, &self.prstatus_bytes(i, *tid, regs));
            if i == 0 {
                note("CORE", kind::PRPSINFO, &self.prpsinfo_bytes());
                note("CORE", kind::AUXV, &self.auxv);
                if !self.files.is_empty() {
                    note("CORE", kind::FILE, &files_bytes(&self.files));
                }
            }
            if let Some(xmm) = &regs.xmm {
                note("CORE", kind::FPREGSET, &fxsave(xmm));
            }
        }
        if self.threads.is_empty() {
            note("CORE", kind::PRPSINFO, &self.prpsinfo_bytes());
            note("CORE", kind::AUXV, &self.auxv);
            if !self.files.is_empty() {
                note("CORE", kind::FILE, &files_bytes(&self.files));
            }
        }
        if let Some(c) = &self.capture {
            note("adit", kind::CAPTURE, c);
        }
        out
    }

    fn prstatus_bytes(&self, i: usize, tid: Tid, r: &Registers) -> Vec<u8> {
        const ORIG_RAX: usize = 15;
        const CS: usize = 17;
        const SS: usize = 20;
        let mut d = vec![0; PRSTATUS_SIZE];
        let mut put = |at: usize, v: u64| d[at..at + 8].copy_from_slice(&v.to_le_bytes());
        let reg = |n: usize| PRSTATUS_REGS + n * 8;
        for (v, n) in r.gp.iter().zip(USER_REGS) {
            put(reg(n), *v);
        }
        put(reg(EFLAGS), r.flags);
        put(reg(FS_BASE), r.fs_base);
        put(reg(ORIG_RAX), u64::MAX);
        put(reg(CS), 0x33);
        put(reg(SS), 0x2b);
        let signal = if i == 0 { self.signal } else { 0 };
        for (at, v) in [(0, signal), (12, signal), (32, tid.0), (328, i32::from(r.xmm.is_some()))] {
            d[at..at + 4].copy_from_slice(&v.to_le_bytes());
        }
        d
    }

    fn prpsinfo_bytes(&self) -> Vec<u8> {
        let mut d = vec![0; PRPSINFO_SIZE];
        d[1] = b'R';
        for at in [24, 32, 36] {
            d[at..at + 4].copy_from_slice(&self.pid.to_le_bytes());
        }
        for (at, room, text) in [(40, 15, &self.name), (56, 79, &self.args)] {
            let n = text.len().min(room);
            d[at..at + n].copy_from_slice(&text.as_bytes()[..n]);
        }
        d
    }
}

/// `NT_FILE`: count, page size, (start, end, page offset) each, then the names.
fn files(d: &[u8]) -> Option<Vec<FileMapping>> {
    let mut c = Cursor::new(d);
    let (count, page) = (c.u64().ok()?, c.u64().ok()?);
    let mut out = Vec::new();
    for _ in 0..count {
        let (start, end, offset) = (c.u64().ok()?, c.u64().ok()?, c.u64().ok()?);
        out.push(FileMapping { start, end, offset: offset.checked_mul(page)?, path: String::new() });
    }
    let names = d.get(c.pos()..)?;
    for (f, name) in out.iter_mut().zip(names.split(|b| *b == 0)) {
        f.path = String::from_utf8_lossy(name).into_owned();
    }
    Some(out)
}

fn files_bytes(files: &[FileMapping]) -> Vec<u8> {
    const PAGE: u64 = 4096;
    let mut d = Vec::new();
    d.extend((files.len() as u64).to_le_bytes());
    d.extend(PAGE.to_le_bytes());
    for f in files {
        for v in [f.start, f.end, f.offset / PAGE] {
            d.extend(v.to_le_bytes());
        }
    }
    for f in files {
        d.extend(f.path.as_bytes());
        d.push(0);
    }
    d
}

fn fxsave(xmm: &[u128; 16]) -> Vec<u8> {
    let mut d = vec![0; FXSAVE_SIZE];
    d[0..2].copy_from_slice(&0x37fu16.to_le_bytes()); // control word and MXCSR as at start-up
    d[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
    for (i, x) in xmm.iter().enumerate() {
        let at = FXSAVE_XMM + i * 16;
        d[at..at + 16].copy_from_slice(&x.to_le_bytes());
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Notes {
        let mut gp = [0; 17];
        for (i, r) in gp.iter_mut().enumerate() {
            *r = 0x1000 + i as u64;
        }
        let xmm = std::array::from_fn(|i| u128::MAX - i as u128);
        let first = Registers { gp, flags: 0x246, fs_base: 0x7000, xmm: Some(xmm) };
        Notes {
            threads: vec![(Tid(7), first), (Tid(8), Registers { xmm: None, fs_base: 9, ..first })],
            pid: 7,
            name: "shop".into(),
            args: "/srv/shop -v".into(),
            signal: 6,
            auxv: [9u64, 0x45_0000, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect(),
            files: vec![FileMapping { start: 0x40_0000, end: 0x40_1000, offset: 0x2000, path: "/srv/shop".into() }],
            capture: Some(b"{}".to_vec()),
            cut: false,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let want = example();
        let bytes = want.write();
        let mut got = Notes::default();
        got.read(&bytes);
        assert_eq!(format!("{got:?}"), format!("{want:?}"));
        assert_eq!((got.aux(9), got.aux(3)), (Some(0x45_0000), None));
    }

    #[test]
    fn cut_and_damaged_notes_do_no_harm() {
        let bytes = example().write();
        for n in 0..bytes.len() {
            let mut got = Notes::default();
            got.read(&bytes[..n]);
            assert!(got.threads.len() <= 2);
            let mut bad = bytes.clone();
            bad[n] ^= 0xff;
            Notes::default().read(&bad);
        }
        let mut half = Notes::default();
        half.read(&bytes[..bytes.len() / 2]);
        assert!(half.cut && half.threads.len() == 1);
    }
}
