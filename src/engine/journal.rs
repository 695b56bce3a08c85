//! What we changed in a target, on record before it is changed: so that `adit rescue` can put it back when even the
//! host process was killed. A small file in shared memory (or the runtime or temporary folder), one line a patch.

use crate::base::LoadAddr;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// First line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The target.
    pub pid: i32,
    /// Its start time in clock ticks: with the pid, its identity.
    pub start_time: u64,
    /// Its executable.
    pub exe: String,
    /// Who patches it.
    pub host: i32,
}

/// Every further line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where.
    pub addr: LoadAddr,
    /// What was there.
    pub original: Vec<u8>,
}

/// A journal that is being written.
pub struct Journal {
    path: PathBuf,
    file: File,
    recorded: BTreeSet<LoadAddr>,
}

/// The folders in which journals may be, best first.
pub fn folders() -> Vec<PathBuf> {
    let uid = nix::unistd::getuid();
    let mut v = vec![PathBuf::from(format!("/dev/shm/adit-{uid}"))];
    if let Some(run) = std::env::var_os("XDG_RUNTIME_DIR") {
        v.push(Path::new(&run).join("adit"));
    }
    v.push(std::env::temp_dir().join(format!("adit-{uid}")));
    v
}

fn private_folder(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let meta = fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != nix::unistd::getuid().as_raw() || meta.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not ours alone", dir.display())));
    }
    Ok(())
}

/// The first of the folders that can be made ours alone.
pub fn private_place() -> io::Result<PathBuf> {
    in_first(|dir| private_folder(dir).map(|()| dir.to_path_buf()))
}

/// Done in the first of the folders in which it can be.
fn in_first<T>(mut what: impl FnMut(&Path) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for dir in folders() {
        match what(&dir) {
            Ok(done) => return Ok(done),
            Err(e) => last = e,
        }
    }
    Err(last)
}

impl Journal {
    /// Starts a journal in the first folder that can be written.
    pub fn create(header: &Header) -> io::Result<Journal> {
        in_first(|dir| Journal::create_in(dir, header))
    }

    fn create_in(dir: &Path, header: &Header) -> io::Result<Journal> {
        private_folder(dir)?;
        let path = dir.join(format!("{}-{}-{}.journal", header.pid, header.start_time, header.host));
        let mut file = File::options().create(true).truncate(true).write(true).open(&path)?;
        writeln!(file, "{}", serde_json::to_string(header)?)?;
        file.sync_data()?;
        Ok(Journal { path, file, recorded: BTreeSet::new() })
    }

    /// Records patches about to be made; what is on record already costs nothing.
    pub fn record<'a>(&mut self, patches: impl Iterator<Item = (LoadAddr, &'a [u8])>) -> io::Result<()> {
        let mut text = String::new();
        let mut new = Vec::new();
        for (addr, original) in patches {
            if !self.recorded.contains(&addr) {
                text += &serde_json::to_string(&Entry { addr, original: original.to_vec() })?;
                text.push('\n');
                new.push(addr);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.recorded.extend(new);
        Ok(())
    }

    /// All is put back: the journal goes.
    pub fn close(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A journal that somebody left. Lines that were cut short by a crash are skipped: their patch was not made yet.
pub fn read(path: &Path) -> io::Result<(Header, Vec<Entry>)> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines();
    let header = serde_json::from_str(lines.next().unwrap_or_default())?;
    Ok((header, lines.filter_map(|l| serde_json::from_str(l).ok()).collect()))
}

/// Says that what is on record is being put back, until it is dropped: by the guardian, for `adit rescue` to wait for.
pub fn claim(path: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(path)?, FlockArg::LockSharedNonblock).map_err(|(_, e)| e.into())
}

/// Waits until nobody claims a journal any more; false if somebody still does after so long.
pub fn is_free_within(path: &Path, most: Duration) -> bool {
    let deadline = Instant::now() + most;
    loop {
        // Without the file there is nobody.
        let Ok(file) = File::open(path) else { return true };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Err((_, Errno::EWOULDBLOCK)) => return false,
            // File systems without locks have no claims.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// A guardian has done its work, or will never have, after so long.
pub const GUARDIAN: Duration = Duration::from_secs(3);

/// The journals of a process, by number and start time.
pub fn of(pid: i32, start_time: Option<u64>) -> impl Iterator<Item = PathBuf> {
    let ours = move |h: &Header| h.pid == pid && Some(h.start_time) == start_time;
    all().into_iter().filter(move |file| read(file).is_ok_and(|(header, _)| ours(&header)))
}

/// All journals that can be found.
pub fn all() -> Vec<PathBuf> {
    let mut v: Vec<PathBuf> = folders()
        .into_iter()
        .filter_map(|d| fs::read_dir(d).ok())
        .flat_map(|d| d.flatten().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "journal"))
        .collect();
    v.sort();
    v.dedup();
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn claims_end_with_who_made_them() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let most = Duration::from_millis(20);
        let claim = claim(file.path()).expect("claimed");
        assert!(!is_free_within(file.path(), most));
        let waits = std::thread::scope(|s| {
            let waits = s.spawn(|| is_free_within(file.path(), Duration::from_secs(20)));
            std::thread::sleep(most);
            drop(claim);
            waits.join().expect("it ends")
        });
        assert!(waits && is_free_within(file.path(), most) && is_free_within(Path::new("/nowhere"), most));
    }

    #[test]
    fn survives_a_torn_last_line() {
        let tmp = tempfile::tempdir().expect("a temporary folder");
        let header = Header { pid: 7, start_time: 8, exe: "/x".into(), host: 9 };
        let mut j = Journal::create_in(&tmp.path().join("j"), &header).expect("a journal");
        j.record([(LoadAddr(0x10), &[0x55u8][..])].into_iter()).expect("recorded");
        j.record([(LoadAddr(0x10), &[0x55u8][..])].into_iter()).expect("recorded once");
        let path = j.path().to_path_buf();
        let mut text = fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), 2);
        text += "{\"addr\":3";
        fs::write(&path, text).expect("written");
        let (h, e) = read(&path).expect("readable");
        assert_eq!((h, e.len()), (header, 1));
    }
}
