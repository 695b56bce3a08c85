//! Targets that are no living process: cores and snapshots in files. They stand for ever, and nothing can be run.

use super::StopState;
use super::open::{Loaded, OpenError, load_symbols};
use crate::base::mmap::FileBytes;
use crate::base::{GoroutineId, LoadAddr, LoadBias, StopEpoch, Tid};
use crate::goruntime::{GoRuntime, StackStart};
use crate::model::{Stop, StopReason, TargetKind};
use crate::symbols::{Symbols, SymbolsError};
use crate::target::core::{self, CoreFile, Missing};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an executable is whose build id the core contradicts.
const OTHER: &str = "not the program of this core, or another build of it";
/// Frames looked through for the reason of a death.
const DEATH_DEPTH: usize = 40;

/// Where what is read comes from, when it is not the process as it is now.
#[derive(Clone, Default)]
pub struct Origin {
    /// What it is.
    pub kind: TargetKind,
    /// What is missing and what follows.
    pub notes: Vec<String>,
    /// CLOCK_MONOTONIC of the moment, nanoseconds; none for a process, whose moment is now.
    pub clock_ns: Option<u64>,
    /// Wall clock of the moment, seconds since 1970; 0 when unknown.
    pub taken_at: u64,
    /// The core behind it, to be packed anew.
    pub core: Option<Arc<CoreFile>>,
}

impl Loaded {
    /// Opens a core or a snapshot. `exe` names the executable when the file does not lead to it.
    pub fn open_core(path: &Path, exe: Option<&Path>) -> Result<(Loaded, StopState), OpenError> {
        let shown = path.display().to_string();
        let file = |source| OpenError::File { path: shown.clone(), source };
        let bad = |source| OpenError::Core { path: shown.clone(), source };
        let core = CoreFile::parse(core::open(path).map_err(file)?).map_err(bad)?;
        let mut notes = core.capture().map(|c| c.notes.clone()).unwrap_or_default();
        let (exe_name, sym) = executable(&core, exe, &shown, &mut notes)?;
        let image = sym.image();
        let library = core.library_bias(&exe_name, image);
        let bias = library.or_else(|| core.load_bias(image)).unwrap_or_else(|| {
            notes.push(
                "the core does not say where the program was loaded: it is taken to be where it was linked".into(),
            );
            LoadBias(0)
        });
        let other = core.is_of_other_program(image, bias, library.is_some()) == Some(true);
        if other {
            notes.push(format!("{exe_name} is {OTHER}: what is shown may be wrong; --exe names another"));
        }
        notes.extend(missing(core.missing()));
        let mem = Arc::new(core.memory(image, bias));
        let mut rt = GoRuntime::open(sym.clone(), bias, &*mem).map_err(|e| OpenError::Runtime {
            path: exe_name.clone(),
            message: if other { format!("{e}; it is {OTHER}") } else { e.to_string() },
        })?;
        if other && let Err(e) = rt.all_gs(&*mem) {
            return Err(OpenError::Runtime { path: exe_name, message: format!("it is {OTHER} ({e})") });
        }
        if rt.all_gs(&*mem).is_err() && core.missing().bytes > 0 {
            let found = rt.find_goroutines_in(mem.pieces().filter_map(|(at, _, bytes)| Some((LoadAddr(at), bytes?))));
            notes.push(format!("the runtime's list of goroutines is in the missing part: {found} were found by looking through the memory that is there"));
        }
        let capture = core.capture();
        let clock = capture.map(|c| c.clock_ns).filter(|c| *c != 0).unwrap_or_else(|| {
            notes.push("a core has no clock: waiting times are up to the newest time stamp in it".into());
            rt.newest_time(&*mem)
        });
        notes.dedup(); // packed anew, it says it already
        let registers: HashMap<i32, _> = core.notes().threads.iter().map(|(t, r)| (t.0, *r)).collect();
        let thread = thread_to_show(&core, &rt, &mem);
        let goroutine = registers
            .get(&thread.0)
            .and_then(|r| rt.current_g(&*mem, r.fs_base))
            .filter(|g| g.goid != 0)
            .map(|g| GoroutineId(g.goid));
        let state = StopState {
            epoch: StopEpoch(1),
            stopped: true,
            thread,
            goroutine,
            registers,
            pause_us: capture.map_or(0, |c| c.pause_us),
        };
        let pid = core.notes().pid;
        let origin = Origin {
            kind: if capture.is_some() { TargetKind::Snapshot } else { TargetKind::Core },
            notes,
            clock_ns: Some(clock),
            taken_at: capture.map_or(0, |c| c.taken_at),
            core: Some(Arc::new(core)),
        };
        let mut loaded = Loaded {
            pid,
            exe: exe_name,
            sym: sym.clone(),
            mem,
            process: None,
            rt: Arc::new(rt),
            bias,
            origin: Arc::new(origin),
        };
        let problems = loaded.find_modules();
        if let Some(core) = loaded.origin.core.as_ref().filter(|_| sym.module_images().next().is_some()) {
            let modules = sym.module_images().map(|(i, delta)| (i, LoadBias(bias.0.wrapping_add(delta))));
            loaded.mem = Arc::new(core.memory_of(std::iter::once((sym.image(), bias)).chain(modules)));
        }
        if !problems.is_empty() {
            let mut origin = (*loaded.origin).clone();
            origin.notes.extend(problems);
            loaded.origin = Arc::new(origin);
        }
        Ok((loaded, state))
    }

    /// The stop that a core shows: the thread that died, and of what.
    pub fn stop_of(&self, state: &StopState) -> Option<Stop> {
        let regs = state.registers.get(&state.thread.0)?;
        let walked = self.rt.stack(&*self.mem, StackStart::Registers(regs), DEATH_DEPTH, false).ok()?;
        let called = |name: &str| walked.stack.frames.iter().any(|f| f.at.function == name);
        let reason = match walked.stack.panics.first() {
            Some(p) if called("runtime.fatalpanic") => StopReason::UnrecoveredPanic(p.value.clone()),
            _ if called("runtime.throw") || called("runtime.fatal") => {
                StopReason::FatalError("the runtime ended the program; its message is in the program's output".into())
            }
            _ => StopReason::Paused,
        };
        let user = walked.stack.frames.iter().find(|f| !f.hidden && !f.system_stack).or(walked.stack.frames.first());
        Some(Stop {
            epoch: state.epoch,
            reason,
            goroutine: state.goroutine,
            thread: state.thread,
            at: user.map_or_else(|| self.sym.place(self.bias, LoadAddr(regs.pc())), |f| f.at.clone()),
            returned: Vec::new(),
            stop_us: 0,
            copied: false,
        })
    }
}

/// The thread that the kernel names first is the one that died; one that runs a goroutine says more.
fn thread_to_show(core: &CoreFile, rt: &GoRuntime, mem: &dyn crate::base::Memory) -> Tid {
    let threads = &core.notes().threads;
    let runs = |r: &crate::arch::Registers| rt.current_g(mem, r.fs_base).is_some_and(|g| g.goid != 0);
    let died = threads.first().filter(|t| core.notes().signal != 0 || runs(&t.1));
    died.or_else(|| threads.iter().find(|t| runs(&t.1))).or(threads.first()).map_or(Tid(0), |t| t.0)
}

/// The program's executable: the one named, the one inside a snapshot, or the first of the core's paths that is there.
fn executable(
    core: &CoreFile,
    named: Option<&Path>,
    shown: &str,
    notes: &mut Vec<String>,
) -> Result<(String, Arc<Symbols>), OpenError> {
    if let Some(p) = named {
        let name = p.display().to_string();
        return Ok((name.clone(), load_symbols(p, &name)?));
    }
    let paths = core.exe_paths();
    match core.embedded_exe() {
        Ok(Some(bytes)) => {
            let said = core.capture().map(|c| c.exe.clone()).filter(|e| !e.is_empty());
            let name = said.unwrap_or_default();
            if core.mapped_files().iter().any(|f| f.as_os_str() == name.as_str()) {
                return Ok((name.clone(), symbols_of(bytes, &name)?));
            }
            let name = paths.first().map_or_else(String::new, |p| p.display().to_string());
            return Ok((name.clone(), symbols_of(bytes, &name)?));
        }
        Ok(None) => {}
        Err(e) => notes.push(e.to_string()),
    }
    let there: Option<&PathBuf> = paths.iter().find(|p| p.is_file());
    match there {
        Some(p) => {
            let name = p.display().to_string();
            match load_symbols(p, &name) {
                Err(e @ OpenError::Binary { source: SymbolsError::NotGo, .. }) => library(core).ok_or(e),
                done => Ok((name, done?)),
            }
        }
        None => Err(OpenError::NoExecutable {
            core: shown.to_string(),
            tried: paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The first Go library among the files of a core whose executable is not Go's.
fn library(core: &CoreFile) -> Option<(String, Arc<Symbols>)> {
    core.mapped_files().into_iter().filter(|f| f.is_file()).find_map(|f| {
        let name = f.display().to_string();
        Some((name.clone(), load_symbols(&f, &name).ok()?))
    })
}

fn symbols_of(bytes: FileBytes, name: &str) -> Result<Arc<Symbols>, OpenError> {
    Symbols::load(bytes).map(Arc::new).map_err(|source| OpenError::Binary { path: name.into(), source })
}

/// What a cut-off core lacks, in words.
fn missing(m: Missing) -> Vec<String> {
    let mut out = Vec::new();
    if m.bytes > 0 {
        let percent = m.bytes.saturating_mul(100).checked_div(m.of).unwrap_or(0);
        out.push(format!(
            "the core is cut off: {} of {} MiB ({percent} %) are missing, from {:#x} on; what lies there cannot be read",
            m.bytes.div_ceil(1 << 20),
            m.of.div_ceil(1 << 20),
            m.first
        ));
    }
    if m.notes {
        out.push("the core is cut off in or before its notes: registers of threads are missing, so goroutines that ran have no stacks".into());
    }
    out
}
