//! What the format versions of execution traces differ in, and every event: the only place that knows either.

use super::Kind;

/// One version of the format. The number in a file's header counts formats, not toolchains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The number in the header: `go 1.NN trace`.
    pub number: u8,
    /// The releases that write it.
    pub releases: &'static str,
    /// Batches by thread, in generations (v2); else batches by P, the whole file one piece (v1).
    pub generations: bool,
    /// A generation tells frequency and clocks in a `Sync` batch at its begin; else a batch with the frequency is somewhere in it.
    pub clocks: bool,
    /// A byte marks the end of a generation; else the first batch of the next one does.
    pub marks: bool,
    /// v1: kinds of stops of the world are numbered as in 1.21.
    pub stops: bool,
    /// v1: there are CPU samples.
    pub samples: bool,
}

const V1: Format =
    Format { number: 11, releases: "", generations: false, clocks: false, marks: false, stops: false, samples: false };
const V2: Format = Format { generations: true, ..V1 };

/// Every version that is read: those that Go's own tool reads.
pub const FORMATS: [Format; 7] = [
    Format { number: 11, releases: "1.11 to 1.18", ..V1 },
    Format { number: 19, releases: "1.19, 1.20", samples: true, ..V1 },
    Format { number: 21, releases: "1.21", samples: true, stops: true, ..V1 },
    Format { number: 22, releases: "1.22", ..V2 },
    Format { number: 23, releases: "1.23, 1.24", ..V2 },
    Format { number: 25, releases: "1.25", clocks: true, ..V2 },
    Format { number: 26, releases: "1.26 and newer", clocks: true, marks: true, ..V2 },
];

/// Length of a header, bytes.
pub const HEADER: usize = 16;

/// The format that a header names; the number alone if it is a trace, but of no format that is known.
pub fn header(head: &[u8]) -> Result<Format, Option<u32>> {
    let number = head
        .get(..HEADER)
        .and_then(|h| h.strip_prefix(b"go 1."))
        .and_then(|h| h.strip_suffix(b" trace\0\0\0"))
        .and_then(|n| std::str::from_utf8(n).ok()?.parse::<u32>().ok())
        .ok_or(None)?;
    FORMATS.into_iter().find(|f| u32::from(f.number) == number).ok_or(Some(number))
}

/// Event numbers of v2.
#[allow(missing_docs)]
pub mod ev {
    pub const BATCH: u8 = 1;
    pub const STACKS: u8 = 2;
    pub const STACK: u8 = 3;
    pub const STRINGS: u8 = 4;
    pub const STRING: u8 = 5;
    pub const CPU_SAMPLES: u8 = 6;
    pub const CPU_SAMPLE: u8 = 7;
    pub const FREQUENCY: u8 = 8;
    pub const PROCS_CHANGE: u8 = 9;
    pub const PROC_START: u8 = 10;
    pub const PROC_STOP: u8 = 11;
    pub const PROC_STEAL: u8 = 12;
    pub const PROC_STATUS: u8 = 13;
    pub const GO_CREATE: u8 = 14;
    pub const GO_CREATE_SYSCALL: u8 = 15;
    pub const GO_START: u8 = 16;
    pub const GO_DESTROY: u8 = 17;
    pub const GO_DESTROY_SYSCALL: u8 = 18;
    pub const GO_STOP: u8 = 19;
    pub const GO_BLOCK: u8 = 20;
    pub const GO_UNBLOCK: u8 = 21;
    pub const GO_SYSCALL_BEGIN: u8 = 22;
    pub const GO_SYSCALL_END: u8 = 23;
    pub const GO_SYSCALL_END_BLOCKED: u8 = 24;
    pub const GO_STATUS: u8 = 25;
    pub const STW_BEGIN: u8 = 26;
    pub const STW_END: u8 = 27;
    pub const GC_ACTIVE: u8 = 28;
    pub const GC_BEGIN: u8 = 29;
    pub const GC_END: u8 = 30;
    pub const SWEEP_ACTIVE: u8 = 31;
    pub const SWEEP_BEGIN: u8 = 32;
    pub const SWEEP_END: u8 = 33;
    pub const ASSIST_ACTIVE: u8 = 34;
    pub const ASSIST_BEGIN: u8 = 35;
    pub const ASSIST_END: u8 = 36;
    pub const HEAP_ALLOC: u8 = 37;
    pub const HEAP_GOAL: u8 = 38;
    pub const GO_LABEL: u8 = 39;
    pub const TASK_BEGIN: u8 = 40;
    pub const TASK_END: u8 = 41;
    pub const REGION_BEGIN: u8 = 42;
    pub const REGION_END: u8 = 43;
    pub const LOG: u8 = 44;
    pub const GO_SWITCH: u8 = 45;
    pub const GO_SWITCH_DESTROY: u8 = 46;
    pub const GO_CREATE_BLOCKED: u8 = 47;
    pub const GO_STATUS_STACK: u8 = 48;
    pub const EXPERIMENTAL_BATCH: u8 = 49;
    pub const SYNC: u8 = 50;
    pub const CLOCK_SNAPSHOT: u8 = 51;
    pub const END_OF_GENERATION: u8 = 52;
    /// First of the experimental ones.
    pub const SPAN: u8 = 128;
    /// Last of them.
    pub const STACK_FREE: u8 = 136;
    /// Not in files: begin of a generation, and end of a trace.
    pub const MARK: u8 = 255;
}

/// What an event looks like.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name in Go.
    pub name: &'static str,
    /// Arguments behind the time delta.
    pub args: u8,
    /// Stands in a thread's batches, with a time delta.
    pub timed: bool,
    /// Arguments (counted from 1; 0 for none) that are stack ids; the first is the one of who did it.
    pub stacks: [u8; 2],
    /// Arguments that are string ids.
    pub strings: [u8; 2],
    /// What Go's reader calls it.
    pub kind: Kind,
}

const NONE: Spec = Spec { name: "", args: 0, timed: false, stacks: [0; 2], strings: [0; 2], kind: Kind::Bad };

/// All, by number. A reader takes every event in every version, as Go's does.
pub static SPECS: [Spec; 256] = specs();

const fn specs() -> [Spec; 256] {
    use Kind::*;
    let mut t = [NONE; 256];
    const fn timed(name: &'static str, args: u8, kind: Kind) -> Spec {
        Spec { name, args, timed: true, stacks: [0; 2], strings: [0; 2], kind }
    }
    const fn stack(name: &'static str, args: u8, stack: u8, kind: Kind) -> Spec {
        Spec { stacks: [stack, 0], ..timed(name, args, kind) }
    }
    t[ev::CPU_SAMPLE as usize] = Spec { timed: false, ..stack("CPUSample", 5, 1, StackSample) };
    t[ev::PROCS_CHANGE as usize] = stack("ProcsChange", 2, 2, Metric);
    t[ev::PROC_START as usize] = timed("ProcStart", 2, StateTransition);
    t[ev::PROC_STOP as usize] = timed("ProcStop", 0, StateTransition);
    t[ev::PROC_STEAL as usize] = timed("ProcSteal", 3, StateTransition);
    t[ev::PROC_STATUS as usize] = timed("ProcStatus", 2, StateTransition);
    t[ev::GO_CREATE as usize] = Spec { stacks: [3, 2], ..timed("GoCreate", 3, StateTransition) };
    t[ev::GO_CREATE_SYSCALL as usize] = timed("GoCreateSyscall", 1, StateTransition);
    t[ev::GO_START as usize] = timed("GoStart", 2, StateTransition);
    t[ev::GO_DESTROY as usize] = timed("GoDestroy", 0, StateTransition);
    t[ev::GO_DESTROY_SYSCALL as usize] = timed("GoDestroySyscall", 0, StateTransition);
    t[ev::GO_STOP as usize] = Spec { strings: [1, 0], ..stack("GoStop", 2, 2, StateTransition) };
    t[ev::GO_BLOCK as usize] = Spec { strings: [1, 0], ..stack("GoBlock", 2, 2, StateTransition) };
    t[ev::GO_UNBLOCK as usize] = stack("GoUnblock", 3, 3, StateTransition);
    t[ev::GO_SYSCALL_BEGIN as usize] = stack("GoSyscallBegin", 2, 2, StateTransition);
    t[ev::GO_SYSCALL_END as usize] = timed("GoSyscallEnd", 0, StateTransition);
    t[ev::GO_SYSCALL_END_BLOCKED as usize] = timed("GoSyscallEndBlocked", 0, StateTransition);
    t[ev::GO_STATUS as usize] = timed("GoStatus", 3, StateTransition);
    t[ev::STW_BEGIN as usize] = Spec { strings: [1, 0], ..stack("STWBegin", 2, 2, RangeBegin) };
    t[ev::STW_END as usize] = timed("STWEnd", 0, RangeEnd);
    t[ev::GC_ACTIVE as usize] = timed("GCActive", 1, RangeActive);
    t[ev::GC_BEGIN as usize] = stack("GCBegin", 2, 2, RangeBegin);
    t[ev::GC_END as usize] = timed("GCEnd", 1, RangeEnd);
    t[ev::SWEEP_ACTIVE as usize] = timed("GCSweepActive", 1, RangeActive);
    t[ev::SWEEP_BEGIN as usize] = stack("GCSweepBegin", 1, 1, RangeBegin);
    t[ev::SWEEP_END as usize] = timed("GCSweepEnd", 2, RangeEnd);
    t[ev::ASSIST_ACTIVE as usize] = timed("GCMarkAssistActive", 1, RangeActive);
    t[ev::ASSIST_BEGIN as usize] = stack("GCMarkAssistBegin", 1, 1, RangeBegin);
    t[ev::ASSIST_END as usize] = timed("GCMarkAssistEnd", 0, RangeEnd);
    t[ev::HEAP_ALLOC as usize] = timed("HeapAlloc", 1, Metric);
    t[ev::HEAP_GOAL as usize] = timed("HeapGoal", 1, Metric);
    t[ev::GO_LABEL as usize] = Spec { strings: [1, 0], ..timed("GoLabel", 1, Label) };
    t[ev::TASK_BEGIN as usize] = Spec { strings: [3, 0], ..stack("UserTaskBegin", 4, 4, TaskBegin) };
    t[ev::TASK_END as usize] = stack("UserTaskEnd", 2, 2, TaskEnd);
    t[ev::REGION_BEGIN as usize] = Spec { strings: [2, 0], ..stack("UserRegionBegin", 3, 3, RegionBegin) };
    t[ev::REGION_END as usize] = Spec { strings: [2, 0], ..stack("UserRegionEnd", 3, 3, RegionEnd) };
    t[ev::LOG as usize] = Spec { strings: [2, 3], ..stack("UserLog", 4, 4, Log) };
    t[ev::GO_SWITCH as usize] = timed("GoSwitch", 2, StateTransition);
    t[ev::GO_SWITCH_DESTROY as usize] = timed("GoSwitchDestroy", 2, StateTransition);
    t[ev::GO_CREATE_BLOCKED as usize] = Spec { stacks: [3, 2], ..timed("GoCreateBlocked", 3, StateTransition) };
    t[ev::GO_STATUS_STACK as usize] = stack("GoStatusStack", 4, 4, StateTransition);
    // Timed by its form, but nothing that happens: ordering refuses it.
    t[ev::CLOCK_SNAPSHOT as usize] = timed("ClockSnapshot", 3, Bad);
    t[ev::SPAN as usize] = timed("Span", 3, Experimental);
    t[129] = timed("SpanAlloc", 3, Experimental);
    t[130] = timed("SpanFree", 1, Experimental);
    t[131] = timed("HeapObject", 2, Experimental);
    t[132] = timed("HeapObjectAlloc", 2, Experimental);
    t[133] = timed("HeapObjectFree", 1, Experimental);
    t[134] = timed("GoroutineStack", 2, Experimental);
    t[135] = timed("GoroutineStackAlloc", 2, Experimental);
    t[ev::STACK_FREE as usize] = timed("GoroutineStackFree", 1, Experimental);
    t[ev::MARK as usize] = Spec { name: "Sync", kind: Sync, ..NONE };
    t
}

/// Limits of the format itself.
pub mod limit {
    /// Longest batch, bytes.
    pub const BATCH: u64 = 64 << 10;
    /// Most frames in a stack.
    pub const FRAMES: u64 = 128;
    /// Longest string, bytes.
    pub const STRING: u64 = 1 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let head = |s: &str| header(format!("{s}\0\0\0").as_bytes());
        assert_eq!(head("go 1.26 trace").map(|f| f.marks), Ok(true));
        assert_eq!(head("go 1.11 trace").map(|f| f.generations), Ok(false));
        assert_eq!(head("go 1.24 trace"), Err(Some(24)));
        assert_eq!(header(b"go 1.26"), Err(None));
        assert_eq!(header(b"GO 1.26 trace\0\0\0"), Err(None));
    }
}
