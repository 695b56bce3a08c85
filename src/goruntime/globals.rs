//! Addresses of the runtime's global variables: from the symbol table, else from instructions that refer to them.

use super::layout::Layout;
use crate::base::{FileAddr, LoadAddr, LoadBias};
use crate::symbols::Symbols;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// Where the runtime keeps what it knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Globals {
    /// Word that holds the number of goroutines ever made.
    pub allglen: LoadAddr,
    /// Word that points to the array of `*g`.
    pub allgptr: LoadAddr,
    /// Array of string headers.
    pub wait_reason_strings: Option<LoadAddr>,
    /// Wait queues of semaphores.
    pub semtable: Option<LoadAddr>,
    /// Slice of `*p`.
    pub allp: Option<LoadAddr>,
    /// Head of the list of `*m`.
    pub allm: Option<LoadAddr>,
    /// The scheduler's state (`schedt`).
    pub sched: Option<LoadAddr>,
    /// The heap (`mheap`).
    pub mheap: Option<LoadAddr>,
    /// The collector's work (`workType`).
    pub work: Option<LoadAddr>,
    /// Memory statistics (`mstats`).
    pub memstats: Option<LoadAddr>,
    /// The collector's pace (`gcControllerState`).
    pub gc_controller: Option<LoadAddr>,
    /// 0 off, 1 mark, 2 mark termination.
    pub gcphase: Option<LoadAddr>,
    /// First of the blocks of finalizers that are due (`*finblock`).
    pub allfin: Option<LoadAddr>,
    /// Asked by the handler of SIGTRAP, nil but in the runtime's own tests.
    pub test_sigtrap: Option<LoadAddr>,
    /// Cleanups that are due (`cleanupQueue`, since 1.25).
    pub cleanups: Option<LoadAddr>,
}

/// Number of the signal (asm/signal.h).
const SIGTRAP: u64 = 5;

/// How an instruction refers to a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ref {
    Load,
    Address,
    Any,
}

impl Globals {
    /// Finds them; none if even the list of goroutines cannot be found.
    pub fn find(symbols: &Symbols, bias: LoadBias, layout: &Layout) -> Option<Globals> {
        let names = [
            "runtime.allglen",
            "runtime.allgptr",
            "runtime.waitReasonStrings",
            "runtime.semtable",
            "runtime.allp",
            "runtime.allm",
            "runtime.sched",
            "runtime.mheap_",
            "runtime.work",
            "runtime.memstats",
            "runtime.gcController",
            "runtime.gcphase",
            "runtime.allfin",
            "runtime.gcCleanups",
            "runtime.testSigtrap",
        ];
        let found = symbols.elf_symbols(&names);
        // `less` is the offset of the field that the instruction refers to.
        let pick = |i: usize, function: &str, kind: Ref, n: usize, less: Option<u64>| {
            let known = found.get(i).copied().flatten();
            let anchored = || Some(references(symbols, function, kind).get(n)?.offset(-i64::try_from(less?).ok()?));
            known.or_else(anchored).map(|a| bias.to_load(a))
        };
        let (heap, gc) = (layout.heap.as_ref(), layout.gc.as_ref());
        Some(Globals {
            allglen: pick(0, "runtime.forEachGRace", Ref::Load, 0, Some(0))?,
            allgptr: pick(1, "runtime.forEachGRace", Ref::Load, 1, Some(0))?,
            wait_reason_strings: pick(2, "runtime.waitReason.String", Ref::Address, 0, Some(0)),
            semtable: pick(3, "runtime.semacquire1", Ref::Address, 0, Some(0)),
            allp: pick(4, "runtime.preemptall", Ref::Load, 0, Some(0)),
            allm: pick(5, "runtime.mexit", Ref::Any, 3, Some(0)),
            sched: pick(6, "runtime.incidlelocked", Ref::Address, 0, layout.facts.sched_lock),
            mheap: pick(7, "runtime.spanOfHeap", Ref::Load, 0, heap.map(|h| h.arenas)),
            work: pick(8, "runtime.gcMarkRootCheck", Ref::Load, 0, gc.map(|g| g.mark_root_next)),
            memstats: pick(9, "runtime.gcTrigger.test", Ref::Any, 0, gc.map(|g| g.enablegc)),
            gc_controller: pick(10, "runtime.gcTrigger.test", Ref::Any, 3, gc.map(|g| g.gc_percent)),
            gcphase: pick(11, "runtime.gcTrigger.test", Ref::Any, 2, Some(0)),
            allfin: pick(12, "runtime.markroot", Ref::Load, 2, Some(0)),
            test_sigtrap: found.get(14).copied().flatten().or_else(|| test_sigtrap(symbols)).map(|a| bias.to_load(a)),
            cleanups: pick(13, "runtime.markroot", Ref::Load, 3, heap.and_then(|h| h.cleanup_blocks)),
        })
    }
}

/// `runtime.testSigtrap` by the code that calls it, as in a stripped program.
pub fn test_sigtrap(symbols: &Symbols) -> Option<FileAddr> {
    called_if(symbols, "runtime.sighandler", SIGTRAP)
}

/// The variable of function type that a function calls behind a comparison with this number: its value goes into RDX, the context register
/// of closures, and an indirect call follows. None if there are several.
fn called_if(symbols: &Symbols, function: &str, number: u64) -> Option<FileAddr> {
    let f = symbols.find_function(function)?;
    let code = symbols.text(f.entry, f.end.since(f.entry) as usize)?;
    let module = symbols.moduledata()?;
    let (mut compared, mut last, mut found) = (0, None, Vec::new());
    for i in Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE).iter() {
        match i.flow_control() {
            FlowControl::IndirectCall => found.extend(last.take()),
            FlowControl::Call => last = None,
            _ if i.mnemonic() == Mnemonic::Cmp && i.op1_kind() == OpKind::Immediate8to32 => compared = i.immediate(1),
            _ if i.mnemonic() == Mnemonic::Mov && i.op0_register() == Register::RDX => {
                let is_it = compared == number && i.is_ip_rel_memory_operand();
                last = is_it.then(|| FileAddr(i.ip_rel_memory_address()));
            }
            _ => {}
        }
    }
    found.dedup();
    found.pop().filter(|a| found.is_empty() && module.is_data(*a))
}

/// Package variables that a function refers to, in address order of the instructions.
fn references(symbols: &Symbols, function: &str, kind: Ref) -> Vec<FileAddr> {
    let Some(f) = symbols.find_function(function) else { return Vec::new() };
    let Some(code) = symbols.text(f.entry, f.end.since(f.entry) as usize) else { return Vec::new() };
    let Some(module) = symbols.moduledata() else { return Vec::new() };
    let mut out = Vec::new();
    let mut d = Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE);
    let mut i = Instruction::default();
    while d.can_decode() {
        d.decode_out(&mut i);
        if !i.is_ip_rel_memory_operand() {
            continue;
        }
        let how = match i.mnemonic() {
            Mnemonic::Lea => Ref::Address,
            Mnemonic::Mov if i.op1_kind() == OpKind::Memory => Ref::Load,
            Mnemonic::Mov | Mnemonic::Cmp | Mnemonic::Add | Mnemonic::Inc => Ref::Any,
            _ => continue,
        };
        let target = FileAddr(i.ip_rel_memory_address());
        if (how == kind || kind == Ref::Any) && module.is_data(target) {
            out.push(target);
        }
    }
    out
}
