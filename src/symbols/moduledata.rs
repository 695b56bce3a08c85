//! `runtime.firstmoduledata` as it is in the file: where text, data and types are.

use super::image::Image;
use super::pclntab::Pclntab;
use crate::base::FileAddr;
use std::ops::Range;

/// Fields that stand at the same place in every release since 1.20.
mod at {
    pub const PC_HEADER: u64 = 0;
    pub const FUNCNAMETAB: u64 = 8;
    pub const FTAB: u64 = 128;
    pub const FTAB_LEN: u64 = 136;
    pub const TEXT: u64 = 176;
    pub const NOPTRDATA: u64 = 192;
    pub const DATA: u64 = 208;
    pub const BSS: u64 = 224;
    pub const NOPTRBSS: u64 = 240;
    pub const TYPES: u64 = 296;
}
/// The two arrangements of what follows `types`: (etypes, gofunc). The longer one has the length of the type
/// descriptors between types and etypes, which is how they are told apart.
const TAILS: [(u64, u64); 2] = [(304, 320), (312, 344)];
/// Enough for every field used here.
const SPAN: u64 = 352;

/// Address ranges of the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleData {
    /// Its own address.
    pub addr: FileAddr,
    /// Go code.
    pub text: Range<u64>,
    /// Initialised data without pointers.
    pub noptrdata: Range<u64>,
    /// Initialised data with pointers.
    pub data: Range<u64>,
    /// Zeroed data with pointers.
    pub bss: Range<u64>,
    /// Zeroed data without pointers.
    pub noptrbss: Range<u64>,
    /// Type descriptors.
    pub types: Range<u64>,
    /// To what FUNCDATA offsets are relative.
    pub gofunc: FileAddr,
}

/// Offsets of the 8-aligned words of `part` that equal `want`.
fn memory_words(part: &[u8], want: u64) -> impl Iterator<Item = usize> + '_ {
    let needle = want.to_le_bytes();
    part.chunks_exact(8).enumerate().filter(move |(_, c)| **c == needle).map(|(i, _)| i * 8)
}

impl ModuleData {
    /// Finds the one that belongs to `pcln`.
    pub fn find(image: &Image, pcln: &Pclntab) -> Option<ModuleData> {
        if let Some(s) = image.section(".go.module")
            && let Some(m) = ModuleData::at(image, pcln, s.addr)
        {
            return Some(m);
        }
        let want = pcln.addr().0;
        if image.is_pie() {
            let found =
                image.relocations().filter(|r| r.1 == want).find_map(|(addr, _)| ModuleData::at(image, pcln, addr));
            if found.is_some() {
                return found;
            }
        }
        let data: &[u8] = image.bytes();
        // The section that has it first, then whatever can be written to.
        let likely = image.section(".noptrdata").map(|s| (s.file.start, s.file.end, s.addr));
        let rest = image.segments().iter().filter(|s| s.write);
        let rest = rest.map(|s| (s.offset as usize, (s.offset + s.file_size) as usize, s.addr));
        likely.into_iter().chain(rest).find_map(|(start, end, addr)| {
            let part = data.get(start..end)?;
            memory_words(part, want).find_map(|i| ModuleData::at(image, pcln, addr.add(i as u64)))
        })
    }

    fn at(image: &Image, pcln: &Pclntab, addr: FileAddr) -> Option<ModuleData> {
        let mut words: Vec<u64> =
            (0..SPAN).step_by(8).map(|o| image.u64_at(addr.add(o))).collect::<Option<Vec<u64>>>()?;
        if image.is_pie() {
            for (a, v) in image.relocations() {
                let off = a.since(addr);
                if off < SPAN && off.is_multiple_of(8) {
                    words[(off / 8) as usize] = v;
                }
            }
        }
        let w = |o: u64| words[(o / 8) as usize];
        let base = pcln.addr().0;
        let fits = w(at::PC_HEADER) == base
            && w(at::FUNCNAMETAB) == base + pcln.funcname_offset()
            && w(at::FTAB) == base + pcln.functab_offset()
            && w(at::FTAB_LEN) == pcln.len() as u64 + 1;
        if !fits {
            return None;
        }
        let range = |o: u64| w(o)..w(o + 8).max(w(o));
        let types = w(at::TYPES);
        let (etypes, gofunc) = TAILS.into_iter().find(|t| w(t.0) >= types)?;
        Some(ModuleData {
            addr,
            text: range(at::TEXT),
            noptrdata: range(at::NOPTRDATA),
            data: range(at::DATA),
            bss: range(at::BSS),
            noptrbss: range(at::NOPTRBSS),
            types: types..w(etypes),
            gofunc: FileAddr(w(gofunc)),
        })
    }

    /// Is this the address of a package variable?
    pub fn is_data(&self, a: FileAddr) -> bool {
        [&self.noptrdata, &self.data, &self.bss, &self.noptrbss].iter().any(|r| r.contains(&a.0))
    }
}
