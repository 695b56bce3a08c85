//! Line programs, one a unit, run at first need.

use super::{Dwarf, Slice, Unit, slice};
use crate::base::FileAddr;
use gimli::{AttributeValue, DebugLineOffset};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// A row of a unit's line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// First address.
    pub pc: FileAddr,
    /// Index into [`UnitLines::files`].
    pub file: u32,
    /// Line.
    pub line: u32,
    /// Recommended for breakpoints.
    pub is_stmt: bool,
    /// The prologue ends here.
    pub prologue_end: bool,
}

/// Rows of a unit by address.
#[derive(Default)]
pub struct UnitLines {
    /// Paths; rows refer to them.
    pub files: Vec<String>,
    /// Rows, ends of sequences left out.
    pub rows: Vec<RawRow>,
}

/// Which units mention a file.
pub(super) type FileIndex = FxHashMap<String, Vec<u32>>;

fn text(d: &Dwarf, u: &Unit, v: AttributeValue<Slice<'_>>) -> String {
    match v {
        AttributeValue::String(s) => s.to_string_lossy().into_owned(),
        AttributeValue::DebugLineStrRef(o) => gimli::DebugLineStr::from(slice(&d.sections().line_str))
            .get_str(o)
            .map_or_else(|_| String::new(), |s| s.to_string_lossy().into_owned()),
        AttributeValue::DebugStrRef(o) => gimli::DebugStr::from(slice(&d.sections().str_))
            .get_str(o)
            .map_or_else(|_| String::new(), |s| s.to_string_lossy().into_owned()),
        _ => {
            let _ = u;
            String::new()
        }
    }
}

impl Dwarf {
    fn program(&self, u: &Unit) -> Option<gimli::IncompleteLineProgram<Slice<'_>>> {
        gimli::DebugLine::from(slice(&self.sections().line)).program(DebugLineOffset(u.stmt_list?), 8, None, None).ok()
    }

    fn file_names(&self, u: &Unit, h: &gimli::LineProgramHeader<Slice<'_>>) -> Vec<String> {
        let first = u64::from(h.version() < 5);
        (0..first + h.file_names().len() as u64)
            .map(|i| {
                let Some(f) = h.file(i) else { return String::new() };
                let name = text(self, u, f.path_name());
                let dir = f.directory(h).map(|d| text(self, u, d)).unwrap_or_default();
                match name.starts_with('/') || dir.is_empty() || dir == "." || f.directory_index() == 0 {
                    true => name,
                    false => format!("{}/{name}", dir.trim_end_matches('/')),
                }
            })
            .collect()
    }

    /// Rows of a unit.
    pub fn unit_lines(&self, u: &Unit) -> &UnitLines {
        static NONE: UnitLines = UnitLines { files: Vec::new(), rows: Vec::new() };
        match self.lines.get(u.index as usize) {
            Some(cell) => cell.get_or_init(|| self.run_lines(u).unwrap_or_default()),
            None => &NONE,
        }
    }

    fn run_lines(&self, u: &Unit) -> Option<UnitLines> {
        let program = self.program(u)?;
        let files = self.file_names(u, program.header());
        let mut rows: Vec<RawRow> = Vec::new();
        let mut it = program.rows();
        while let Ok(Some((_, r))) = it.next_row() {
            if r.end_sequence() {
                continue;
            }
            rows.push(RawRow {
                pc: FileAddr(r.address()),
                file: r.file_index() as u32,
                line: r.line().map_or(0, |l| l.get() as u32),
                is_stmt: r.is_stmt(),
                prologue_end: r.prologue_end(),
            });
        }
        rows.sort_by_key(|r| r.pc); // stable: rows of one address keep their order
        Some(UnitLines { files, rows })
    }

    /// Units whose line table mentions a path.
    pub fn units_with_file(&self, file: &str) -> impl Iterator<Item = &Unit> {
        self.file_index().get(file).into_iter().flatten().filter_map(|&i| self.units().get(i as usize))
    }

    /// All paths in the line tables' headers.
    pub fn source_files(&self) -> impl Iterator<Item = &str> {
        self.file_index().keys().map(String::as_str)
    }

    fn file_index(&self) -> &FileIndex {
        self.files.get_or_init(|| {
            let per_unit: Vec<Vec<String>> = self
                .units()
                .par_iter()
                .map(|u| self.program(u).map_or_else(Vec::new, |p| self.file_names(u, p.header())))
                .collect();
            let mut map = FileIndex::default();
            for (i, names) in per_unit.into_iter().enumerate() {
                for n in names.into_iter().filter(|n| !n.is_empty() && n != "?") {
                    let list = map.entry(n).or_default();
                    if list.last() != Some(&(i as u32)) {
                        list.push(i as u32);
                    }
                }
            }
            map
        })
    }

    /// Rows of the addresses `[low, high)` of a unit.
    pub fn rows_between(&self, u: &Unit, low: FileAddr, high: FileAddr) -> (&UnitLines, &[RawRow]) {
        let lines = self.unit_lines(u);
        let a = lines.rows.partition_point(|r| r.pc < low);
        let b = lines.rows.partition_point(|r| r.pc < high);
        (lines, lines.rows.get(a..b).unwrap_or_default())
    }
}
