//! Between addresses and `file:line`, both ways.

use super::Symbols;
use super::functions::MAX_CANDIDATES;
use super::pclntab::{Function, funcdata, pcdata};
use crate::base::{FileAddr, LoadAddr, LoadBias};
use crate::model::Location;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Innermost function, file and line at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcLocation<'a> {
    /// Function, inlined ones counted.
    pub function: &'a str,
    /// Source path.
    pub file: &'a str,
    /// Line.
    pub line: u32,
}

/// One row of a function's line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRow<'a> {
    /// First address.
    pub pc: FileAddr,
    /// Source path.
    pub file: &'a str,
    /// Line; 0 for code without one.
    pub line: u32,
    /// Good for a breakpoint.
    pub is_stmt: bool,
    /// The prologue ends here.
    pub prologue_end: bool,
}

/// An inlined call inside a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinedCall {
    /// Function that was inlined.
    pub name: String,
    /// Where its code is, calls inlined into it included.
    pub ranges: Vec<(FileAddr, FileAddr)>,
    /// 1 for a call in the function itself.
    pub depth: u32,
    /// Path of the call.
    pub call_file: String,
    /// Line of the call.
    pub call_line: u32,
}

impl InlinedCall {
    /// Does its code contain `pc`?
    pub fn contains(&self, pc: FileAddr) -> bool {
        self.ranges.iter().any(|r| r.0 <= pc && pc < r.1)
    }
}

/// What a `file:line` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineMatch {
    /// Addresses at which to break, ascending.
    Found {
        /// Full path of the file.
        file: String,
        /// One for each function, instance and inlined copy.
        pcs: Vec<FileAddr>,
    },
    /// No code on that line; nearest lines before and after that have some.
    NoCode {
        /// Full path of the file.
        file: String,
        /// Nearest lines with code.
        nearest: Vec<u32>,
    },
    /// The path fits several files; the first few of them.
    Ambiguous(Vec<String>),
    /// No file of that name.
    NoFile,
}

impl Symbols {
    /// Innermost location at `pc`.
    pub fn location(&self, pc: FileAddr) -> Option<PcLocation<'_>> {
        let f = self.inline_frames(pc).into_iter().next()?;
        Some(PcLocation { function: f.function, file: f.file, line: f.line })
    }

    /// Function, file and line of an address in memory, as the model shows it; empty where nothing is known.
    pub fn place(&self, bias: LoadBias, pc: LoadAddr) -> Arc<Location> {
        let l = self.location(bias.to_file(pc));
        Arc::new(Location {
            function: l.map_or_else(String::new, |l| l.function.to_string()),
            file: l.map_or_else(String::new, |l| l.file.to_string()),
            line: l.map_or(0, |l| l.line),
            pc,
        })
    }

    /// All source paths, sorted.
    pub fn source_files(&self) -> Vec<&str> {
        let mut v: Vec<&str> = self.pclntab().files().collect();
        for m in self.modules() {
            v.extend(m.symbols.source_files());
        }
        v.sort_unstable();
        v.dedup();
        v
    }

    /// Files that a typed path stands for: the exact one, or all that end with it at a path boundary.
    pub fn match_files(&self, typed: &str) -> Vec<&str> {
        let files = self.source_files();
        if files.binary_search(&typed).is_ok() {
            return files.into_iter().filter(|f| *f == typed).collect();
        }
        let typed = typed.strip_prefix("./").unwrap_or(typed);
        let fits = |f: &str| f.strip_suffix(typed).is_some_and(|r| r.is_empty() || r.ends_with('/'));
        files.into_iter().filter(|f| fits(f)).collect()
    }

    /// Rows of a function by address.
    pub fn line_rows(&self, f: Function) -> Vec<LineRow<'_>> {
        if let Some((m, own)) = self.module_of(f) {
            let rows = m.symbols.line_rows(own).into_iter();
            return rows.map(|r| LineRow { pc: m.up(r.pc), ..r }).collect();
        }
        if let Some(d) = self.dwarf()
            && let Some(unit) = d.index().function_at(f.entry.0).and_then(|o| d.unit_of(o))
        {
            let (lines, rows) = d.rows_between(unit, f.entry, f.end);
            if !rows.is_empty() {
                let file = |i: u32| lines.files.get(i as usize).map_or("", String::as_str);
                return rows
                    .iter()
                    .map(|r| LineRow {
                        pc: r.pc,
                        file: file(r.file),
                        line: r.line,
                        is_stmt: r.is_stmt,
                        prologue_end: r.prologue_end,
                    })
                    .collect();
            }
        }
        let mut out = Vec::new();
        self.pclntab().walk_lines(f, |pc, file, line| {
            out.push(LineRow { pc, file, line, is_stmt: true, prologue_end: false });
        });
        out
    }

    /// Resolves `file:line` as Delve does.
    pub fn pcs_for_line(&self, typed: &str, line: u32) -> LineMatch {
        let files = self.match_files(typed);
        let file = match files[..] {
            [] => return LineMatch::NoFile,
            [f] => f,
            _ => return LineMatch::Ambiguous(files.iter().take(MAX_CANDIDATES).map(|f| f.to_string()).collect()),
        };
        let in_modules: Vec<FileAddr> = self
            .modules()
            .flat_map(|m| match m.symbols.pcs_for_line(file, line) {
                LineMatch::Found { pcs, .. } => pcs.into_iter().map(|a| m.up(a)).collect(),
                _ => Vec::new(),
            })
            .collect();
        let mut rows = self.rows_of_line(file, line);
        if rows.is_empty() {
            rows = self.call_sites_on_line(file, line);
        }
        if rows.is_empty() && in_modules.is_empty() {
            let lines = self.code_lines(file);
            let at = lines.partition_point(|&l| l < line);
            let nearest = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|i| lines.get(i).copied());
            return LineMatch::NoCode { file: file.to_string(), nearest: nearest.collect() };
        }
        // One address for each inlined copy (or the body itself) in each function: the first that is a statement.
        let mut best: BTreeMap<(u32, i32), (bool, FileAddr)> = BTreeMap::new();
        for (pc, is_stmt) in rows {
            let Some(f) = self.function_at(pc) else { continue };
            if self.is_generated(f) {
                continue;
            }
            let copy = self.pcdata(f, pcdata::INL_TREE_INDEX, pc);
            let new = (!is_stmt, pc);
            best.entry((f.index, copy)).and_modify(|b| *b = (*b).min(new)).or_insert(new);
        }
        let mut pcs: Vec<FileAddr> = best
            .into_iter()
            .filter_map(|((i, copy), (_, pc))| {
                let f = self.pclntab().function(i as usize)?;
                Some(if copy < 0 && pc == f.entry { self.prologue_end_on_line(f) } else { pc })
            })
            .collect();
        pcs.extend(in_modules);
        pcs.sort_unstable();
        pcs.dedup();
        LineMatch::Found { file: file.to_string(), pcs }
    }

    fn is_generated(&self, f: Function) -> bool {
        let name = self.function_name(f);
        name.contains("·dwrap·") || self.function_flags(f).wrapper
    }

    /// Addresses (with their statement mark) of a line in all line tables.
    fn rows_of_line(&self, file: &str, line: u32) -> Vec<(FileAddr, bool)> {
        let mut out = Vec::new();
        self.each_row_of_file(file, |pc, l, stmt| {
            if l == line {
                out.push((pc, stmt));
            }
        });
        out
    }

    fn each_row_of_file(&self, file: &str, mut g: impl FnMut(FileAddr, u32, bool)) {
        if let Some(d) = self.dwarf() {
            for u in d.units_with_file(file) {
                let lines = d.unit_lines(u);
                let ids: Vec<bool> = lines.files.iter().map(|f| f == file).collect();
                for r in &lines.rows {
                    if ids.get(r.file as usize) == Some(&true) {
                        g(r.pc, r.line, r.is_stmt);
                    }
                }
            }
            return;
        }
        for f in self.functions_with_file(file) {
            self.pclntab().walk_lines(f, |pc, fl, l| {
                if fl == file {
                    g(pc, l, true);
                }
            });
        }
    }

    fn functions_with_file(&self, file: &str) -> Vec<Function> {
        use rayon::prelude::*;
        (0..self.pclntab().len())
            .into_par_iter()
            .filter_map(|i| self.pclntab().function(i))
            .filter(|&f| {
                let mut has = false;
                self.pclntab().function_files(f, |n| {
                    has = n == file;
                    !has
                });
                has
            })
            .collect()
    }

    /// A line whose only code is a call that was inlined has no row of its own: its place is where that code begins.
    fn call_sites_on_line(&self, file: &str, line: u32) -> Vec<(FileAddr, bool)> {
        let mut out = Vec::new();
        for f in self.functions_with_file(file) {
            for c in self.inlined_calls_of_table(f) {
                if c.call_line == line && c.call_file == file {
                    out.extend(c.ranges.iter().map(|r| r.0).min().map(|pc| (pc, true)));
                }
            }
        }
        out
    }

    /// Lines of a file that have code, ascending.
    pub fn code_lines(&self, file: &str) -> Vec<u32> {
        let mut set = BTreeSet::new();
        self.each_row_of_file(file, |_, line, stmt| {
            if stmt && line > 0 {
                set.insert(line);
            }
        });
        for m in self.modules() {
            set.extend(m.symbols.code_lines(file));
        }
        set.into_iter().collect()
    }

    /// Inlined calls of a function, outer before inner.
    pub fn inlined_calls(&self, f: Function) -> Vec<InlinedCall> {
        if let Some((m, own)) = self.module_of(f) {
            let up = |r: (FileAddr, FileAddr)| (m.up(r.0), m.up(r.1));
            let calls = m.symbols.inlined_calls(own).into_iter();
            return calls.map(|c| InlinedCall { ranges: c.ranges.into_iter().map(up).collect(), ..c }).collect();
        }
        let Some(d) = self.dwarf() else { return self.inlined_calls_of_table(f) };
        let Some(off) = d.index().function_at(f.entry.0) else { return self.inlined_calls_of_table(f) };
        let addr = |r: (u64, u64)| (FileAddr(r.0), FileAddr(r.1));
        d.inlined_in(off)
            .into_iter()
            .map(|c| InlinedCall {
                name: c.name,
                ranges: c.ranges.into_iter().map(addr).collect(),
                depth: c.depth,
                call_file: c.call_file,
                call_line: c.call_line,
            })
            .collect()
    }

    /// Inlined calls of a function from its inline tree, without DWARF.
    pub fn inlined_calls_of_table(&self, f: Function) -> Vec<InlinedCall> {
        let Some(tree) = self.funcdata(f, funcdata::INL_TREE) else { return Vec::new() };
        let entry = |i: u64| {
            let e = self.image().bytes_at(tree.add(i * 16), 16)?;
            let w = |o: usize| u32::from_le_bytes([e[o], e[o + 1], e[o + 2], e[o + 3]]);
            Some((w(4), f.entry.add(u64::from(w(8)))))
        };
        let mut by_index: BTreeMap<u64, InlinedCall> = BTreeMap::new();
        self.pclntab().walk_pcdata(f, pcdata::INL_TREE_INDEX, |start, end, ix| {
            let mut chain = Vec::new();
            let mut next = u64::try_from(ix).ok();
            while let Some(i) = next
                && chain.len() < 256
            {
                let Some((name, parent)) = entry(i) else { break };
                chain.push((i, name, parent));
                next = u64::try_from(self.pcdata(f, pcdata::INL_TREE_INDEX, parent)).ok().filter(|n| *n != i);
            }
            let deepest = chain.len() as u32;
            for (n, (i, name, parent)) in chain.into_iter().enumerate() {
                let call = by_index.entry(i).or_insert_with(|| {
                    let (call_file, call_line) = self.pclntab().file_line(f, parent);
                    InlinedCall {
                        name: self.pclntab().name(name).unwrap_or("").to_string(),
                        ranges: Vec::new(),
                        depth: deepest - n as u32,
                        call_file: call_file.to_string(),
                        call_line,
                    }
                });
                match call.ranges.last_mut() {
                    Some(last) if last.1 == start => last.1 = end,
                    _ => call.ranges.push((start, end)),
                }
            }
        });
        let mut v: Vec<InlinedCall> = by_index.into_values().collect();
        v.sort_by_key(|c| c.depth);
        v
    }
}
