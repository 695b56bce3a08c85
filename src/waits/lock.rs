//! Mutex, RWMutex, Once, and semaphores that belong to none of them. A semaphore's address tells the lock's: each keeps it at
//! a fixed place (go/src/sync; the offsets are the same from 1.21 to 1.27).

use super::{Found, Parked, Primitive};
use crate::base::{LoadAddr, Memory};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// `sync.Mutex.sema`.
const MUTEX_SEMA: u64 = 4;
/// `sync.RWMutex.writerSem`.
const WRITER_SEM: u64 = 8;
/// `sync.RWMutex.readerSem`.
const READER_SEM: u64 = 12;
/// `sync.RWMutex.readerCount` and `readerWait`.
const READER_COUNT: u64 = 16;
const READER_WAIT: u64 = 20;
/// `sync.Once.m`.
const ONCE_M: u64 = 4;
/// `rwmutexMaxReaders`: taken off readerCount while a writer waits or holds.
const MAX_READERS: i64 = 1 << 30;

/// Bits of `sync.Mutex.state`.
const LOCKED: u32 = 1;
const STARVING: u32 = 4;
const WAITER_SHIFT: u32 = 3;

/// `locked, 2 waiters`.
pub(super) fn mutex_state(mem: &dyn Memory, mutex: LoadAddr) -> Option<String> {
    let s = mem.read_u32(mutex).ok()?;
    let mut text = String::from(if s & LOCKED != 0 { "locked" } else { "unlocked" });
    if s & STARVING != 0 {
        text += ", starving";
    }
    Some(format!("{text}, {} waiting", s >> WAITER_SHIFT))
}

/// What an RWMutex's counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RwState {
    /// Readers that hold it or wait for it.
    pub readers: i64,
    /// Readers that the writer waits for.
    pub departing: i64,
    /// A writer waits or holds.
    pub writer: bool,
}

/// Reads the counters of an RWMutex.
pub fn rwmutex_state(mem: &dyn Memory, at: LoadAddr) -> Option<RwState> {
    let count = i64::from(mem.read_u32(at.add(READER_COUNT)).ok()?.cast_signed());
    let departing = i64::from(mem.read_u32(at.add(READER_WAIT)).ok()?.cast_signed());
    let writer = count < 0;
    Some(RwState { readers: if writer { count + MAX_READERS } else { count }, departing, writer })
}

fn rwmutex_text(mem: &dyn Memory, at: LoadAddr) -> Option<String> {
    let s = rwmutex_state(mem, at)?;
    Some(match (s.writer, s.departing) {
        (false, _) => format!("{} readers", s.readers),
        (true, n) if n > 0 => format!("a writer waits for {n} readers"),
        (true, _) => format!("held by a writer, {} readers wait", s.readers),
    })
}

fn on(kind: WaitKind, op: WaitOp, addr: LoadAddr, type_name: &str, detail: Option<String>) -> WaitOn {
    WaitOn { kind, op, addr: Some(addr), type_name: Some(type_name.into()), detail, ..WaitOn::default() }
}

/// The wait for a semaphore, made by its address.
pub(super) fn found(p: &Parked<'_>, make: impl Fn(LoadAddr) -> WaitOn) -> Found {
    match p.semaphore() {
        Some((sema, sudog)) => Found { on: vec![make(sema)], sudogs: vec![sudog], woken: false },
        None => Found::default(),
    }
}

/// `sync.Mutex`.
pub(super) const MUTEX: Primitive = Primitive {
    name: "mutex",
    applies: |p| p.reason() == "sync.Mutex.Lock",
    find: |p| {
        found(p, |sema| {
            let at = sema.offset(-(MUTEX_SEMA as i64));
            on(WaitKind::Mutex, WaitOp::Lock, at, "sync.Mutex", mutex_state(p.mem(), at))
        })
    },
};

/// `sync.RWMutex`: readers, the writer, and writers behind a writer (in its `w`, which is its first field).
pub(super) const RWMUTEX: Primitive = Primitive {
    name: "rwmutex",
    applies: |p| {
        matches!(p.reason(), "sync.RWMutex.RLock" | "sync.RWMutex.Lock")
            || p.reason() == "sync.Mutex.Lock" && p.waiter() == "sync.(*RWMutex).Lock"
    },
    find: |p| {
        let (back, op) = match p.reason() {
            "sync.RWMutex.RLock" => (READER_SEM, WaitOp::Rlock),
            "sync.RWMutex.Lock" => (WRITER_SEM, WaitOp::Lock),
            _ => (MUTEX_SEMA, WaitOp::Lock),
        };
        found(p, |sema| {
            let at = sema.offset(-(back as i64));
            on(WaitKind::Rwmutex, op, at, "sync.RWMutex", rwmutex_text(p.mem(), at))
        })
    },
};

/// `sync.Once`: its mutex is held while the function runs.
pub(super) const ONCE: Primitive = Primitive {
    name: "once",
    applies: |p| p.reason() == "sync.Mutex.Lock" && p.waiter() == "sync.(*Once).doSlow",
    find: |p| {
        found(p, |sema| {
            let at = sema.offset(-((MUTEX_SEMA + ONCE_M) as i64));
            on(WaitKind::Once, WaitOp::Wait, at, "sync.Once", Some("its function is running".into()))
        })
    },
};

/// Any other semaphore: an FD's lock, the runtime's own.
pub(super) const SEMAPHORE: Primitive = Primitive {
    name: "semaphore",
    applies: |p| p.reason() == "semacquire",
    find: |p| {
        let fd = p.frame_of(|f| f.starts_with("internal/poll.(*fdMutex)")).is_some();
        found(p, |sema| {
            let detail = fd.then(|| "lock of a file descriptor".to_string());
            WaitOn {
                kind: WaitKind::Semaphore,
                op: WaitOp::Wait,
                addr: Some(sema),
                type_name: fd.then(|| "internal/poll.fdMutex".to_string()),
                detail,
                ..WaitOn::default()
            }
        })
    },
};
