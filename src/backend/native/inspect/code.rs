//! Source, symbols, machine code, threads and registers.

use super::Worker;
use crate::arch::registers::NAMES;
use crate::backend::protocol::*;
use crate::base::{LoadAddr, LoadBias, Tid};
use crate::engine::StopState;
use crate::engine::stepover::MAX_INSTRUCTION;
use crate::model::{Breakpoint, Location, Thread};
use crate::symbols::Symbols;
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter, SymbolResolver, SymbolResult};
use std::fs;
use std::sync::Arc;

/// Longest source file shown, bytes.
const MAX_SOURCE: u64 = 16 << 20;
/// Longest function disassembled, bytes.
const MAX_CODE: usize = 64 << 10;

impl Worker {
    pub(super) fn location(&self, pc: LoadAddr) -> Arc<Location> {
        self.loaded.sym.place(self.loaded.bias, pc)
    }

    pub(super) fn source(&self, file: &str) -> Result<Reply, Failure> {
        let fail = |why: String| {
            Failure::new(FailureKind::Unavailable, format!("cannot read {file}: {why}"))
                .fix("map the path with --substitute-path FROM=TO or `:path FROM TO`")
        };
        // Only files that the program was built from: the host is no file server.
        if !self.loaded.sym.match_files(file).contains(&file) {
            return Err(fail("not a source file of this program".into()));
        }
        let meta = fs::metadata(file).map_err(|e| fail(e.to_string()))?;
        if !meta.is_file() || meta.len() > MAX_SOURCE {
            return Err(fail(format!("not a regular file of at most {} MiB", MAX_SOURCE >> 20)));
        }
        let bytes = fs::read(file).map_err(|e| fail(e.to_string()))?;
        Ok(Reply::Source { file: file.to_string(), text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    pub(super) fn code_lines(&self, file: String) -> Reply {
        Reply::CodeLines { lines: self.loaded.sym.code_lines(&file), file }
    }

    pub(super) fn symbols(&self, kind: SymbolKind, filter: &str, count: u32) -> Reply {
        let sym = &self.loaded.sym;
        let wanted = filter.to_lowercase();
        let fits = |n: &&str| wanted.is_empty() || n.to_lowercase().contains(&wanted);
        let all: Vec<&str> = match kind {
            SymbolKind::Functions => sym.function_names().into_iter().filter(fits).collect(),
            SymbolKind::Sources => sym.source_files().into_iter().filter(fits).collect(),
            SymbolKind::Types => sym.dwarf().map_or_else(Vec::new, |d| d.types().map(|t| t.0).filter(fits).collect()),
            SymbolKind::PackageVariables => {
                sym.dwarf().map_or_else(Vec::new, |d| d.variables().map(|t| t.0).filter(fits).collect())
            }
        };
        let mut names: Vec<String> = all.iter().map(|s| s.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let total = names.len() as u64;
        names.truncate(count as usize);
        Reply::Symbols { names, total }
    }

    pub(super) fn threads(&self, state: &StopState) -> Reply {
        let mut threads: Vec<Thread> = state
            .registers
            .iter()
            .map(|(tid, r)| Thread {
                tid: Tid(*tid),
                goroutine: self
                    .loaded
                    .rt
                    .current_g(&*self.loaded.mem, r.fs_base)
                    .filter(|g| g.goid != 0)
                    .map(|g| crate::base::GoroutineId(g.goid)),
                at: self.location(LoadAddr(r.pc())),
            })
            .collect();
        if threads.is_empty() && self.loaded.process.is_some() {
            let tids = crate::target::linux::procfs::threads(self.loaded.pid).unwrap_or_default();
            threads = tids.into_iter().map(|tid| Thread { tid, ..Thread::default() }).collect();
        }
        threads.sort_by_key(|t| t.tid);
        Reply::Threads { epoch: state.epoch, threads }
    }

    pub(super) fn registers(&self, state: &StopState, frame: FrameRef) -> Result<Reply, Failure> {
        let interrupted = || {
            let walked = self.walk(state, frame.goroutine, None, frame.frame + 1, false).ok()?;
            walked.registers(frame.frame as usize, None)
        };
        let regs = self.thread_registers(state, frame).or_else(interrupted).ok_or_else(|| {
            Failure::new(
                FailureKind::Unavailable,
                "only the innermost frame of a goroutine that is on a thread has registers, and one that was interrupted",
            )
        })?;
        let mut v: Vec<(String, String)> =
            NAMES.iter().zip(regs.gp).map(|(n, x)| ((*n).to_string(), format!("{x:#018x}"))).collect();
        v.push(("rflags".into(), format!("{:#x}", regs.flags)));
        v.push(("fs_base".into(), format!("{:#x}", regs.fs_base)));
        for (i, x) in regs.xmm.iter().flatten().enumerate() {
            v.push((format!("xmm{i}"), format!("{x:#034x}")));
        }
        Ok(Reply::Registers(v))
    }

    /// Registers of the thread that runs a goroutine.
    pub(super) fn thread_registers(&self, state: &StopState, frame: FrameRef) -> Option<crate::arch::Registers> {
        if frame.frame != 0 {
            return None;
        }
        if frame.goroutine.is_none() || frame.goroutine == state.goroutine {
            return state.registers.get(&state.thread.0).copied();
        }
        state
            .registers
            .values()
            .find(|r| {
                self.loaded
                    .rt
                    .current_g(&*self.loaded.mem, r.fs_base)
                    .is_some_and(|g| Some(g.goid) == frame.goroutine.map(|g| g.0))
            })
            .copied()
    }

    pub(super) fn disassemble(&self, state: &StopState, frame: FrameRef, bps: &[Breakpoint]) -> Result<Reply, Failure> {
        let stack = self.stack_of(state, frame.goroutine, frame.frame + 1, false)?;
        let nothing = || Failure::new(FailureKind::Unavailable, "no Go function here to disassemble");
        let at = stack.frames.get(frame.frame as usize).ok_or_else(nothing)?;
        let (sym, bias) = (&self.loaded.sym, self.loaded.bias);
        let f = sym.function_at(bias.to_file(at.at.pc)).ok_or_else(nothing)?;
        let len = (f.end.since(f.entry) as usize).min(MAX_CODE);
        let code = sym.text(f.entry, len).ok_or_else(nothing)?;
        let mut fmt = formatter(sym, bias);
        let start = bias.to_load(f.entry);
        let out = Decoder::with_ip(64, code, start.0, DecoderOptions::NONE)
            .into_iter()
            .map(|i| instruction(sym, bias, &mut fmt, &i, code, start, at.at.pc, bps))
            .collect();
        Ok(Reply::Instructions { function: sym.function_name(f).to_string(), instructions: out })
    }
}

/// Intel syntax, with names of call targets.
pub(super) fn formatter(sym: &Arc<Symbols>, bias: LoadBias) -> IntelFormatter {
    let mut fmt = IntelFormatter::with_options(Some(Box::new(Names { worker_sym: sym.clone(), bias: bias.0 })), None);
    fmt.options_mut().set_rip_relative_addresses(true);
    fmt.options_mut().set_hex_prefix("0x");
    fmt.options_mut().set_hex_suffix("");
    fmt
}

/// One instruction of the function whose code begins at `start`.
#[allow(clippy::too_many_arguments)] // what a line of disassembly is made of
pub(super) fn instruction(
    sym: &Symbols,
    bias: LoadBias,
    fmt: &mut IntelFormatter,
    i: &iced_x86::Instruction,
    code: &[u8],
    start: LoadAddr,
    current: LoadAddr,
    bps: &[Breakpoint],
) -> Instruction {
    let pc = LoadAddr(i.ip());
    let mut text = String::new();
    fmt.format(i, &mut text);
    let off = pc.since(start) as usize;
    Instruction {
        pc,
        bytes: code.get(off..off + i.len().min(MAX_INSTRUCTION)).unwrap_or_default().to_vec(),
        text,
        line: sym.location(bias.to_file(pc)).map_or(0, |l| l.line),
        current: pc == current,
        breakpoint: bps.iter().any(|b| b.spec.enabled && b.at.iter().any(|l| l.pc == pc)),
    }
}

/// Names of call targets in disassembly.
struct Names {
    worker_sym: Arc<crate::symbols::Symbols>,
    bias: u64,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        _i: &iced_x86::Instruction,
        _op: u32,
        _iop: Option<u32>,
        address: u64,
        _size: u32,
    ) -> Option<SymbolResult<'_>> {
        let f = self.worker_sym.function_at(crate::base::LoadBias(self.bias).to_file(LoadAddr(address)))?;
        let name = self.worker_sym.function_name(f).to_string();
        Some(SymbolResult::with_string(self.bias.wrapping_add(f.entry.0), name))
    }
}
