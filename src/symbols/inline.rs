//! Frames of inlined calls from pclntab's inline trees; works on stripped files.

use super::Symbols;
use super::pclntab::{Function, funcdata, pcdata};
use crate::base::FileAddr;
use smallvec::SmallVec;

/// One logical frame at a PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlineFrame<'a> {
    /// Full function name.
    pub function: &'a str,
    /// Source path.
    pub file: &'a str,
    /// Line.
    pub line: u32,
    /// Line of the `func` keyword.
    pub start_line: u32,
    /// `abi.FuncID` of it.
    pub func_id: u8,
}

/// Size of `runtime.inlinedCall`.
const ENTRY: u64 = 16;
/// More nesting than any compiler makes; stops damaged trees.
const MAX_DEPTH: usize = 256;

impl Symbols {
    /// Logical frames at `pc`, innermost first; the physical function is last. Empty outside Go code.
    pub fn inline_frames(&self, pc: FileAddr) -> SmallVec<[InlineFrame<'_>; 4]> {
        match self.function_at(pc) {
            Some(f) => self.inline_frames_of(f, pc),
            None => SmallVec::new(),
        }
    }

    /// As [`Symbols::inline_frames`] for a function already looked up.
    pub fn inline_frames_of(&self, f: Function, pc: FileAddr) -> SmallVec<[InlineFrame<'_>; 4]> {
        if let Some((m, own)) = self.module_of(f) {
            return m.symbols.inline_frames_of(own, m.down(pc));
        }
        let mut out = SmallVec::new();
        let tab = self.pclntab();
        let Some(rec) = tab.record(f) else { return out };
        let mut pc = pc;
        if let Some(tree) = self.funcdata(f, funcdata::INL_TREE) {
            while out.len() < MAX_DEPTH {
                let Ok(i) = u64::try_from(tab.pcdata(f, pcdata::INL_TREE_INDEX, pc)) else { break };
                let Some(e) = self.image().bytes_at(tree.add(i * ENTRY), ENTRY as usize) else { break };
                let w = |o: usize| u32::from_le_bytes([e[o], e[o + 1], e[o + 2], e[o + 3]]);
                let (file, line) = tab.file_line(f, pc);
                out.push(InlineFrame {
                    function: tab.name(w(4)).unwrap_or(""),
                    file,
                    line,
                    start_line: w(12),
                    func_id: e[0],
                });
                let parent = f.entry.add(u64::from(w(8)));
                if parent < f.entry || parent >= f.end {
                    break;
                }
                pc = parent;
            }
        }
        let (file, line) = tab.file_line(f, pc);
        out.push(InlineFrame {
            function: tab.name(rec.name_off).unwrap_or(""),
            file,
            line,
            start_line: rec.start_line.max(0) as u32,
            func_id: rec.func_id,
        });
        out
    }
}
