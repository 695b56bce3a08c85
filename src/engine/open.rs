//! Getting a target: symbols first, while it runs; then the runtime's globals; then, for control, the ptrace attachment.

use super::breakpoints::{Breakpoints, FATAL_ERROR, UNRECOVERED_PANIC};
use super::int3::Int3;
use super::journal::{self, Header, Journal};
use super::stepover::Displaced;
use super::{Engine, EngineError, Happened, Origin, StopState};
use crate::base::clock::monotonic_ns;
use crate::base::mmap::FileBytes;
use crate::base::{LoadBias, Memory, StopEpoch};
use crate::goruntime::GoRuntime;
use crate::model::target::Replacement;
use crate::model::{BuildFacts, ReadInfo, ReadMode, TargetInfo, TargetKind};
use crate::symbols::{Symbols, SymbolsError};
use crate::target::TargetError;
use crate::target::core::CoreError;
use crate::target::linux::memory::ProcessMemory;
use crate::target::linux::tracer::Tracer;
use crate::target::linux::{procfs, spawn};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// Why a target could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The process.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The executable.
    #[error("{path}: {source}")]
    Binary {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: SymbolsError,
    },
    /// The executable could not be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The Go runtime's structures could not be found.
    #[error("{path}: {message}")]
    Runtime {
        /// Its path.
        path: String,
        /// Why.
        message: String,
    },
    /// The file is no core that can be read.
    #[error("{path}: {source}")]
    Core {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: CoreError,
    },
    /// A core whose program is not where the core says.
    #[error("the program of {core} was not found{}", if tried.is_empty() { ": the core does not say where it was".to_string() } else { format!(" (looked for {tried})") })]
    NoExecutable {
        /// The core.
        core: String,
        /// Paths tried, with commas.
        tried: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A target that can be read: symbols, memory and runtime. Nothing is stopped or attached for it.
#[derive(Clone)]
pub struct Loaded {
    /// Process id.
    pub pid: i32,
    /// Path of the executable, for display.
    pub exe: String,
    /// Symbols.
    pub sym: Arc<Symbols>,
    /// Memory, for reading.
    pub mem: Arc<dyn Memory>,
    /// The live process behind it, where there is one: it can be written.
    pub process: Option<Arc<ProcessMemory>>,
    /// Runtime structures.
    pub rt: Arc<GoRuntime>,
    /// Where it was loaded.
    pub bias: LoadBias,
    /// Process as it is, or copy.
    pub origin: Arc<Origin>,
}

/// Reads an executable's symbols.
pub fn load_symbols(path: &Path, shown: &str) -> Result<Arc<Symbols>, OpenError> {
    let bytes = FileBytes::open(path).map_err(|source| OpenError::File { path: shown.into(), source })?;
    Symbols::load(bytes).map(Arc::new).map_err(|source| OpenError::Binary { path: shown.into(), source })
}

/// The Go code of a process: its path for display, its symbols, where it was loaded. That is the executable or, where that is not
/// Go's, a library in it that is (`-buildmode=c-shared`). `exe` names another file to take an executable's symbols from.
pub(super) fn go_image(pid: i32, exe: Option<&Path>) -> Result<(String, Arc<Symbols>, LoadBias), OpenError> {
    let (shown, path) = procfs::exe(pid)?;
    let (shown, path) = match exe {
        Some(e) => (e.display().to_string(), e.to_path_buf()),
        None => (shown, path),
    };
    match load_symbols(&path, &shown) {
        Ok(sym) => {
            let bias = procfs::load_bias(pid, sym.image().entry().0)?;
            Ok((shown, sym, bias))
        }
        Err(e @ OpenError::Binary { source: SymbolsError::NotGo, .. }) if exe.is_none() => go_library(pid)?.ok_or(e),
        Err(e) => Err(e),
    }
}

/// The first mapped library with a Go function table.
fn go_library(pid: i32) -> Result<Option<(String, Arc<Symbols>, LoadBias)>, OpenError> {
    let maps = procfs::maps(pid)?;
    let mut seen = BTreeSet::new();
    for m in maps.iter().filter(|m| m.inode != 0 && m.path.starts_with('/')) {
        if !seen.insert(m.inode) || !maps.iter().any(|x| x.inode == m.inode && x.perms.contains('x')) {
            continue;
        }
        let Some(path) = procfs::mapped_file(pid, m) else { continue };
        let Ok(sym) = load_symbols(&path, &m.path) else { continue };
        // The first mapping of a file begins with its first segment.
        let bias = LoadBias(m.start.wrapping_sub(m.offset).wrapping_sub(sym.image().lowest_addr().0));
        return Ok(Some((m.path.clone(), sym, bias)));
    }
    Ok(None)
}

impl Loaded {
    /// Opens a running process for reading. `exe` names another file to take symbols from.
    pub fn open(pid: i32, exe: Option<&Path>) -> Result<Loaded, OpenError> {
        if !procfs::alive(pid) {
            return Err(TargetError::NoProcess(pid).into());
        }
        let (shown, sym, bias) = go_image(pid, exe)?;
        Loaded::at(pid, shown, sym, bias)
    }

    /// A process whose executable's symbols are known.
    pub fn with_symbols(pid: i32, exe: String, sym: Arc<Symbols>) -> Result<Loaded, OpenError> {
        let bias = procfs::load_bias(pid, sym.image().entry().0)?;
        Loaded::at(pid, exe, sym, bias)
    }

    fn at(pid: i32, exe: String, sym: Arc<Symbols>, bias: LoadBias) -> Result<Loaded, OpenError> {
        let mem = Arc::new(ProcessMemory::open(pid)?);
        let rt = GoRuntime::open(sym.clone(), bias, &*mem)
            .map_err(|e| OpenError::Runtime { path: exe.clone(), message: e.to_string() })?;
        let mut loaded = Loaded {
            pid,
            exe,
            sym,
            mem: mem.clone(),
            process: Some(mem),
            rt: Arc::new(rt),
            bias,
            origin: Arc::default(),
        };
        let problems = loaded.find_modules();
        if !problems.is_empty() {
            loaded.origin = Arc::new(Origin { notes: problems, ..Origin::default() });
        }
        Ok(loaded)
    }

    /// The moment at which what is read is true, nanoseconds of CLOCK_MONOTONIC: now, for a living process.
    pub fn now_ns(&self) -> u64 {
        self.origin.clock_ns.unwrap_or_else(monotonic_ns)
    }

    /// How a read in this state is made; time and retries are the reader's to add.
    pub fn read_info(&self, state: &StopState) -> ReadInfo {
        let mode = match self.origin.kind {
            TargetKind::Process if state.stopped => ReadMode::Stopped,
            TargetKind::Process => ReadMode::Observed,
            _ => ReadMode::Offline,
        };
        ReadInfo { mode, pause_us: state.pause_us, taken_at: self.origin.taken_at, ..ReadInfo::default() }
    }

    /// What screens and JSON say of it.
    pub fn info(&self, launched: bool, args: Vec<String>) -> TargetInfo {
        let mut notes = self.origin.notes.clone();
        notes.extend(self.sym.notes());
        notes.extend(crate::goruntime::layout::note(self.sym.go_version()));
        TargetInfo {
            kind: self.origin.kind,
            pid: (self.pid > 0).then_some(self.pid),
            exe: self.exe.clone(),
            args,
            go: self.sym.go_version().short().to_string(),
            arch: "amd64".into(),
            stripped: !self.sym.has_dwarf_section(),
            optimised: self.sym.is_optimised(),
            pie: self.sym.image().is_pie(),
            launched,
            main_package: self.sym.build_info().path.clone(),
            notes,
            build: build_facts(&self.sym),
            leaving: None,
        }
    }
}

/// From what a program was built, for finding its sources.
pub fn build_facts(sym: &Symbols) -> BuildFacts {
    let b = sym.build_info();
    let replaced = b.replaced.iter().cloned();
    BuildFacts {
        go: b.version.short().to_string(),
        module: b.module.as_ref().map_or_else(String::new, |m| m.0.clone()),
        deps: b.deps.clone(),
        replaced: replaced
            .map(|[path, version, by, by_version]| Replacement { path, version, by, by_version })
            .collect(),
        vcs_revision: b.setting("vcs.revision").unwrap_or_default().to_string(),
        vcs_modified: b.setting("vcs.modified") == Some("true"),
    }
}

impl Engine {
    /// Takes control of a running process. It is not stopped.
    pub fn attach(loaded: &Loaded) -> Result<Engine, OpenError> {
        // The guardian of a host that was killed a moment ago may still be putting things back: what it has not come to is not the program's own.
        for file in journal::of(loaded.pid, procfs::start_time(loaded.pid)) {
            if !journal::is_free_within(&file, journal::GUARDIAN) {
                tracing::warn!("{} is still at work", file.display());
            }
        }
        let ground = Ground::of(loaded, false)?;
        // Last what touches the process: whatever fails before it leaves it as it was.
        let mut e = Engine::build(Tracer::attach(loaded.pid)?, ground, loaded, false, false);
        e.running = true;
        Ok(e)
    }

    /// Launches a program, stopped before its first instruction, and its terminal.
    pub fn launch(spec: &spawn::Launch, sym: Arc<Symbols>) -> Result<(Engine, Loaded, Option<OwnedFd>), OpenError> {
        let mut started = spawn::launch(spec)?;
        let pid = started.tracer.pid();
        let made = Loaded::with_symbols(pid, spec.exe.display().to_string(), sym)
            .and_then(|l| Ground::of(&l, true).map(|g| (l, g)));
        let (loaded, ground) = match made {
            Ok(made) => made,
            Err(e) => {
                started.tracer.kill();
                return Err(e);
            }
        };
        let mut e = Engine::build(started.tracer, ground, &loaded, true, spec.exit_kill);
        e.entry = loaded.sym.find_function("main.main").map(|f| loaded.bias.to_load(loaded.sym.pc_after_prologue(f)));
        Ok((e, loaded, started.pty))
    }

    fn build(tracer: Tracer, ground: Ground, l: &Loaded, launched: bool, kill_on_end: bool) -> Engine {
        let Ground { journal, mem, happened } = ground;
        let own =
            [("runtime.fatalpanic", UNRECOVERED_PANIC), ("runtime.throw", FATAL_ERROR), ("runtime.fatal", FATAL_ERROR)];
        let own: BTreeMap<_, _> =
            own.iter().filter_map(|(name, id)| Some((l.bias.to_load(l.sym.find_function(name)?.entry), *id))).collect();
        Engine {
            pending: super::hits::Pending::default(),
            guard: None,
            calling: None,
            probes: BTreeMap::new(),
            returned: Vec::new(),
            replan: false,
            plan: super::watch::Plan::default(),
            tracer,
            mem,
            sym: l.sym.clone(),
            rt: l.rt.clone(),
            bias: l.bias,
            traps: Int3::new(journal),
            displaced: Displaced::new(&l.sym, l.bias),
            table: Breakpoints::default(),
            own,
            entry: None,
            to: Vec::new(),
            step: None,
            running: false,
            gone: false,
            epoch: StopEpoch(1),
            state: Arc::new(StopState { epoch: StopEpoch(1), ..StopState::default() }),
            dealt_with: BTreeSet::new(),
            vforked: BTreeSet::new(),
            unhandled: VecDeque::new(),
            crowd: super::crowd::Crowd::default(),
            pauses: super::pauses::Pauses::default(),
            asleep_until: std::time::Instant::now(),
            asleep_for: super::running::ASLEEP.0,
            awake: crate::target::linux::awake::Awake::default(),
            launched,
            kill_on_end,
            happened,
        }
    }
}

/// What control of a process stands on, apart from the process itself.
struct Ground {
    journal: Option<Journal>,
    mem: Arc<ProcessMemory>,
    happened: Vec<Happened>,
}

impl Ground {
    fn of(l: &Loaded, launched: bool) -> Result<Ground, OpenError> {
        let mut happened = Vec::new();
        let header = Header {
            pid: l.pid,
            start_time: procfs::start_time(l.pid).unwrap_or(0),
            exe: l.exe.clone(),
            host: std::process::id() as i32,
        };
        let journal = match Journal::create(&header) {
            Ok(j) => Some(j),
            // A program of our own may lose its breakpoints; one that we attach to may not.
            Err(e) if launched => {
                happened.push(Happened::Note(format!("no journal: {e}")));
                None
            }
            Err(e) => return Err(EngineError::Arm(super::int3::ArmError::Journal(e)).into()),
        };
        let Some(mem) = l.process.clone() else {
            return Err(EngineError::State("only a live process can be controlled".into()).into());
        };
        Ok(Ground { journal, mem, happened })
    }
}
