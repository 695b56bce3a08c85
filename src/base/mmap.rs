//! The one place that maps files. `unsafe`: a file that shrinks while mapped raises SIGBUS, so small files are copied
//! and only large ones, which would cost real memory, are mapped.
#![allow(unsafe_code)]

use std::{fs::File, io, io::Read, ops::Deref, path::Path, sync::Arc};

/// Files up to this size are copied, not mapped.
const COPY_LIMIT: u64 = 4 << 20;

/// The bytes of a file, shared and cheap to clone.
#[derive(Clone)]
pub struct FileBytes(Arc<Inner>);

enum Inner {
    Owned(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl FileBytes {
    /// Opens and reads (or maps) a regular file.
    pub fn open(path: &Path) -> io::Result<FileBytes> {
        FileBytes::from_file(File::open(path)?)
    }
    /// Reads (or maps) an open file from its start.
    pub fn from_file(mut f: File) -> io::Result<FileBytes> {
        let meta = f.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if meta.len() <= COPY_LIMIT {
            let mut v = Vec::with_capacity(meta.len() as usize);
            f.read_to_end(&mut v)?;
            return Ok(FileBytes(Arc::new(Inner::Owned(v))));
        }
        // SAFETY: the mapping is private and read-only. If somebody truncates the file while it is mapped a read
        // raises SIGBUS; executables that are running cannot be truncated (ETXTBSY), and Go's linker replaces the
        // file by a new inode, so the mapped one stays whole.
        let m = unsafe { memmap2::Mmap::map(&f)? };
        Ok(FileBytes(Arc::new(Inner::Mapped(m))))
    }
    /// Maps an open file whatever its size, for one of which little may be looked at (a core).
    pub fn map(f: &File) -> io::Result<FileBytes> {
        if !f.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // SAFETY: as above; a core or snapshot that somebody cuts short while it is open ends us, not its program.
        let m = unsafe { memmap2::Mmap::map(f)? };
        Ok(FileBytes(Arc::new(Inner::Mapped(m))))
    }
    /// Bytes that are in memory already.
    pub fn from_vec(v: Vec<u8>) -> FileBytes {
        FileBytes(Arc::new(Inner::Owned(v)))
    }
}

impl Deref for FileBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Inner::Owned(v) => v,
            Inner::Mapped(m) => m,
        }
    }
}

/// Memory of our own for a large copy: all its pages are there before the copy begins.
pub struct Buffer(memmap2::MmapMut);

impl Buffer {
    /// `len` zero bytes (at least one page).
    pub fn reserve(len: usize) -> io::Result<Buffer> {
        memmap2::MmapOptions::new().len(len.max(4096)).populate().map_anon().map(Buffer)
    }
    /// No more changes.
    pub fn freeze(self) -> io::Result<FileBytes> {
        self.0.make_read_only().map(|m| FileBytes(Arc::new(Inner::Mapped(m))))
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
