//! A target with a heartbeat in a shared file, to see from outside whether it lives, and for how long it stood.

use adit::base::Memory;
use adit::engine::Loaded;
use adit::engine::rescue::differences;
use adit::target::linux::procfs;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The heartbeat program, started by the test and killed (by pid) at its end.
pub struct Heart {
    child: Child,
    file: File,
    _dir: tempfile::TempDir,
}

impl Heart {
    /// Starts it; it ends by itself after two minutes.
    pub fn start(exe: &Path) -> Heart {
        Heart::start_in(&[], exe, 120)
    }
    /// As [`Heart::start`], run by another program (`nsenter` and its arguments), which becomes it; it ends after so many seconds.
    pub fn start_in(by: &[String], exe: &Path, seconds: u32) -> Heart {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("beat");
        let mut words = by.iter().map(std::ffi::OsStr::new).chain([exe.as_os_str()]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .arg(&path)
            .arg(seconds.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("ready");
        assert!(line.starts_with("ready"), "{line}");
        let file = File::options().read(true).write(true).open(path).expect("the heartbeat file");
        Heart { child, file, _dir: dir }
    }
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }
    fn word(&self, at: u64) -> u64 {
        let mut b = [0; 8];
        self.file.read_exact_at(&mut b, at).expect("the heartbeat file");
        u64::from_le_bytes(b)
    }
    /// Ticks so far.
    pub fn beats(&self) -> u64 {
        self.word(0)
    }
    /// The longest time between two ticks since the last `reset`.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.word(8))
    }
    /// All gaps of more than 10 ms together, since it began.
    pub fn late(&self) -> Duration {
        Duration::from_nanos(self.word(24))
    }
    /// Forgets the longest gap.
    pub fn reset(&self) {
        self.file.write_all_at(&[1], 16).expect("written");
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.word(16) & 0xff != 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    /// Waits for `n` more beats; false if the target is dead or stands.
    pub fn beats_on(&self, n: u64) -> bool {
        let from = self.beats();
        soon(|| self.beats() >= from + n || !procfs::alive(self.pid())) && procfs::alive(self.pid())
    }
    /// Does it stand still, for a good while?
    pub fn stands(&self) -> bool {
        let from = self.beats();
        std::thread::sleep(Duration::from_millis(500));
        self.beats() == from
    }
    /// Bytes of its text that differ from the file.
    pub fn changed_bytes(&self) -> usize {
        let l = Loaded::open(self.pid(), None).expect("readable");
        let image = l.sym.image();
        let mut n = 0;
        for s in image.segments().iter().filter(|s| s.exec) {
            let file = image.bytes_at(s.addr, s.file_size as usize).expect("text in the file");
            l.mem.read_vec(l.bias.to_load(s.addr), 1).expect("readable text");
            n += differences(&*l.mem, l.bias.to_load(s.addr), file).len();
        }
        n
    }
    /// Waits until its text is as in the file.
    pub fn is_put_back(&self) -> bool {
        soon(|| self.changed_bytes() == 0)
    }
    /// Waits until nobody traces it.
    pub fn released(&self) -> bool {
        soon(|| self.tracer() == 0)
    }
    /// Who traces it.
    pub fn tracer(&self) -> i32 {
        procfs::tracer_of(self.pid())
    }
}

/// Waits for what takes milliseconds as a rule; a loaded machine has taken seconds.
fn soon(what: impl Fn() -> bool) -> bool {
    super::within(Duration::from_secs(15), what).is_some()
}

impl Drop for Heart {
    fn drop(&mut self) {
        let _dead_already = self.child.kill();
        let _status = self.child.wait();
    }
}
