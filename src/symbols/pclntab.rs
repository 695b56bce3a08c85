//! Go's function table: functions, their names, files, lines, frame sizes. It is in every Go executable, stripped or not.
//!
//! Formats of Go 1.20 to 1.27 (one magic); everything is read in place, nothing is copied.

use super::image::Image;
use crate::base::{FileAddr, mmap::FileBytes};

/// Magic of Go 1.20 and newer.
const MAGIC: [u8; 6] = [0xf1, 0xff, 0xff, 0xff, 0, 0];
/// Size of `runtime._func` before its variable part.
const FUNC_SIZE: usize = 44;

/// Flag bits of `runtime._func`.
pub mod func_flag {
    /// Outermost frame of a stack.
    pub const TOP_FRAME: u8 = 1;
    /// Writes SP: the caller cannot be found by frame size.
    pub const SP_WRITE: u8 = 2;
    /// Assembly.
    pub const ASM: u8 = 4;
}

/// Tables of PCDATA.
pub mod pcdata {
    /// Safe points; -1 safe.
    pub const UNSAFE_POINT: u32 = 0;
    /// Index into the pointer maps of frames.
    pub const STACK_MAP_INDEX: u32 = 1;
    /// Index into the inline tree.
    pub const INL_TREE_INDEX: u32 = 2;
    /// Index into what says which argument slots are live.
    pub const ARG_LIVE_INDEX: u32 = 3;
}

/// Slots of FUNCDATA.
pub mod funcdata {
    /// Pointer maps of arguments and results.
    pub const ARGS_POINTER_MAPS: u32 = 0;
    /// Pointer maps of locals.
    pub const LOCALS_POINTER_MAPS: u32 = 1;
    /// Variables that are reached through pointers.
    pub const STACK_OBJECTS: u32 = 2;
    /// Inline tree.
    pub const INL_TREE: u32 = 3;
    /// Open-coded defers.
    pub const OPEN_CODED_DEFER: u32 = 4;
    /// Words of the arguments.
    pub const ARG_INFO: u32 = 5;
    /// When the slots of arguments in registers hold them.
    pub const ARG_LIVE_INFO: u32 = 6;
}

/// A physical function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// First address.
    pub entry: FileAddr,
    /// Address behind the last byte (alignment bytes included).
    pub end: FileAddr,
    /// Position in address order.
    pub index: u32,
}

/// The fixed part of `runtime._func`.
#[derive(Clone, Copy, Debug)]
pub struct FuncRecord {
    at: usize,
    /// Offset of its name.
    pub name_off: u32,
    /// Offset from the entry of the call to deferreturn; 0 if none.
    pub deferreturn: u32,
    pcsp: u32,
    pcfile: u32,
    pcln: u32,
    npcdata: u32,
    cu_offset: u32,
    /// Line of the `func` keyword.
    pub start_line: i32,
    /// `abi.FuncID`, which differs between releases.
    pub func_id: u8,
    /// See [`func_flag`].
    pub flag: u8,
    nfuncdata: u8,
}

/// The table.
pub struct Pclntab {
    bytes: FileBytes,
    addr: FileAddr,
    base: usize,
    limit: usize,
    nfunc: usize,
    nfiles: usize,
    min_lc: u64,
    text: u64,
    funcname: usize,
    cutab: usize,
    filetab: usize,
    pctab: usize,
    pcln: usize,
}

impl Pclntab {
    /// Finds the table by section name or, failing that, by its magic.
    pub fn find(image: &Image) -> Option<Pclntab> {
        for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
            if let Some(s) = image.section(name)
                && let Some(t) = Pclntab::parse(image.bytes(), s.file.start, s.file.end, s.addr)
            {
                return Some(t);
            }
        }
        let data: &[u8] = image.bytes();
        image.segments().iter().find_map(|s| {
            let start = s.offset as usize;
            let end = start + s.file_size as usize;
            let seg = data.get(start..end)?;
            let skew = (s.addr.0 % 8) as usize;
            let first = (8 - skew) % 8;
            (first..seg.len())
                .step_by(8)
                .filter(|&i| seg[i..].starts_with(&MAGIC))
                .find_map(|i| Pclntab::parse(image.bytes(), start + i, end, s.addr.add(i as u64)))
        })
    }

    fn parse(bytes: &FileBytes, base: usize, limit: usize, addr: FileAddr) -> Option<Pclntab> {
        let head = bytes.get(base..limit)?.get(..72)?;
        if !head.starts_with(&MAGIC) || !matches!(head[6], 1 | 2 | 4) || head[7] != 8 {
            return None;
        }
        let word = |i: usize| head[i..i + 8].try_into().map(u64::from_le_bytes).unwrap_or(0);
        let len = limit - base;
        let off = |i: usize| usize::try_from(word(i)).ok().filter(|&o| o < len).map(|o| base + o);
        let nfunc = usize::try_from(word(8)).ok()?;
        let t = Pclntab {
            bytes: bytes.clone(),
            addr,
            base,
            limit,
            nfunc,
            nfiles: usize::try_from(word(16)).ok()?,
            min_lc: u64::from(head[6]),
            text: word(24),
            funcname: off(32)?,
            cutab: off(40)?,
            filetab: off(48)?,
            pctab: off(56)?,
            pcln: off(64)?,
        };
        let functab = nfunc.checked_mul(8)?.checked_add(4)?;
        (nfunc > 0 && t.pcln.checked_add(functab)? <= limit).then_some(t)
    }

    /// Address of the header.
    pub fn addr(&self) -> FileAddr {
        self.addr
    }
    /// Offset of the name table from the header, as moduledata repeats it.
    pub fn funcname_offset(&self) -> u64 {
        (self.funcname - self.base) as u64
    }
    /// Offset of the function table from the header.
    pub fn functab_offset(&self) -> u64 {
        (self.pcln - self.base) as u64
    }
    /// Number of functions.
    pub fn len(&self) -> usize {
        self.nfunc
    }
    /// Never true for a table that was found.
    pub fn is_empty(&self) -> bool {
        self.nfunc == 0
    }
    /// Start of text as the header says it; 0 in newer releases, which leave it to moduledata.
    pub fn header_text(&self) -> u64 {
        self.text
    }
    /// Sets the address to which entries are relative.
    pub fn set_text(&mut self, text: FileAddr) {
        self.text = text.0;
    }
    /// Address to which entries are relative.
    pub fn text(&self) -> FileAddr {
        FileAddr(self.text)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        if at + 4 > self.limit {
            return None;
        }
        self.bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn entry_off(&self, i: usize) -> Option<u32> {
        self.u32(self.pcln + i * 8)
    }

    /// The function that contains `pc`.
    pub fn function_at(&self, pc: FileAddr) -> Option<Function> {
        let off = u32::try_from(pc.0.checked_sub(self.text)?).ok()?;
        let (mut lo, mut hi) = (0usize, self.nfunc);
        if off < self.entry_off(0)? || off >= self.entry_off(self.nfunc)? {
            return None;
        }
        while hi - lo > 1 {
            let mid = (lo + hi) / 2;
            if self.entry_off(mid)? <= off { lo = mid } else { hi = mid }
        }
        self.function(lo)
    }

    /// The `i`-th function in address order.
    pub fn function(&self, i: usize) -> Option<Function> {
        if i >= self.nfunc {
            return None;
        }
        let entry = FileAddr(self.text + u64::from(self.entry_off(i)?));
        let end = FileAddr(self.text + u64::from(self.entry_off(i + 1)?));
        Some(Function { entry, end, index: i as u32 })
    }

    /// The record of a function.
    pub fn record(&self, f: Function) -> Option<FuncRecord> {
        let off = self.u32(self.pcln + f.index as usize * 8 + 4)? as usize;
        let at = self.pcln.checked_add(off)?;
        let b: &[u8; FUNC_SIZE] = self.bytes.get(at..at.checked_add(FUNC_SIZE)?)?.try_into().ok()?;
        let w = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        Some(FuncRecord {
            at,
            name_off: w(4),
            deferreturn: w(12),
            pcsp: w(16),
            pcfile: w(20),
            pcln: w(24),
            npcdata: w(28),
            cu_offset: w(32),
            start_line: w(36) as i32,
            func_id: b[40],
            flag: b[41],
            nfuncdata: b[43],
        })
    }

    fn cstr(&self, at: usize) -> Option<&str> {
        let rest = self.bytes.get(at..self.limit)?;
        let n = rest.iter().take(1 << 16).position(|&b| b == 0)?;
        std::str::from_utf8(&rest[..n]).ok()
    }

    /// A name by its offset.
    pub fn name(&self, off: u32) -> Option<&str> {
        self.cstr(self.funcname.checked_add(off as usize)?)
    }

    /// Value of a pc-value table at `pc`; -1 when there is none.
    fn pc_value(&self, table: u32, entry: FileAddr, pc: FileAddr) -> i32 {
        let mut found = -1;
        self.walk_pc_values(table, entry, |_, end, value| {
            found = value;
            if pc < end {
                return false;
            }
            found = -1;
            true
        });
        found
    }

    /// Calls `f(start, end, value)` for each range of a pc-value table until it says false.
    fn walk_pc_values(&self, table: u32, entry: FileAddr, mut f: impl FnMut(FileAddr, FileAddr, i32) -> bool) {
        if table == 0 {
            return;
        }
        let Some(data) = self.bytes.get(self.pctab + table as usize..self.limit) else { return };
        let mut pos = 0;
        let mut varint = || -> Option<u32> {
            let (mut v, mut shift) = (0u32, 0);
            loop {
                let b = *data.get(pos)?;
                pos += 1;
                v |= u32::from(b & 0x7f).checked_shl(shift).unwrap_or(0);
                if b & 0x80 == 0 {
                    return Some(v);
                }
                shift += 7;
            }
        };
        let mut value = -1i32;
        let mut pc = entry;
        let mut first = true;
        while let Some(u) = varint() {
            if u == 0 && !first {
                return;
            }
            first = false;
            value = value.wrapping_add((u >> 1) as i32 ^ -((u & 1) as i32));
            let Some(d) = varint() else { return };
            let end = pc.add(u64::from(d) * self.min_lc);
            if !f(pc, end, value) {
                return;
            }
            pc = end;
        }
    }

    /// Bytes between SP and the return address at `pc`; none where there is no table (foreign code).
    pub fn sp_delta(&self, f: Function, pc: FileAddr) -> Option<i32> {
        let r = self.record(f)?;
        if r.pcsp == 0 {
            return None;
        }
        let d = self.pc_value(r.pcsp, f.entry, pc);
        (d >= 0).then_some(d)
    }

    /// PCDATA `table` at `pc`; -1 when there is none.
    pub fn pcdata(&self, f: Function, table: u32, pc: FileAddr) -> i32 {
        let off =
            self.record(f).filter(|r| table < r.npcdata).and_then(|r| self.u32(r.at + FUNC_SIZE + table as usize * 4));
        off.map_or(-1, |off| self.pc_value(off, f.entry, pc))
    }

    /// Calls `g(start, end, value)` for each range of PCDATA `table`.
    pub fn walk_pcdata(&self, f: Function, table: u32, mut g: impl FnMut(FileAddr, FileAddr, i32)) {
        let off =
            self.record(f).filter(|r| table < r.npcdata).and_then(|r| self.u32(r.at + FUNC_SIZE + table as usize * 4));
        if let Some(off) = off {
            self.walk_pc_values(off, f.entry, |s, e, v| {
                g(s, e, v);
                e < f.end
            });
        }
    }

    /// Offset of FUNCDATA `i` from moduledata.gofunc.
    pub fn funcdata_offset(&self, f: Function, i: u32) -> Option<u32> {
        let r = self.record(f).filter(|r| i < u32::from(r.nfuncdata))?;
        let off = self.u32(r.at + FUNC_SIZE + (r.npcdata as usize).checked_mul(4)? + i as usize * 4)?;
        (off != u32::MAX).then_some(off)
    }

    fn file_name(&self, cu_offset: u32, ix: i32) -> Option<&str> {
        let ix = u32::try_from(ix).ok()?;
        let off = self.u32(self.cutab + (cu_offset as usize + ix as usize).checked_mul(4)?)?;
        if off == u32::MAX {
            return None;
        }
        self.cstr(self.filetab + off as usize)
    }

    /// File and line at `pc`, the innermost inlined call's.
    pub fn file_line(&self, f: Function, pc: FileAddr) -> (&str, u32) {
        let Some(r) = self.record(f) else { return ("", 0) };
        let file = self.file_name(r.cu_offset, self.pc_value(r.pcfile, f.entry, pc)).unwrap_or("");
        let line = self.pc_value(r.pcln, f.entry, pc);
        (file, u32::try_from(line).unwrap_or(0))
    }

    /// File of the entry.
    pub fn entry_file(&self, f: Function) -> &str {
        self.record(f)
            .and_then(|r| self.file_name(r.cu_offset, self.pc_value(r.pcfile, f.entry, f.entry)))
            .unwrap_or("")
    }

    /// All ranges of equal file and line of a function: `g(start, file, line)`, by ascending address.
    pub fn walk_lines<'a>(&'a self, f: Function, mut g: impl FnMut(FileAddr, &'a str, u32)) {
        let Some(r) = self.record(f) else { return };
        let mut files: Vec<(FileAddr, FileAddr, i32)> = Vec::new();
        self.walk_pc_values(r.pcfile, f.entry, |s, e, v| {
            files.push((s, e, v));
            e < f.end
        });
        let mut at = 0;
        self.walk_pc_values(r.pcln, f.entry, |s, e, line| {
            let mut pc = s;
            while let Some(&(_, fe, fv)) = files.get(at) {
                if pc < fe {
                    g(pc, self.file_name(r.cu_offset, fv).unwrap_or(""), u32::try_from(line).unwrap_or(0));
                    if e <= fe {
                        break;
                    }
                    pc = fe;
                }
                at += 1;
            }
            e < f.end
        });
    }

    /// Every source path of the table.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let mut at = self.filetab;
        (0..self.nfiles.min(1 << 24)).map_while(move |_| {
            let s = self.cstr(at)?;
            at += s.len() + 1;
            (!s.is_empty()).then_some(s)
        })
    }

    /// Does the text of this function mention `file` at all? (a quick check before its lines are decoded)
    pub fn function_files<'a>(&'a self, f: Function, mut g: impl FnMut(&'a str) -> bool) {
        let Some(r) = self.record(f) else { return };
        self.walk_pc_values(r.pcfile, f.entry, |_, e, v| {
            let go_on = g(self.file_name(r.cu_offset, v).unwrap_or(""));
            go_on && e < f.end
        });
    }
}
