//! `adit prof`: profiles as reports, their difference, a flame graph.

mod json;
mod text;

pub use text::ROWS;

use super::{Style, exit, write_failure};
use crate::backend::files::{FileKind, recognise};
use crate::backend::profile::{load_all, regex};
use crate::backend::protocol::{Failure, FailureKind};
use crate::backend::{fetch, profile};
use crate::backend::{oncpu, traced};
use crate::profile::calls::Calls;
use crate::profile::diff::{Difference, Thresholds, Verdict, compare};
use crate::profile::view::{By, Selection, View};
use crate::profile::{folded, svg};
use regex::Regex;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReportOf {
    /// Functions.
    #[default]
    Top,
    /// Call paths from the roots.
    Tree,
    /// Callers and callees of the functions that match.
    Peek(String),
    /// Values by source line of the functions that match.
    List(String),
}

/// What to look at, and how.
#[derive(Clone, Debug, Default)]
pub struct Prof {
    /// Files or addresses; several are added up.
    pub files: Vec<String>,
    /// Files or addresses to compare with.
    pub base: Vec<String>,
    /// What to print; none where only files are to be written.
    pub report: Option<ReportOf>,
    /// Rows at most; 0 for all.
    pub top: usize,
    /// Kind of value, by name or number.
    pub kind: Option<String>,
    /// Rows by line instead of by function.
    pub lines: bool,
    /// Only stacks that have this.
    pub focus: Option<String>,
    /// Only stacks that have this not.
    pub ignore: Option<String>,
    /// Frames left out.
    pub hide: Option<String>,
    /// Only samples with such labels.
    pub tags: Vec<(String, String)>,
    /// The base scaled to the same sum.
    pub normalize: bool,
    /// What counts as a change.
    pub thresholds: Thresholds,
    /// A flame graph to write.
    pub svg: Option<PathBuf>,
    /// Folded stacks to write.
    pub folded: Option<PathBuf>,
    /// Where sources are looked for.
    pub substitute: Vec<(String, String)>,
    /// Text or JSON.
    pub style: Style,
}

/// A profile that was read and looked at.
struct Looked {
    calls: Calls,
    selection: Selection,
    view: View,
    difference: Option<Difference>,
}

/// Prints it; returns the exit code: 1 when something grew beyond the thresholds.
pub fn prof(args: &Prof, out: &mut dyn Write) -> Result<u8, Failure> {
    for f in args.files.iter().chain(&args.base) {
        check(f)?;
    }
    let calls = load_all(&args.files, &args.base)?;
    let selection = selection(args, &calls)?;
    let view = View::new(&calls, &selection);
    let difference = calls.base.is_some().then(|| {
        // Verdicts are about functions, also where lines are shown.
        if selection.by == By::Function {
            compare(&view, args.thresholds)
        } else {
            compare(&View::new(&calls, &Selection { by: By::Function, ..selection.clone() }), args.thresholds)
        }
    });
    let l = Looked { calls, selection, view, difference };
    let mut written = Vec::new();
    let title = args.files.iter().map(|f| base_name(f)).collect::<Vec<_>>().join(" ");
    if let Some(path) = &args.svg {
        written.push(write_file(path, &|w| svg::write(&l.view, &title, w))?);
    }
    if let Some(path) = &args.folded {
        written.push(write_file(path, &|w| folded::write(&l.view, w))?);
    }
    let mut b = Vec::new();
    if args.style.json {
        json::write(&mut b, args, &l)?;
    } else {
        text::write(&mut b, args, &l, &written)?;
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(match &l.difference {
        Some(d) if d.verdict == Verdict::Regression => exit::FINDINGS,
        _ => exit::DONE,
    })
}

/// A file that is something else is said so before anything is read of it.
fn check(source: &str) -> Result<(), Failure> {
    if fetch::is_url(source) || source.starts_with(oncpu::SCHEME) || traced::parts(source).is_some() {
        return Ok(());
    }
    match recognise(Path::new(source)) {
        Ok(FileKind::Profile) => Ok(()),
        Ok(_) => Err(Failure::new(FailureKind::BadRequest, format!("{source} is not a profile"))
            .fix("adit FILE opens cores, snapshots, dumps and profiles, each with its own screen")),
        Err(f) => Err(f),
    }
}

fn selection(args: &Prof, calls: &Calls) -> Result<Selection, Failure> {
    let re = |t: &Option<String>| -> Result<Option<Regex>, Failure> { t.as_deref().map(regex).transpose() };
    let kind = match &args.kind {
        None => calls.shown,
        Some(name) => calls.kind_named(name).ok_or_else(|| {
            let all: Vec<&str> = calls.kinds.iter().map(|k| k.name.as_str()).collect();
            Failure::new(FailureKind::BadRequest, format!("no kind {name}: there are {}", all.join(", ")))
        })?,
    };
    let mut tags = Vec::new();
    for (k, v) in &args.tags {
        tags.push((k.clone(), profile::regex(v)?));
    }
    Ok(Selection {
        kind,
        focus: re(&args.focus)?,
        ignore: re(&args.ignore)?,
        hide: re(&args.hide)?,
        tags,
        by: if args.lines { By::Line } else { By::Function },
        reverse: false,
        normalize: args.normalize,
    })
}

fn base_name(path: &str) -> String {
    if fetch::is_url(path) { path.to_string() } else { path.rsplit('/').next().unwrap_or(path).to_string() }
}

type Writing<'a> = dyn Fn(&mut dyn Write) -> std::io::Result<()> + 'a;

fn write_file(path: &Path, content: &Writing) -> Result<String, Failure> {
    let fail = |e: std::io::Error| Failure::new(FailureKind::Internal, format!("cannot write {}: {e}", path.display()));
    let mut w = BufWriter::new(File::create(path).map_err(fail)?);
    content(&mut w).and_then(|()| w.flush()).map_err(fail)?;
    Ok(path.display().to_string())
}
