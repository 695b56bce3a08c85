//! Where a trace's bytes are: a file, memory, or a stream that still arrives and is kept in a file nobody sees.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// Bytes by offset. Files are read, not mapped: one that is cut short while it is open must not end us.
pub trait Store: Send + Sync {
    /// Bytes from `at` on, as many as there are and fit; 0 at the end. Waits for what is still to arrive.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// How many bytes there are as yet.
    fn len(&self) -> u64;
    /// There is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf`; false if the store ends before.
    fn fill(&self, at: u64, buf: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(at.saturating_add(done as u64), &mut buf[done..])? {
                0 => return Ok(false),
                n => done += n,
            }
        }
        Ok(true)
    }
}

impl Store for File {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buf, at)
    }
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |m| m.len())
    }
}

impl Store for Vec<u8> {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }
}

#[derive(Default)]
struct Arrived {
    len: u64,
    done: bool,
    error: Option<String>,
}

/// A stream: a thread reads it as fast as it comes (what a traced program cannot send piles up in it) into a file without a name.
pub struct Spool {
    file: File,
    arrived: Arc<(Mutex<Arrived>, Condvar)>,
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Spool {
    /// Begins to read `from`.
    pub fn start(from: impl Read + Send + 'static) -> io::Result<Spool> {
        let file = nameless()?;
        let arrived: Arc<(Mutex<Arrived>, Condvar)> = Arc::default();
        let (to, out) = (arrived.clone(), file.try_clone()?);
        thread::Builder::new().name("trace-spool".into()).spawn(move || {
            let end = copy(from, out, &to);
            let mut a = locked(&to.0);
            (a.done, a.error) = (true, end.err().map(|e| e.to_string()));
            to.1.notify_all();
        })?;
        Ok(Spool { file, arrived })
    }
}

/// A file of this user's that no name leads to.
fn nameless() -> io::Result<File> {
    let dir = std::env::temp_dir();
    for n in 0..64u32 {
        let path = dir.join(format!("adit-trace-{}-{n}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(f) => {
                std::fs::remove_file(&path)?;
                return Ok(f);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a temporary file"))
}

fn copy(mut from: impl Read, mut to: File, arrived: &(Mutex<Arrived>, Condvar)) -> io::Result<()> {
    let mut buf = vec![0; 64 << 10];
    loop {
        let n = match from.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        to.write_all(&buf[..n])?;
        locked(&arrived.0).len += n as u64;
        arrived.1.notify_all();
    }
}

impl Store for Spool {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut a = locked(&self.arrived.0);
        while a.len <= at && !a.done {
            a = self.arrived.1.wait(a).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let there = a.len;
        if there <= at {
            // What came before an error is shown; the error itself is what ends the trace.
            return a.error.clone().map_or(Ok(0), |e| Err(io::Error::other(e)));
        }
        drop(a);
        let n = (there - at).min(buf.len() as u64) as usize;
        FileExt::read_at(&self.file, &mut buf[..n], at)
    }
    fn len(&self) -> u64 {
        locked(&self.arrived.0).len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_waited_for() {
        let (from, mut to) = io::pipe().expect("a pipe");
        let s = Spool::start(from).expect("a spool");
        to.write_all(b"abc").expect("write");
        let mut b = [0; 2];
        assert!(s.fill(1, &mut b).expect("read") && &b == b"bc");
        let late = thread::spawn(move || {
            thread::sleep(std::time::Duration::from_millis(20));
            to.write_all(b"defg").expect("write");
        });
        let mut b = [0; 4];
        assert!(s.fill(3, &mut b).expect("read") && &b == b"defg");
        late.join().expect("the writer");
        assert!(!s.fill(5, &mut b).expect("read"));
        assert_eq!(s.len(), 7);
    }
}
