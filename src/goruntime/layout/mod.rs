//! Every assumption about the Go runtime's structures, in one place; the only module that compares releases.
//!
//! Offsets come from the program's own DWARF when that is loaded, else from [`table`]; facts that DWARF cannot say are
//! the fields of [`Facts`]. Code elsewhere asks for a field or a fact by name.

mod from_dwarf;
pub mod generate;
mod groups;
mod table;
mod waitreasons;

pub use groups::{GcLayout, HeapLayout, PollLayout, SchedLayout, TimerLayout};

use crate::base::GoVersion;
use crate::symbols::Symbols;

/// Oldest and newest minor releases of Go 1 that the tables were checked against.
pub const KNOWN: std::ops::RangeInclusive<u16> = 21..=27;

/// Why no layout can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Neither DWARF nor the tables have it.
    #[error("the layout of {0} is not known for {1} and the program has no DWARF that says it")]
    Unknown(String, String),
    /// A release that the tables do not have, in a program without DWARF.
    #[error("{0} is not one of the releases known here (1.{first} to 1.{last}), and the program has no DWARF that tells its structures", first = KNOWN.start(), last = KNOWN.end())]
    Release(String),
}

/// Offsets in `runtime.g`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct GLayout {
    pub size: u64,
    pub stack_lo: u64,
    pub stack_hi: u64,
    pub panic: u64,
    pub defer: u64,
    pub m: u64,
    pub sched_sp: u64,
    pub sched_pc: u64,
    pub syscallsp: u64,
    pub syscallpc: u64,
    pub status: u64,
    pub goid: u64,
    pub waitsince: u64,
    pub waitreason: u64,
    pub running_cleanups: Option<u64>,
    pub parent_goid: u64,
    pub gopc: u64,
    pub startpc: u64,
    pub waiting: u64,
    pub labels: u64,
    pub tracking_seq: Option<u64>,
    pub sleep_when: Option<u64>,
    pub in_mark_assist: Option<u64>,
}

/// Offsets in `runtime.m`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct MLayout {
    pub g0: u64,
    pub procid: u64,
    pub gsignal: u64,
    pub curg: u64,
    pub vdso_sp: u64,
    pub vdso_pc: u64,
}

/// Offsets in `runtime.sudog`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SudogLayout {
    pub size: u64,
    pub g: u64,
    pub next: u64,
    pub prev: u64,
    pub elem: u64,
    pub waitlink: u64,
    pub is_select: u64,
    pub c: u64,
}

/// Offsets in `runtime.hchan`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct HchanLayout {
    pub size: u64,
    pub qcount: u64,
    pub dataqsiz: u64,
    pub buf: u64,
    pub elemsize: u64,
    pub closed: u64,
    pub timer: Option<u64>,
    pub elemtype: u64,
    pub recvx: u64,
    pub recvq_first: u64,
    pub sendq_first: u64,
}

/// Offsets in `runtime._defer`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct DeferLayout {
    pub size: u64,
    pub rangefunc: Option<u64>,
    pub open_defer: Option<u64>,
    pub started: Option<u64>,
    pub sp: u64,
    pub pc: u64,
    pub func: u64,
    pub link: u64,
    pub head: Option<u64>,
}

/// Offsets in `runtime._panic`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct PanicLayout {
    pub arg: u64,
    pub link: u64,
    pub recovered: u64,
    pub goexit: u64,
}

/// Numbers of kinds of special records (they moved in 1.24 and 1.25).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialKinds {
    /// A finalizer.
    pub finalizer: u8,
    /// A weak pointer's handle (since 1.24).
    pub weak: Option<u8>,
    /// A cleanup (since 1.24).
    pub cleanup: Option<u8>,
}

/// What DWARF cannot say.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Where `asmcgocall` keeps the depth of the goroutine's stack, from SP on the system stack (frame changed in 1.22).
    pub asmcgocall_depth: u64,
    /// Bytes by which it lowers SP before it aligns it.
    pub asmcgocall_room: u64,
    /// pprof labels are a slice of pairs (since 1.24), before that a map.
    pub labels_are_slice: bool,
    /// FUNCDATA of open-coded defers lists each slot (1.21); later only the first, the others follow.
    pub open_defer_lists_slots: bool,
    /// The flag for pointer-shaped interface data is in TFlag (since 1.26), before that in Kind.
    pub direct_iface_in_tflag: bool,
    /// `mspan.nelems` and `freeindex` are words (1.21), later 16 bits.
    pub span_counts_are_words: bool,
    /// Small objects' spans keep mark bits behind their pointer bits (greentea: 1.26 unless switched off, 1.25 if switched on).
    pub inline_mark_bits: bool,
    /// TFlag 16 says that GCData points to a pointer to the mask, made on demand (since 1.24).
    pub gc_mask_on_demand: bool,
    /// Kind bit 64 says that GCData is a program, not a mask (up to 1.23).
    pub gc_programs: bool,
    /// `g.waiting` has the sudog of a semaphore or Cond, too (since 1.26).
    pub waiting_has_semaphores: bool,
    /// `p.timers` is a slice of pairs inside a struct (since 1.23), before that a slice of pointers.
    pub timers_are_pairs: bool,
    /// `p.status` 2 is a system call (up to 1.25).
    pub p_syscall_status: bool,
    /// Offset of `schedt.lock`, by which `runtime.sched` is found in a stripped file.
    pub sched_lock: Option<u64>,
    /// Kind numbers among the specials of a span.
    pub specials: SpecialKinds,
    /// Words of a cleanup that lead into the heap: its closure (1.24), later how to call it, its function and its argument.
    pub cleanup_words: u64,
}

/// Everything about one program's runtime.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Layout {
    pub g: GLayout,
    pub m: MLayout,
    pub sudog: SudogLayout,
    pub hchan: HchanLayout,
    pub defer: DeferLayout,
    pub panic: PanicLayout,
    pub heap: Option<HeapLayout>,
    pub sched: Option<SchedLayout>,
    pub timer: Option<TimerLayout>,
    pub poll: Option<PollLayout>,
    pub gc: Option<GcLayout>,
    pub facts: Facts,
    /// Texts by number, for when the target's own cannot be read.
    pub wait_reasons: &'static [&'static str],
    /// Offsets were read from the program itself.
    pub from_dwarf: bool,
}

impl Layout {
    /// The layout of a program's runtime.
    pub fn of(symbols: &Symbols) -> Result<Layout, LayoutError> {
        let v = symbols.go_version();
        // Reading DWARF costs time in proportion to the program; a known release need not wait for it.
        // Experiments move fields.
        let known = is_known(v);
        let plain = known && !v.text.contains("X:");
        let dwarf = if plain { symbols.dwarf_if_loaded() } else { symbols.dwarf() };
        if !known && dwarf.is_none() {
            let name = if v.text.is_empty() { "a program without a Go version" } else { &v.text };
            return Err(LayoutError::Release(name.into()));
        }
        let own = dwarf.map(from_dwarf::Offsets::read);
        let find = |name: &str| -> Option<u64> {
            match own.as_ref().and_then(|o| o.get(name)) {
                Some(o) => Some(o),
                // What its own DWARF does not have is not there in a release that nobody here has seen.
                None => known.then(|| from_table(v, name)).flatten(),
            }
        };
        let need = |name: &str| find(name).ok_or_else(|| LayoutError::Unknown(name.into(), v.text.clone()));
        let g = |f: &str| need(&format!("runtime.g.{f}"));
        let m = |f: &str| need(&format!("runtime.m.{f}"));
        let sd = |f: &str| need(&format!("runtime.sudog.{f}"));
        let hc = |f: &str| need(&format!("runtime.hchan.{f}"));
        let de = |f: &str| need(&format!("runtime._defer.{f}"));
        let pa = |f: &str| need(&format!("runtime._panic.{f}"));
        Ok(Layout {
            g: GLayout {
                size: g("@size")?,
                stack_lo: g("stack.lo")?,
                stack_hi: g("stack.hi")?,
                panic: g("_panic")?,
                defer: g("_defer")?,
                m: g("m")?,
                sched_sp: g("sched.sp")?,
                sched_pc: g("sched.pc")?,
                syscallsp: g("syscallsp")?,
                syscallpc: g("syscallpc")?,
                status: g("atomicstatus.value")?,
                goid: g("goid")?,
                waitsince: g("waitsince")?,
                waitreason: g("waitreason")?,
                running_cleanups: find("runtime.g.runningCleanups"),
                parent_goid: g("parentGoid")?,
                gopc: g("gopc")?,
                startpc: g("startpc")?,
                waiting: g("waiting")?,
                labels: g("labels")?,
                tracking_seq: find("runtime.g.trackingSeq"),
                sleep_when: find("runtime.g.sleepWhen"),
                in_mark_assist: find("runtime.g.inMarkAssist"),
            },
            m: MLayout {
                g0: m("g0")?,
                procid: m("procid")?,
                gsignal: m("gsignal")?,
                curg: m("curg")?,
                vdso_sp: m("vdsoSP")?,
                vdso_pc: m("vdsoPC")?,
            },
            sudog: SudogLayout {
                size: sd("@size")?,
                g: sd("g")?,
                next: sd("next")?,
                prev: sd("prev")?,
                elem: sd("elem")?,
                waitlink: sd("waitlink")?,
                is_select: sd("isSelect")?,
                c: sd("c")?,
            },
            hchan: HchanLayout {
                size: hc("@size")?,
                qcount: hc("qcount")?,
                dataqsiz: hc("dataqsiz")?,
                buf: hc("buf")?,
                elemsize: hc("elemsize")?,
                closed: hc("closed")?,
                timer: find("runtime.hchan.timer"),
                elemtype: hc("elemtype")?,
                recvx: hc("recvx")?,
                recvq_first: hc("recvq.first")?,
                sendq_first: hc("sendq.first")?,
            },
            defer: DeferLayout {
                size: de("@size")?,
                rangefunc: find("runtime._defer.rangefunc"),
                open_defer: find("runtime._defer.openDefer"),
                started: find("runtime._defer.started"),
                sp: de("sp")?,
                pc: de("pc")?,
                func: de("fn")?,
                link: de("link")?,
                head: find("runtime._defer.head"),
            },
            panic: PanicLayout {
                arg: pa("arg")?,
                link: pa("link")?,
                recovered: pa("recovered")?,
                goexit: pa("goexit")?,
            },
            heap: HeapLayout::find(find),
            sched: SchedLayout::find(find),
            timer: TimerLayout::find(find),
            poll: PollLayout::find(find),
            gc: GcLayout::find(find),
            facts: Facts {
                asmcgocall_depth: if v.minor <= 21 { 40 } else { 0 },
                asmcgocall_room: if v.minor <= 21 { 64 } else { 16 },
                labels_are_slice: v.minor >= 24,
                open_defer_lists_slots: v.minor <= 21,
                direct_iface_in_tflag: v.minor >= 26,
                span_counts_are_words: v.minor <= 21,
                inline_mark_bits: match v.minor {
                    ..=24 => false,
                    25 => has_experiment(v, "greenteagc"),
                    _ => !has_experiment(v, "nogreenteagc"),
                },
                gc_mask_on_demand: v.minor >= 24,
                gc_programs: v.minor <= 23,
                waiting_has_semaphores: v.minor >= 26,
                timers_are_pairs: v.minor >= 23,
                p_syscall_status: v.minor <= 25,
                sched_lock: find("runtime.schedt.lock"),
                specials: SpecialKinds {
                    finalizer: if v.minor <= 24 { 1 } else { 2 },
                    weak: match v.minor {
                        ..=23 => None,
                        24 => Some(2),
                        _ => Some(3),
                    },
                    cleanup: match v.minor {
                        ..=23 => None,
                        24 => Some(6),
                        _ => Some(7),
                    },
                },
                cleanup_words: if v.minor <= 25 { 1 } else { 3 },
            },
            wait_reasons: wait_reasons(v),
            from_dwarf: own.is_some(),
        })
    }
}

/// Do the tables have it?
fn is_known(v: &GoVersion) -> bool {
    v.major == 1 && KNOWN.contains(&v.minor)
}

/// What a user should know of how this release's structures are known; none for the known ones.
pub fn note(v: &GoVersion) -> Option<String> {
    (!is_known(v)).then(|| {
        format!(
            "{} is newer or older than the releases known here (1.{} to 1.{}): its structures are as its DWARF says, and some things may be read wrongly",
            if v.text.is_empty() { "this Go" } else { v.short() },
            KNOWN.start(),
            KNOWN.end()
        )
    })
}

fn from_table(v: &GoVersion, name: &str) -> Option<u64> {
    for (experiment, rows) in table::EXPERIMENTS {
        if has_experiment(v, experiment)
            && let Some(row) = rows.iter().find(|r| r.0 == name)
            && let Some(at) = row.1.iter().find(|r| r.0 == v.minor)
        {
            return u64::try_from(at.2).ok();
        }
    }
    let ranges = table::ROWS.iter().find(|r| r.0 == name)?.1;
    let at = ranges.iter().rev().find(|r| (r.0, r.1) <= (v.minor, v.patch))?.2;
    u64::try_from(at).ok()
}

/// Was the toolchain built with an experiment? `go1.25.5 X:a,b` up to 1.25, `go1.26.6-X:a,b` from 1.26.
fn has_experiment(v: &GoVersion, name: &str) -> bool {
    v.text.split_once("X:").is_some_and(|(_, list)| list.split([',', ' ']).any(|e| e == name))
}

/// Why a goroutine waits, in words, by `runtime.g.waitreason` of a release.
pub fn wait_reasons(v: &GoVersion) -> &'static [&'static str] {
    waitreasons::TABLES.iter().rev().find(|t| t.0 <= v.minor).map_or(&[], |t| t.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn rows_by_release() {
        let at = |v: &str, n: &str| from_table(&GoVersion::parse(v), n);
        assert_eq!(at("go1.22.10", "runtime.g.goid"), Some(152));
        assert_eq!(at("go1.23.9", "runtime.g.goid"), Some(160));
        assert_eq!(at("go1.27.3", "runtime.g.goid"), Some(152));
        assert_eq!(at("go1.21.13", "runtime._defer.head"), None);
        assert_eq!(wait_reasons(&GoVersion::parse("go1.26.8")).get(19), Some(&"chan receive"));
        assert_eq!(wait_reasons(&GoVersion::parse("go1.22.1")).get(14), Some(&"chan receive"));
    }
}
