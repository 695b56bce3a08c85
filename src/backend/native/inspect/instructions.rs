//! Machine code by address, across functions, lined up with instructions: what a disassembly view scrolls through.

use super::Worker;
use super::code::{formatter, instruction};
use crate::backend::protocol::*;
use crate::base::{FileAddr, LoadAddr};
use crate::model::Breakpoint;
use crate::symbols::Function;
use iced_x86::{Decoder, DecoderOptions};

/// Instructions in one answer.
const MAX_INSTRUCTIONS: usize = 20_000;
/// Longest function decoded, bytes.
const MAX_CODE: usize = 1 << 20;

impl Worker {
    pub(super) fn code(
        &self,
        addr: LoadAddr,
        before: u32,
        count: u32,
        breakpoints: &[Breakpoint],
    ) -> Result<Reply, Failure> {
        let (sym, bias) = (&self.loaded.sym, self.loaded.bias);
        let at = bias.to_file(addr);
        let Some(here) = sym.function_at(at) else {
            return Err(Failure::new(FailureKind::Unavailable, format!("{addr} is not in the program's Go code")));
        };
        let before = (before as usize).min(MAX_INSTRUCTIONS);
        let count = (count as usize).min(MAX_INSTRUCTIONS);
        let own = self.decode(here, breakpoints);
        let split = own.iter().position(|l| l.instruction.pc >= addr).unwrap_or(own.len());
        if own.get(split).is_none_or(|l| l.instruction.pc != addr) {
            return Err(Failure::new(FailureKind::BadRequest, format!("no instruction begins at {addr}")));
        }
        let mut tail = own;
        let mut head: Vec<CodeLine> = tail.drain(..split).collect();
        let mut first = here.entry;
        while head.len() < before {
            let Some(f) = first.0.checked_sub(1).and_then(|a| self.function_near(FileAddr(a), false)) else { break };
            first = f.entry;
            let mut more = self.decode(f, breakpoints);
            more.append(&mut head);
            head = more;
        }
        let mut end = here.end;
        while tail.len() < count {
            let Some(f) = self.function_near(end, true) else { break };
            end = f.end;
            tail.append(&mut self.decode(f, breakpoints));
        }
        head.drain(..head.len().saturating_sub(before));
        tail.truncate(count);
        head.append(&mut tail);
        Ok(Reply::Code(head))
    }

    /// The function at an address, or the next one over the padding, upwards or down.
    fn function_near(&self, at: FileAddr, up: bool) -> Option<Function> {
        const PADDING: u64 = 256;
        (0..PADDING).find_map(|n| {
            let a = if up { at.0.checked_add(n) } else { at.0.checked_sub(n) }?;
            self.loaded.sym.function_at(FileAddr(a))
        })
    }

    fn decode(&self, f: Function, breakpoints: &[Breakpoint]) -> Vec<CodeLine> {
        let (sym, bias) = (&self.loaded.sym, self.loaded.bias);
        let len = (f.end.since(f.entry) as usize).min(MAX_CODE);
        let Some(code) = sym.text(f.entry, len) else { return Vec::new() };
        let mut fmt = formatter(sym, bias);
        let start = bias.to_load(f.entry);
        let function = sym.function_name(f).to_string();
        let one = |i: iced_x86::Instruction| {
            let place = sym.location(bias.to_file(LoadAddr(i.ip())));
            CodeLine {
                instruction: instruction(sym, bias, &mut fmt, &i, code, start, LoadAddr(0), breakpoints),
                file: place.map_or_else(String::new, |l| l.file.to_string()),
                function: function.clone(),
            }
        };
        Decoder::with_ip(64, code, start.0, DecoderOptions::NONE).into_iter().map(one).collect()
    }
}
