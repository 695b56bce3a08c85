//! Writing a core: what gdb and Delve open, too. One PT_NOTE, the packed executable beside the segments, then memory.

use super::Capture;
use super::notes::Notes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const PAGE: u64 = 4096;
/// Zero pages up to this are holes in the file; longer runs are left out of it, bytes.
const HOLE: u64 = 256 << 10;
/// Segments that one file has at most (the header's count is 16 bits wide).
const MAX_SEGMENTS: usize = 60_000;
/// Bytes looked at for zeros, and written, at once.
const STRIDE: usize = 256 << 10;
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

/// A range of the program's memory; ranges are page-aligned and ascending.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// First address.
    pub addr: u64,
    /// Its bytes in memory.
    pub size: u64,
    /// Writable.
    pub write: bool,
    /// What is there; none for zeros.
    pub bytes: Option<&'a [u8]>,
}

/// What a snapshot file consists of.
pub struct Contents<'a> {
    /// Threads, process, files.
    pub notes: Notes,
    /// How it was made; offsets are filled in.
    pub capture: Capture,
    /// The executable.
    pub exe: Option<&'a [u8]>,
    /// Memory.
    pub memory: Vec<Region<'a>>,
}

/// A segment in the making.
struct Segment<'a> {
    addr: u64,
    size: u64,
    filed: u64,
    write: bool,
    parts: Vec<(u64, &'a [u8])>,
}

/// Writes the file, whole or not at all; an existing one is never replaced. Returns its size in bytes.
pub fn write(path: &Path, contents: Contents<'_>) -> io::Result<u64> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let temp: PathBuf = dir.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    // Memory holds secrets: for the owner only.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
    let done = write_to(&file, contents).and_then(|n| publish(&temp, path).map(|()| n));
    if done.is_err() {
        let _best_effort = fs::remove_file(&temp);
    }
    done
}

/// Gives the finished file its name, unless somebody has taken it meanwhile.
fn publish(temp: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temp, path) {
        Ok(()) => fs::remove_file(temp),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // A file system without hard links.
        Err(_) if path.symlink_metadata().is_err() => fs::rename(temp, path),
        Err(e) => Err(e),
    }
}

/// Where a core goes: pieces come in ascending order, what lies between them is zeros.
trait Sink {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// So long is it in all.
    fn end(&mut self, len: u64) -> io::Result<()>;
}

/// A file with holes.
impl Sink for &File {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn end(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.sync_all()
    }
}

/// A stream; so much was written.
struct Stream<W>(W, u64);

impl<W: Write> Sink for Stream<W> {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let gap = at.checked_sub(self.1).ok_or_else(|| io::Error::other("pieces of a core out of order"))?;
        io::copy(&mut io::repeat(0).take(gap), &mut self.0)?;
        self.0.write_all(bytes)?;
        self.1 = at + bytes.len() as u64;
        Ok(())
    }
    fn end(&mut self, len: u64) -> io::Result<()> {
        self.put(&[], len)?;
        self.0.flush()
    }
}

/// Writes what [`write()`] would to a stream, holes as zeros. Returns its size in bytes.
pub fn stream(to: impl Write, contents: Contents<'_>) -> io::Result<u64> {
    write_to(Stream(to, 0), contents)
}

fn write_to(mut file: impl Sink, c: Contents<'_>) -> io::Result<u64> {
    let Contents { mut notes, mut capture, exe, memory } = c;
    let segments = segments(&memory);
    let packed = exe.map(pack).transpose()?.unwrap_or_default();
    capture.exe_size = exe.map_or(0, |e| e.len() as u64);
    capture.exe_packed = packed.len() as u64;
    // The place of the executable is told in a note that lies before it: sized with the longest number first.
    let notes_at = HEADER + PROGRAM_HEADER * (segments.len() as u64 + 1);
    let mut sized = |offset: u64| -> io::Result<Vec<u8>> {
        capture.exe_offset = offset;
        notes.capture = Some(serde_json::to_vec(&capture).map_err(io::Error::other)?);
        Ok(notes.write())
    };
    let exe_at = (notes_at + sized(u64::MAX)?.len() as u64).next_multiple_of(PAGE);
    let notes = sized(exe_at)?;
    let mut at = (exe_at + packed.len() as u64).next_multiple_of(PAGE);
    let mut headers = header(segments.len() as u16 + 1);
    headers.extend(program_header(4, 4, notes_at, 0, notes.len() as u64, 0, 4));
    let mut places = Vec::with_capacity(segments.len());
    for s in &segments {
        let flags = 4 | if s.write { 2 } else { 0 };
        headers.extend(program_header(1, flags, at, s.addr, s.filed, s.size, PAGE));
        places.push(at);
        at = (at + s.filed).next_multiple_of(PAGE);
    }
    file.put(&headers, 0)?;
    file.put(&notes, notes_at)?;
    file.put(&packed, exe_at)?;
    for (s, place) in segments.iter().zip(&places) {
        for (off, bytes) in &s.parts {
            // Zeros are left as holes.
            for (i, part) in bytes.chunks(STRIDE).enumerate() {
                if part.iter().any(|b| *b != 0) {
                    file.put(part, place + off + (i * STRIDE) as u64)?;
                }
            }
        }
    }
    file.end(at)?;
    Ok(at)
}

/// Neighbouring regions become one segment, with as many segments as the header can count.
fn segments<'a>(memory: &[Region<'a>]) -> Vec<Segment<'a>> {
    let mut hole = HOLE;
    loop {
        let s = segments_with(memory, hole);
        if s.len() <= MAX_SEGMENTS || hole > 1 << 40 {
            return s;
        }
        hole *= 4;
    }
}

fn segments_with<'a>(memory: &[Region<'a>], hole: u64) -> Vec<Segment<'a>> {
    let mut out: Vec<Segment<'a>> = Vec::new();
    for r in memory.iter().filter(|r| r.size > 0) {
        let fits = |s: &&mut Segment<'_>| {
            s.addr + s.size == r.addr && s.write == r.write && (r.bytes.is_none() || s.size - s.filed <= hole)
        };
        match (out.last_mut().filter(fits), r.bytes) {
            (Some(s), Some(b)) => {
                s.parts.push((s.size, b));
                s.size += r.size;
                s.filed = s.size;
            }
            (Some(s), None) => s.size += r.size,
            (None, bytes) => out.push(Segment {
                addr: r.addr,
                size: r.size,
                filed: bytes.map_or(0, |_| r.size),
                write: r.write,
                parts: bytes.into_iter().map(|b| (0, b)).collect(),
            }),
        }
    }
    out
}

fn header(program_headers: u16) -> Vec<u8> {
    let mut h = b"\x7fELF\x02\x01\x01".to_vec();
    h.resize(16, 0);
    for v in [4u16, 62] {
        h.extend(v.to_le_bytes()); // ET_CORE, EM_X86_64
    }
    h.extend(1u32.to_le_bytes());
    for v in [0, HEADER, 0u64] {
        h.extend(v.to_le_bytes()); // no entry, where the program headers are, no sections
    }
    h.extend(0u32.to_le_bytes());
    for v in [HEADER as u16, PROGRAM_HEADER as u16, program_headers, 0, 0, 0] {
        h.extend(v.to_le_bytes());
    }
    h
}

fn program_header(kind: u32, flags: u32, offset: u64, addr: u64, filed: u64, size: u64, align: u64) -> Vec<u8> {
    let mut h = Vec::with_capacity(PROGRAM_HEADER as usize);
    h.extend(kind.to_le_bytes());
    h.extend(flags.to_le_bytes());
    for v in [offset, addr, 0, filed, size, align] {
        h.extend(v.to_le_bytes());
    }
    h
}

/// Packs an executable.
fn pack(exe: &[u8]) -> io::Result<Vec<u8>> {
    let mut e = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(exe.len() / 2));
    e.write_all(exe)?;
    e.finish().map_err(io::Error::other)
}

/// Unpacks an executable of `size` bytes.
pub(super) fn unpack(packed: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(size.min(1 << 30) as usize);
    let n =
        lz4_flex::frame::FrameDecoder::new(packed).take(size + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if n as u64 != size {
        return Err(format!("{n} bytes instead of {size}"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::mmap::FileBytes;
    use crate::base::{LoadAddr, Memory};
    use crate::target::core::CoreFile;

    fn contents<'a>(a: &'a [u8], b: &'a [u8], exe: &'a [u8]) -> Contents<'a> {
        let r = |addr, size, bytes| Region { addr, size, write: true, bytes };
        let memory = vec![
            r(0x10_0000, 0x1000, Some(a)),
            r(0x10_1000, 0x2000, None),
            r(0x10_3000, 0x1000, Some(b)),
            r(0x10_4000, 0x10_0000, None), // too long for a hole in the file
            r(0x20_4000, 0x1000, Some(a)),
            r(0x40_0000, 0x8000, None),
        ];
        let capture = Capture { adit: "1".into(), taken_at: 5, clock_ns: 77, ..Capture::default() };
        Contents { notes: Notes { pid: 9, ..Notes::default() }, capture, exe: Some(exe), memory }
    }

    #[test]
    fn what_is_written_is_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.snapshot");
        let (a, b, exe) = (vec![1u8; 0x1000], vec![2u8; 0x1000], vec![3u8; 100_000]);
        let size = write(&path, contents(&a, &b, &exe)).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").len(), size);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "no temporary file is left");
        let whole = fs::read(&path).expect("read");
        let c = CoreFile::parse(FileBytes::from_vec(whole.clone())).expect("a core");
        assert_eq!(c.capture().map(|c| (c.taken_at, c.clock_ns, c.exe_size)), Some((5, 77, 100_000)));
        let missing = c.missing();
        assert_eq!((c.notes().pid, missing.bytes, missing.notes), (9, 0, false));
        assert_eq!(c.embedded_exe().expect("unpacked").as_deref(), Some(&exe[..]));
        let m = c.own_memory().finish();
        let at = |addr, len| m.read_vec(LoadAddr(addr), len).ok();
        assert_eq!(at(0x10_0000, 0x1000), Some(a.clone()));
        assert_eq!(at(0x10_1000, 0x2000), Some(vec![0; 0x2000]));
        assert_eq!(at(0x10_3ff0, 0x20), Some([[2u8; 0x10], [0; 0x10]].concat()));
        assert_eq!(at(0x20_4000, 0x1000), Some(a.clone()));
        assert_eq!(at(0x40_7ff8, 8), Some(vec![0; 8]));
        assert_eq!(at(0x20_5000, 1), None);
        // Cut anywhere it opens or says why not, and never panics.
        for n in (0..whole.len()).step_by(997) {
            match CoreFile::parse(FileBytes::from_vec(whole[..n].to_vec())) {
                Ok(c) => {
                    let m = c.missing();
                    assert!(m.bytes > 0 || m.notes, "{n} of {size}: something is missing");
                    assert_eq!(
                        c.embedded_exe().is_ok_and(|e| e.is_some()),
                        c.capture().is_some_and(|c| c.exe_offset + c.exe_packed <= n as u64)
                    );
                }
                Err(e) => assert!(e.to_string().contains("core"), "{e}"),
            }
        }
    }

    #[test]
    fn an_existing_file_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x");
        fs::write(&path, "mine").expect("written");
        let e = write(&path, contents(&[1; 0x1000], &[2; 0x1000], b"exe")).expect_err("refused");
        assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("read"), b"mine");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
