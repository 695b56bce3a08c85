//! Copies of a living process: to read from while it runs on, and to write into a file that opens elsewhere.

use super::open::Loaded;
use super::{Engine, EngineError, Origin, StopState};
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr, StopEpoch, Tid};
use crate::symbols::build_id::BuildIds;
use crate::target::core::notes::{FileMapping, Notes};
use crate::target::core::write::{self, Contents, Region};
use crate::target::core::{Capture, CoreFile};
use crate::target::linux::copy::{self, Copied, Plan, Taken};
use crate::target::linux::procfs::{self, Mapping};
use crate::target::pieces::PieceMemory;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A copy of a process: a target of its own.
pub struct Copy {
    /// For readers.
    pub loaded: Loaded,
    /// Its threads.
    pub state: StopState,
    /// Bytes copied.
    pub bytes: u64,
    /// The process's own memory, without what its files have.
    own: PieceMemory,
    maps: Vec<Mapping>,
}

impl Engine {
    /// Copies the process as planned; if it runs it stands only for that. What is left to do is [`Taken::finish`], beside it.
    pub fn copy(&mut self, plan: Plan) -> Result<Taken, EngineError> {
        let ran = self.running;
        let t0 = Instant::now();
        if ran {
            self.stand()?;
        }
        if self.gone {
            return Err(EngineError::State("the process is gone".into()));
        }
        let registers = copy::registers(&self.tracer);
        let raw = plan.copy(&self.mem);
        if ran {
            self.run_again()?;
        }
        let pause = if ran { t0.elapsed() } else { Duration::ZERO };
        Ok(Taken { raw: raw?, registers, pause })
    }

    /// A new moment for readers, though nothing moved: what they had is old.
    pub fn new_moment(&mut self) -> StopEpoch {
        self.epoch = StopEpoch(self.epoch.0 + 1);
        self.state = Arc::new(StopState { epoch: self.epoch, ..(*self.state).clone() });
        self.epoch
    }
}

impl Loaded {
    /// Copies a process that nobody controls.
    pub fn copy(&self) -> Result<Copied, EngineError> {
        let Some(mem) = &self.process else {
            return Err(EngineError::State("only a living process can be copied".into()));
        };
        Ok(copy::take(self.pid, mem)?)
    }

    /// Makes a target of a copy. `at` is the thread that is shown, if there is one already.
    pub fn of_copy(&self, c: Copied, epoch: StopEpoch, at: Option<Tid>) -> Copy {
        let own = c.memory.finish();
        let mut all = c.memory;
        // What is not the process's own is as its executable has it: all pages that differ were copied.
        for s in self.sym.image().segments() {
            all.bytes(self.bias.to_load(s.addr).0, s.file_size, self.sym.image().bytes(), s.offset);
        }
        for (image, delta) in self.sym.module_images() {
            for s in image.segments() {
                all.bytes(self.bias.to_load(s.addr.add(delta)).0, s.file_size, image.bytes(), s.offset);
            }
        }
        let origin = Origin { clock_ns: Some(c.clock_ns), taken_at: wall_clock(), ..Origin::default() };
        let mem = Arc::new(all.finish());
        let runs =
            |r: &Registers| self.rt.current_g(&*mem, r.fs_base).filter(|g| g.goid != 0).map(|g| GoroutineId(g.goid));
        let busy = || c.registers.iter().find(|(_, r)| runs(r).is_some()).map(|t| t.0);
        let thread = at.or_else(busy).unwrap_or(Tid(self.pid));
        let registers: std::collections::HashMap<_, _> = c.registers.into_iter().map(|(t, r)| (t.0, r)).collect();
        let state = StopState {
            epoch,
            stopped: true,
            thread,
            goroutine: registers.get(&thread.0).and_then(runs),
            registers,
            pause_us: c.pause.as_micros() as u64,
        };
        let loaded = Loaded { mem: mem.clone(), process: None, origin: Arc::new(origin), ..self.clone() };
        Copy { loaded, state, bytes: c.bytes, own, maps: c.maps }
    }
}

impl Copy {
    /// Writes it; its size in the file, bytes.
    pub fn write(&self, path: &Path) -> io::Result<u64> {
        self.contents(|c| write::write(path, c))
    }

    /// Writes the same to a stream; its size, bytes.
    pub fn stream(&self, to: impl io::Write) -> io::Result<u64> {
        self.contents(|c| write::stream(to, c))
    }

    fn contents(&self, write: impl FnOnce(write::Contents<'_>) -> io::Result<u64>) -> io::Result<u64> {
        let pid = self.loaded.pid;
        let mut threads: Vec<_> = self.state.registers.iter().map(|(t, r)| (Tid(*t), *r)).collect();
        // The thread that is shown first, then the others by number.
        threads.sort_by_key(|(t, _)| (*t != self.state.thread, *t));
        let files = self.maps.iter().filter(|m| m.inode != 0).map(|m| FileMapping {
            start: m.start,
            end: m.end,
            offset: m.offset,
            path: m.path.clone(),
        });
        let notes = Notes {
            threads,
            pid,
            name: procfs::name(pid),
            args: procfs::command_line(pid),
            auxv: procfs::auxv(pid).unwrap_or_default(),
            files: files.collect(),
            ..Notes::default()
        };
        let origin = &self.loaded.origin;
        let capture = Capture {
            taken_at: origin.taken_at,
            pause_us: self.state.pause_us,
            clock_ns: origin.clock_ns.unwrap_or(0),
            source: "process".into(),
            ..of(&self.loaded)
        };
        let ranges = self.maps.iter().filter(|m| copy::wanted(m));
        let ranges: Vec<_> = ranges.map(|m| (m.start, m.end, m.perms.as_bytes().get(1) == Some(&b'w'))).collect();
        let exe = Some(&self.loaded.sym.image().bytes()[..]);
        write(Contents { notes, capture, exe, memory: regions(&self.own, &ranges) })
    }
}

impl Loaded {
    /// Packs a core, with its executable, into a snapshot; its size, bytes.
    pub fn pack(&self, core: &CoreFile, path: &Path) -> io::Result<u64> {
        let origin = &self.origin;
        let before = core.capture().cloned().unwrap_or_default();
        let capture = Capture {
            taken_at: origin.taken_at,
            pause_us: before.pause_us,
            clock_ns: origin.clock_ns.unwrap_or(0),
            source: if before.source.is_empty() { "core".into() } else { before.source },
            notes: origin.notes.clone(),
            ..of(self)
        };
        let notes = Notes { capture: None, ..core.notes().clone() };
        let own = core.own_memory().finish();
        let ranges: Vec<_> = core.loads().iter().map(|l| (l.addr, l.addr.saturating_add(l.size), l.write)).collect();
        let exe = Some(&self.sym.image().bytes()[..]);
        write::write(path, Contents { notes, capture, exe, memory: regions(&own, &ranges) })
    }
}

/// What a snapshot says of the program.
fn of(l: &Loaded) -> Capture {
    let ids = BuildIds::read(l.sym.image());
    Capture {
        adit: env!("CARGO_PKG_VERSION").into(),
        exe: l.exe.clone(),
        build_id: if ids.gnu.is_empty() { ids.go } else { ids.gnu },
        ..Capture::default()
    }
}

/// The parts of the memory that lie in these ranges (first address, end, writable), which ascend.
fn regions<'a>(memory: &'a PieceMemory, ranges: &[(u64, u64, bool)]) -> Vec<Region<'a>> {
    let mut out = Vec::new();
    let mut ranges = ranges.iter().peekable();
    for (start, end, bytes) in memory.pieces() {
        while ranges.next_if(|r| r.1 <= start).is_some() {}
        for &(from, to, write) in ranges.clone().take_while(|r| r.0 < end) {
            let (a, z) = (from.max(start), to.min(end));
            let part = bytes.and_then(|b| b.get((a - start) as usize..(z - start) as usize));
            if bytes.is_none() || part.is_some() {
                out.push(Region { addr: LoadAddr(a).0, size: z - a, write, bytes: part });
            }
        }
    }
    out
}

fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::mmap::FileBytes;
    use crate::target::pieces::Builder;

    #[test]
    fn pieces_are_cut_where_mappings_end() {
        let mut b = Builder::default();
        b.bytes(0x1000, 0x3000, &FileBytes::from_vec(vec![1; 0x3000]), 0);
        b.zeros(0x4000, 0x1000);
        let m = b.finish();
        let ranges = [(0x0, 0x1000, true), (0x1000, 0x2000, true), (0x2000, 0x4800, false), (0x9000, 0xa000, true)];
        let got: Vec<_> = regions(&m, &ranges).iter().map(|r| (r.addr, r.size, r.write, r.bytes.is_some())).collect();
        assert_eq!(got, [(0x1000, 0x1000, true, true), (0x2000, 0x2000, false, true), (0x4000, 0x800, false, false)]);
    }
}
