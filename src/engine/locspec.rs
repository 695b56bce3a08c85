//! Delve's location syntax, resolved to addresses: `*addr`, `/regex/`, `+n`, `-n`, `line`, `file:line`, `function`, `function:line`.

use crate::base::{FileAddr, LoadAddr, LoadBias};
use crate::symbols::{FunctionMatch, LineMatch, Symbols};

/// Why a location could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LocationError {
    /// The cause, one line.
    pub message: String,
    /// What to try.
    pub fix: Option<String>,
}

impl LocationError {
    fn new(message: impl Into<String>) -> LocationError {
        LocationError { message: message.into(), fix: None }
    }
    fn fix(mut self, fix: impl Into<String>) -> LocationError {
        self.fix = Some(fix.into());
        self
    }
}

/// What a location spec stands for: one logical breakpoint each.
pub type Resolved = Vec<Vec<LoadAddr>>;

/// Where the user is, for relative locations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// File of the selected frame.
    pub file: String,
    /// Its line.
    pub line: u32,
}

/// Most functions that one regular expression may match.
pub const MAX_REGEX: usize = 1000;

/// Resolves a spec. A regular expression gives one element a function; everything else exactly one.
pub fn resolve(sym: &Symbols, bias: LoadBias, spec: &str, here: &Here) -> Result<Resolved, LocationError> {
    let spec = spec.trim();
    let load = |pcs: Vec<FileAddr>| pcs.into_iter().map(|p| bias.to_load(p)).collect::<Vec<_>>();
    if spec.is_empty() {
        return Err(LocationError::new("no location given").fix("file:line, line, function, /regex/ or *address"));
    }
    if let Some(addr) = spec.strip_prefix('*') {
        let a = parse_number(addr.trim()).ok_or_else(|| LocationError::new(format!("`{addr}` is not an address")))?;
        return address(sym, bias, LoadAddr(a)).map(|a| vec![vec![a]]);
    }
    if let Some(re) = spec.strip_prefix('/').and_then(|s| s.strip_suffix('/')).filter(|s| !s.is_empty()) {
        let re = regex::Regex::new(re)
            .map_err(|e| LocationError::new(format!("bad regular expression: {e}").replace('\n', " ")))?;
        let found: Resolved = sym
            .match_functions(&re, MAX_REGEX)
            .into_iter()
            .map(|f| vec![bias.to_load(sym.pc_after_prologue(f))])
            .collect();
        if found.is_empty() {
            return Err(LocationError::new(format!("no function matches /{re}/")));
        }
        return Ok(found);
    }
    if let Some(n) = spec.strip_prefix(['+', '-']).and_then(|n| n.parse::<i64>().ok()) {
        let n = if spec.starts_with('-') { -n } else { n };
        return line(sym, here_file(here)?, i64::from(here.line) + n).map(|p| vec![load(p)]);
    }
    if let Ok(n) = spec.parse::<i64>() {
        return line(sym, here_file(here)?, n).map(|p| vec![load(p)]);
    }
    match spec.rsplit_once(':') {
        Some((head, tail)) if tail.parse::<i64>().is_ok() => {
            let n: i64 = tail.parse().unwrap_or(0);
            match line(sym, head, n) {
                Err(file_error) => match function(sym, head) {
                    // A line inside a function counts from its first.
                    Ok((functions, _)) => {
                        let Some(f) = functions.first() else { return Err(file_error) };
                        let at = sym.location(*f).ok_or(file_error)?;
                        let start = sym.inline_frames(*f).last().map_or(at.line, |f| f.start_line);
                        line(sym, at.file, i64::from(start) + n).map(|p| vec![load(p)])
                    }
                    Err(_) => Err(file_error),
                },
                Ok(p) => Ok(vec![load(p)]),
            }
        }
        _ => function(sym, spec).map(|(_, pcs)| vec![load(pcs)]),
    }
}

fn here_file(here: &Here) -> Result<&str, LocationError> {
    if here.file.is_empty() {
        return Err(LocationError::new("no current file to count lines in").fix("give file:line"));
    }
    Ok(&here.file)
}

/// Decimal or `0x` hexadecimal.
pub fn parse_number(s: &str) -> Option<u64> {
    match s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        Some(h) => u64::from_str_radix(h, 16).ok(),
        None => s.parse().ok(),
    }
}

fn address(sym: &Symbols, bias: LoadBias, a: LoadAddr) -> Result<LoadAddr, LocationError> {
    match sym.function_at(bias.to_file(a)) {
        Some(_) => Ok(a),
        None => Err(LocationError::new(format!("{a} is not in the program's Go code"))),
    }
}

fn line(sym: &Symbols, file: &str, n: i64) -> Result<Vec<FileAddr>, LocationError> {
    let n = u32::try_from(n).map_err(|_| LocationError::new(format!("no line {n}")))?;
    match sym.pcs_for_line(file, n) {
        LineMatch::Found { pcs, .. } => Ok(pcs),
        LineMatch::NoCode { file, nearest } => {
            let e = LocationError::new(format!("no code on {file}:{n}"));
            Err(if nearest.is_empty() {
                e
            } else {
                let list: Vec<String> = nearest.iter().map(u32::to_string).collect();
                e.fix(format!("nearest lines with code: {}", list.join(", ")))
            })
        }
        LineMatch::Ambiguous(files) => {
            Err(LocationError::new(format!("{file} is ambiguous")).fix(format!("one of: {}", files.join(", "))))
        }
        LineMatch::NoFile => Err(LocationError::new(format!("no source file {file} in this program"))
            .fix("`sources` lists them; with -trimpath they begin with the module's path")),
    }
}

/// Entries (for locating the source) and breakpoint addresses of a named function.
fn function(sym: &Symbols, name: &str) -> Result<(Vec<FileAddr>, Vec<FileAddr>), LocationError> {
    match sym.resolve_function_suffix(name) {
        FunctionMatch::Found { functions, inlined, .. } => {
            let entries: Vec<FileAddr> = functions.iter().map(|f| f.entry).collect();
            let mut pcs: Vec<FileAddr> = functions.iter().map(|f| sym.pc_after_prologue(*f)).collect();
            let heads = if entries.is_empty() { inlined.clone() } else { entries };
            pcs.extend(inlined);
            pcs.sort_unstable();
            pcs.dedup();
            Ok((heads, pcs))
        }
        FunctionMatch::Ambiguous(names) => {
            Err(LocationError::new(format!("{name} is ambiguous")).fix(format!("one of: {}", names.join(", "))))
        }
        FunctionMatch::None => Err(LocationError::new(format!("no function or file {name} in this program"))
            .fix("`funcs NAME` searches; a function that nothing calls is not linked")),
    }
}
