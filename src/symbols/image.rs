//! The ELF file: segments, sections (compressed ones too), entry, bytes by address. It knows nothing of Go.

use super::error::SymbolsError;
use crate::base::{FileAddr, mmap::FileBytes};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSection};
use std::ops::Range;

type Header = elf::FileHeader64<Endianness>;

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub addr: FileAddr,
    /// Bytes in memory.
    pub mem_size: u64,
    /// Where its bytes are in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Executable.
    pub exec: bool,
    /// Writable.
    pub write: bool,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `.text`.
    pub name: String,
    /// Address, 0 when it is not loaded.
    pub addr: FileAddr,
    /// Size in memory (uncompressed sections only).
    pub size: u64,
    /// Its bytes in the file; empty for `.bss`.
    pub file: Range<usize>,
}

/// An ELF executable or shared object.
pub struct Image {
    bytes: FileBytes,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    entry: FileAddr,
    pie: bool,
    dynamic_interp: bool,
}

fn damaged(e: impl std::fmt::Display) -> SymbolsError {
    SymbolsError::Damaged(e.to_string())
}

fn file_range(len: usize, offset: u64, size: u64, what: &str) -> Result<Range<usize>, SymbolsError> {
    let end = offset.checked_add(size).filter(|&e| e <= len as u64);
    let end = end.ok_or_else(|| damaged(format!("{what} reaches past the end of the file")))?;
    Ok(offset as usize..end as usize)
}

impl Image {
    /// Reads the headers; nothing else is touched.
    pub fn parse(bytes: FileBytes) -> Result<Image, SymbolsError> {
        if bytes.get(..4) != Some(&elf::ELFMAG[..]) {
            return Err(SymbolsError::NotElf);
        }
        let class = bytes.get(4).copied().unwrap_or(0);
        let machine = bytes.get(18..20).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        if class != 2 || bytes.get(5) != Some(&1) || machine != 62 {
            return Err(SymbolsError::WrongMachine { machine, bits: if class == 1 { 32 } else { 64 } });
        }
        let data: &[u8] = &bytes;
        let header = Header::parse(data).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        let mut segments = Vec::new();
        let mut dynamic_interp = false;
        for p in header.program_headers(endian, data).map_err(damaged)? {
            dynamic_interp |= p.p_type(endian) == elf::PT_INTERP;
            if p.p_type(endian) != elf::PT_LOAD {
                continue;
            }
            file_range(data.len(), p.p_offset(endian), p.p_filesz(endian), "a segment")?;
            let flags = p.p_flags(endian);
            segments.push(Segment {
                addr: FileAddr(p.p_vaddr(endian)),
                mem_size: p.p_memsz(endian),
                offset: p.p_offset(endian),
                file_size: p.p_filesz(endian),
                exec: flags.contains(elf::PF_X),
                write: flags.contains(elf::PF_W),
            });
        }
        let mut sections = Vec::new();
        let table = header.sections(endian, data).map_err(damaged)?;
        for s in table.iter() {
            let name = String::from_utf8_lossy(table.section_name(endian, s).unwrap_or_default()).into_owned();
            let file = match s.sh_type(endian) {
                elf::SHT_NOBITS | elf::SHT_NULL => 0..0,
                _ => file_range(data.len(), s.sh_offset(endian), s.sh_size(endian), &format!("section {name}"))?,
            };
            sections.push(Section { name, addr: FileAddr(s.sh_addr(endian)), size: s.sh_size(endian), file });
        }
        let pie = header.e_type(endian) == elf::ET_DYN;
        let entry = FileAddr(header.e_entry(endian));
        Ok(Image { bytes, segments, sections, entry, pie, dynamic_interp })
    }

    /// The whole file.
    pub fn bytes(&self) -> &FileBytes {
        &self.bytes
    }
    /// Loadable segments in file order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
    /// Sections in file order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }
    /// A section by name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
    /// Entry point.
    pub fn entry(&self) -> FileAddr {
        self.entry
    }
    /// Position independent: the kernel chooses a load bias.
    pub fn is_pie(&self) -> bool {
        self.pie
    }
    /// Uses a dynamic loader.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic_interp
    }
    /// Lowest loaded address, page aligned: what a mapping's start is compared with to get the load bias.
    pub fn lowest_addr(&self) -> FileAddr {
        FileAddr(self.segments.iter().map(|s| s.addr.0).min().unwrap_or(0) & !0xfff)
    }
    /// Offset in the file of an address that is backed by it, and how many bytes follow in the same segment.
    pub fn file_offset(&self, addr: FileAddr) -> Option<(usize, usize)> {
        let s = self.segments.iter().find(|s| addr >= s.addr && addr.since(s.addr) < s.file_size)?;
        let off = addr.since(s.addr);
        Some(((s.offset + off) as usize, (s.file_size - off) as usize))
    }
    /// Address of a byte of the file.
    pub fn addr_of_offset(&self, offset: usize) -> Option<FileAddr> {
        let o = offset as u64;
        let s = self.segments.iter().find(|s| o >= s.offset && o - s.offset < s.file_size)?;
        Some(s.addr.add(o - s.offset))
    }
    /// `len` bytes as they are in the file, clean of breakpoints.
    pub fn bytes_at(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        let (off, left) = self.file_offset(addr)?;
        if len > left {
            return None;
        }
        self.bytes.get(off..off + len)
    }
    /// A little-endian word of the file.
    pub fn u64_at(&self, addr: FileAddr) -> Option<u64> {
        let b = self.bytes_at(addr, 8)?;
        b.try_into().ok().map(u64::from_le_bytes)
    }

    /// The bytes of a section, decompressed if need be: `Ok(None)` when there is none of this name.
    pub fn section_data(&self, name: &str) -> Result<Option<SectionData>, SymbolsError> {
        let file = object::read::elf::ElfFile64::<Endianness>::parse(&*self.bytes).map_err(damaged)?;
        let zname = name.strip_prefix(".debug_").map(|n| format!(".zdebug_{n}"));
        let found =
            file.sections().find(|s| s.name().is_ok_and(|n| n == name || zname.as_deref().is_some_and(|z| z == n)));
        let Some(section) = found else { return Ok(None) };
        let data = section.compressed_data().map_err(damaged)?;
        if data.format == object::CompressionFormat::None {
            let start = data.data.as_ptr() as usize - self.bytes.as_ptr() as usize;
            return Ok(Some(SectionData::File { bytes: self.bytes.clone(), range: start..start + data.data.len() }));
        }
        Ok(Some(SectionData::Owned(data.decompress().map_err(damaged)?.into_owned())))
    }

    /// Addresses of ELF symbols by exact name, in one pass over the symbol table.
    pub fn symbols(&self, names: &[&str]) -> Vec<Option<FileAddr>> {
        let mut out = vec![None; names.len()];
        let mut pass = || -> Option<()> {
            let data: &[u8] = &self.bytes;
            let header = Header::parse(data).ok()?;
            let endian = header.endian().ok()?;
            let sections = header.sections(endian, data).ok()?;
            let table = sections.symbols(endian, data, elf::SHT_SYMTAB).ok()?;
            let strings = table.strings();
            let mut left = names.len();
            for s in table.iter() {
                use object::read::elf::Sym;
                let Ok(name) = s.name(endian, strings) else { continue };
                if let Some(i) = names.iter().position(|n| n.as_bytes() == name) {
                    if out[i].is_none() {
                        left -= 1;
                    }
                    out[i] = Some(FileAddr(s.st_value(endian)));
                    if left == 0 {
                        break;
                    }
                }
            }
            Some(())
        };
        let _ = pass();
        out
    }

    /// Words of a position-independent file that the loader fills in, as (address, file address of what they lead to), streamed:
    /// RELATIVE relocations, and those by symbols that the file itself defines (plugins).
    pub fn relocations(&self) -> impl Iterator<Item = (FileAddr, u64)> + '_ {
        const R_X86_64_64: u64 = 1;
        const R_X86_64_RELATIVE: u64 = 8;
        let dynsym = self.section(".dynsym").and_then(|s| self.bytes.get(s.file.clone())).unwrap_or_default();
        // Elf64_Sym: st_shndx at 6, st_value at 8.
        let symbol = move |n: u64| {
            let s = dynsym.get(usize::try_from(n).ok()?.checked_mul(24)?..)?.get(..24)?;
            (s[6..8] != [0, 0]).then(|| s[8..16].try_into().map_or(0, u64::from_le_bytes))
        };
        self.sections
            .iter()
            .filter(|s| s.name == ".rela.dyn" || s.name == ".rela")
            .filter_map(|s| self.bytes.get(s.file.clone()))
            .flat_map(|b| b.chunks_exact(24))
            .filter_map(move |c| {
                let w = |i: usize| c[i..i + 8].try_into().map(u64::from_le_bytes).unwrap_or(0);
                match w(8) & 0xffff_ffff {
                    R_X86_64_RELATIVE => Some((FileAddr(w(0)), w(16))),
                    R_X86_64_64 => Some((FileAddr(w(0)), symbol(w(8) >> 32)?.wrapping_add(w(16)))),
                    _ => None,
                }
            })
    }
}

impl Image {
    /// Where the dynamic loader writes the offset of the file's own thread-local storage from the thread pointer: in shared libraries the
    /// place of `runtime.g` is known only at run time.
    pub fn tls_offset_slot(&self) -> Option<FileAddr> {
        const R_X86_64_TPOFF64: u64 = 18;
        let tables = self.sections.iter().filter(|s| s.name == ".rela.dyn" || s.name == ".rela");
        let mut entries = tables.filter_map(|s| self.bytes.get(s.file.clone())).flat_map(|b| b.chunks_exact(24));
        entries.find_map(|c| {
            let w = |i: usize| c[i..i + 8].try_into().map(u64::from_le_bytes).unwrap_or(0);
            // Symbol 0: the file's own; others are of libraries.
            (w(8) == R_X86_64_TPOFF64).then(|| FileAddr(w(0)))
        })
    }
}

/// Bytes of a section: a part of the file, or what came out of the decompressor.
#[derive(Clone)]
pub enum SectionData {
    /// In the file.
    File {
        /// The file.
        bytes: FileBytes,
        /// Which part.
        range: Range<usize>,
    },
    /// Decompressed.
    Owned(Vec<u8>),
}

impl Default for SectionData {
    fn default() -> Self {
        SectionData::Owned(Vec::new())
    }
}

impl std::ops::Deref for SectionData {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            SectionData::File { bytes, range } => bytes.get(range.clone()).unwrap_or_default(),
            SectionData::Owned(v) => v,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn rubbish_is_named() {
        let err = |v: Vec<u8>| Image::parse(FileBytes::from_vec(v)).err();
        assert_eq!(err(b"#!/bin/sh\n".to_vec()), Some(SymbolsError::NotElf));
        assert_eq!(err(vec![]), Some(SymbolsError::NotElf));
        let mut half = b"\x7fELF\x02\x01\x01".to_vec();
        half.resize(18, 0);
        half.extend([62, 0]);
        assert!(matches!(err(half), Some(SymbolsError::Damaged(_))));
        let mut arm = b"\x7fELF\x02\x01\x01".to_vec();
        arm.resize(18, 0);
        arm.extend([183, 0]);
        assert_eq!(err(arm), Some(SymbolsError::WrongMachine { machine: 183, bits: 64 }));
    }
}
