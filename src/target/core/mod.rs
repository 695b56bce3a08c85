//! ELF cores: the kernel's, gdb's, Delve's and our own snapshots, which are cores with a note and their executable inside.
//!
//! A core that was cut off is opened as far as it goes; [`CoreFile::missing`] says what is not there.

pub mod notes;
pub mod write;

use super::pieces::{Builder, PieceMemory};
use crate::base::mmap::FileBytes;
use crate::base::{LoadAddr, LoadBias, Memory};
use crate::symbols::Image;
use notes::Notes;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Keys of the auxiliary vector.
const AT_PHDR: u64 = 3;
const AT_ENTRY: u64 = 9;
const AT_EXECFN: u64 = 31;
/// Longest path taken from the program's memory, bytes.
const MAX_PATH: usize = 4096;

/// Why a file cannot be opened as a core.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// It is something else.
    #[error("not an ELF core")]
    NotCore,
    /// Of another machine.
    #[error("a core of another machine (ELF machine {0}): only amd64 cores can be read")]
    WrongMachine(u16),
    /// It ends before its table of contents does.
    #[error("the core is cut off inside its headers: nothing in it can be found")]
    NoHeaders,
    /// The executable inside a snapshot is damaged.
    #[error("the executable inside the snapshot cannot be unpacked: {0}")]
    Embedded(String),
}

/// What our own note says: how the copy was made. In JSON, so that newer versions may add to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capture {
    /// Version of adit that wrote it.
    pub adit: String,
    /// Wall clock, seconds since 1970.
    pub taken_at: u64,
    /// How long the process stood for it, microseconds; 0 for a core packed anew.
    pub pause_us: u64,
    /// CLOCK_MONOTONIC of the moment, nanoseconds: what goroutines' waiting times are measured against. 0: unknown.
    pub clock_ns: u64,
    /// Path of the executable.
    pub exe: String,
    /// Its build id.
    pub build_id: String,
    /// `process` or `core`.
    pub source: String,
    /// What is worth telling of where it came from.
    pub notes: Vec<String>,
    /// The executable's bytes, LZ4 frame: offset in this file, bytes there, bytes unpacked. 0 bytes: not inside.
    pub exe_offset: u64,
    /// Packed.
    pub exe_packed: u64,
    /// Unpacked.
    pub exe_size: u64,
}

/// A loadable segment of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// First address.
    pub addr: u64,
    /// Bytes in the program's memory.
    pub size: u64,
    /// Where its bytes are.
    pub offset: u64,
    /// Bytes that the core was to have.
    pub filed: u64,
    /// Writable.
    pub write: bool,
}

/// What a cut-off core lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Bytes.
    pub bytes: u64,
    /// Bytes that it was to have.
    pub of: u64,
    /// Lowest address that is missing.
    pub first: u64,
    /// The notes, or a part of them, are missing: threads' registers and more.
    pub notes: bool,
}

/// An opened core.
pub struct CoreFile {
    bytes: FileBytes,
    loads: Vec<Load>,
    notes: Notes,
    capture: Option<Capture>,
    missing: Missing,
}

/// Is this the beginning of an ELF core?
pub fn is_core(head: &[u8]) -> bool {
    head.get(..4) == Some(&elf::ELFMAG[..]) && head.get(16..18) == Some(&[4, 0])
}

impl CoreFile {
    /// Reads headers and notes.
    pub fn parse(bytes: FileBytes) -> Result<CoreFile, CoreError> {
        if !is_core(&bytes) {
            return Err(CoreError::NotCore);
        }
        let machine = bytes.get(18..20).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        if bytes.get(4) != Some(&2) || bytes.get(5) != Some(&1) || machine != 62 {
            return Err(CoreError::WrongMachine(machine));
        }
        let data: &[u8] = &bytes;
        let headers = elf::FileHeader64::<Endianness>::parse(data)
            .and_then(|h| h.program_headers(Endianness::Little, data))
            .map_err(|_| CoreError::NoHeaders)?;
        let (mut loads, mut notes, mut missing) = (Vec::new(), Notes::default(), Missing::default());
        for p in headers {
            let e = Endianness::Little;
            let (offset, filed) = (p.p_offset(e), p.p_filesz(e));
            let there = (data.len() as u64).saturating_sub(offset).min(filed);
            match p.p_type(e) {
                elf::PT_LOAD => {
                    missing.of += filed;
                    if there < filed {
                        let at = p.p_vaddr(e).wrapping_add(there);
                        missing.first = if missing.bytes == 0 { at } else { missing.first.min(at) };
                        missing.bytes += filed - there;
                    }
                    let write = p.p_flags(e).contains(elf::PF_W);
                    loads.push(Load { addr: p.p_vaddr(e), size: p.p_memsz(e), offset, filed, write });
                }
                elf::PT_NOTE => {
                    missing.notes |= there < filed;
                    let from = offset.min(data.len() as u64) as usize;
                    notes.read(&data[from..from + there as usize]);
                }
                _ => {}
            }
        }
        missing.notes |= notes.cut;
        let capture = notes.capture.as_deref().and_then(|j| serde_json::from_slice(j).ok());
        Ok(CoreFile { bytes, loads, notes, capture, missing })
    }

    /// The notes.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
    /// How the copy was made, when it is one of our snapshots.
    pub fn capture(&self) -> Option<&Capture> {
        self.capture.as_ref()
    }
    /// What is not there because the file ends too early; all zero for a whole core.
    pub fn missing(&self) -> Missing {
        self.missing
    }
    /// Loadable segments.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// The executable inside a snapshot.
    pub fn embedded_exe(&self) -> Result<Option<FileBytes>, CoreError> {
        let Some(c) = self.capture.as_ref().filter(|c| c.exe_packed > 0) else { return Ok(None) };
        let cut = || CoreError::Embedded("the file ends inside it".into());
        let end = c.exe_offset.checked_add(c.exe_packed).filter(|e| *e <= self.bytes.len() as u64).ok_or_else(cut)?;
        let packed = &self.bytes[c.exe_offset as usize..end as usize];
        write::unpack(packed, c.exe_size).map(|v| Some(FileBytes::from_vec(v))).map_err(CoreError::Embedded)
    }

    /// Memory that the core itself has.
    pub fn own_memory(&self) -> Builder {
        let mut b = Builder::default();
        for l in &self.loads {
            b.bytes(l.addr, l.filed, &self.bytes, l.offset);
            // Only our own snapshots leave out what reads as zeros; elsewhere the reason is not known.
            if self.capture.is_some() && l.write && l.size > l.filed {
                b.zeros(l.addr + l.filed, l.size - l.filed);
            }
        }
        b
    }

    /// Paths under which the program's executable may be, best first.
    pub fn exe_paths(&self) -> Vec<PathBuf> {
        let mut out: Vec<PathBuf> = Vec::new();
        let mut add = |p: &str| {
            let p = PathBuf::from(p.strip_suffix(" (deleted)").unwrap_or(p));
            if !p.as_os_str().is_empty() && !out.contains(&p) {
                out.push(p);
            }
        };
        if let Some(c) = &self.capture {
            add(&c.exe);
        }
        for at in [AT_ENTRY, AT_PHDR].iter().filter_map(|k| self.notes.aux(*k)) {
            if let Some(f) = self.notes.files.iter().find(|f| (f.start..f.end).contains(&at)) {
                add(&f.path);
            }
        }
        if let Some(at) = self.notes.aux(AT_EXECFN) {
            add(&self.text_at(at));
        }
        add(self.notes.args.split(' ').next().unwrap_or(""));
        out
    }

    fn text_at(&self, addr: u64) -> String {
        let mem = self.own_memory().finish();
        let to_page = 4096 - addr as usize % 4096;
        let bytes = mem.read_vec(LoadAddr(addr), MAX_PATH).or_else(|_| mem.read_vec(LoadAddr(addr), to_page));
        let bytes = bytes.unwrap_or_default();
        String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
    }

    /// What was added to the executable's addresses; none when the core does not say it.
    pub fn load_bias(&self, image: &Image) -> Option<LoadBias> {
        match self.notes.aux(AT_ENTRY) {
            _ if !image.is_pie() => Some(LoadBias(0)),
            entry => entry.map(|e| LoadBias(e.wrapping_sub(image.entry().0))),
        }
    }

    /// Where a library lies that is not the executable; none for the executable and for what is not in the core.
    pub fn library_bias(&self, path: &str, image: &Image) -> Option<LoadBias> {
        let of_it = |f: &&notes::FileMapping| f.path == path;
        let entry = self.notes.aux(AT_ENTRY)?;
        if self.notes.files.iter().filter(of_it).any(|f| (f.start..f.end).contains(&entry)) {
            return None;
        }
        let first = self.notes.files.iter().find(of_it)?;
        // `offset` of the note is in bytes; the first mapping of a file begins with its first segment.
        Some(LoadBias(first.start.wrapping_sub(first.offset).wrapping_sub(image.lowest_addr().0)))
    }

    /// Files that were mapped, each once.
    pub fn mapped_files(&self) -> Vec<PathBuf> {
        let mut out: Vec<PathBuf> = Vec::new();
        for f in &self.notes.files {
            if out.last().is_none_or(|l| l.as_os_str() != f.path.as_str())
                && !out.iter().any(|o| o.as_os_str() == f.path.as_str())
            {
                out.push(PathBuf::from(&f.path));
            }
        }
        out
    }

    /// Is the executable another one than the core's? None: the core has nothing to tell it by. A library is not where execution begins.
    pub fn is_of_other_program(&self, image: &Image, bias: LoadBias, library: bool) -> Option<bool> {
        let begins_elsewhere = || self.notes.aux(AT_ENTRY).is_some_and(|e| e != bias.to_load(image.entry()).0);
        if !library && begins_elsewhere() || !bias.0.is_multiple_of(4096) {
            return Some(true);
        }
        let mem = self.own_memory().finish();
        let ids = [".note.gnu.build-id", ".note.go.buildid"].iter().filter_map(|n| image.section(n));
        let mut same = None;
        for s in ids {
            let file = image.bytes().get(s.file.clone())?;
            if let Ok(own) = mem.read_vec(bias.to_load(s.addr), file.len()) {
                same = Some(same.unwrap_or(true) && own == file);
            }
        }
        same.map(|s| !s)
    }

    /// The program's memory: the core's, and what the executable has of it where the core left that out.
    pub fn memory(&self, image: &Image, bias: LoadBias) -> PieceMemory {
        let mut b = self.own_memory();
        self.add_file(&mut b, image, bias);
        b.finish()
    }

    /// As [`CoreFile::memory`], with what several files have.
    pub fn memory_of<'i>(&self, images: impl Iterator<Item = (&'i Image, LoadBias)>) -> PieceMemory {
        let mut b = self.own_memory();
        for (image, bias) in images {
            self.add_file(&mut b, image, bias);
        }
        b.finish()
    }

    fn add_file(&self, b: &mut Builder, image: &Image, bias: LoadBias) {
        let file = image.bytes();
        for s in image.segments() {
            let (addr, len) = (bias.to_load(s.addr).0, s.file_size);
            if !s.write {
                b.bytes(addr, len, file, s.offset);
                continue;
            }
            // Data as it was at the start is right only where the kernel left out pages that nobody had written.
            for l in self.loads.iter().filter(|l| l.filed == 0) {
                let (from, to) = (addr.max(l.addr), (addr + len).min(l.addr.saturating_add(l.size)));
                if from < to {
                    b.bytes(from, to - from, file, s.offset + (from - addr));
                }
            }
        }
    }
}

/// Opens a core. The file is mapped: its pages are read when they are looked at.
pub fn open(path: &Path) -> std::io::Result<FileBytes> {
    FileBytes::map(&std::fs::File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_named() {
        let err = |v: Vec<u8>| CoreFile::parse(FileBytes::from_vec(v)).err().map(|e| e.to_string());
        assert_eq!(err(b"hello".to_vec()).as_deref(), Some("not an ELF core"));
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(16, 0);
        head.extend([4, 0, 183, 0]);
        assert!(err(head.clone()).is_some_and(|e| e.contains("machine 183")));
        head[18] = 62;
        assert!(err(head).is_some_and(|e| e.contains("cut off inside its headers")));
    }
}
