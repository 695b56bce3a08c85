//! Profiles as targets: files and addresses read into one, and questions about it answered with what can be seen.

use super::fetch;
use super::offline::Offline;
use super::protocol::*;
use super::{oncpu, traced};
use crate::model::*;
use crate::profile::calls::{Builder, Calls};
use crate::profile::diff::{self, Thresholds};
use crate::profile::flame::{flame, way, widths};
use crate::profile::load;
use crate::profile::report;
use crate::profile::tree::Step;
use crate::profile::view::{By, Selection, View};
use regex::{Regex, RegexBuilder};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// Longest source file shown, bytes.
const MAX_SOURCE: u64 = 16 << 20;
/// Longest regular expression, compiled.
const MAX_REGEX: usize = 1 << 20;

/// A regular expression of the user's, of bounded size.
pub fn regex(text: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(text)
        .size_limit(MAX_REGEX)
        .build()
        .map_err(|e| Failure::new(FailureKind::BadRequest, format!("{text}: {}", e.to_string().replace('\n', " "))))
}

/// Reads a file or an address into a builder.
pub fn load_into(source: &str, into: &mut Builder) -> Result<(), Failure> {
    if source.starts_with(oncpu::SCHEME) {
        let p = oncpu::fetch(source)?;
        return into.add(&p).map_err(|e| Failure::new(FailureKind::Limit, format!("{source}: {e}")));
    }
    if let Some((file, word)) = traced::parts(source) {
        let p = traced::fetch(file, word)?;
        return into.add(&p).map_err(|e| Failure::new(FailureKind::Limit, format!("{source}: {e}")));
    }
    let done = if fetch::is_url(source) {
        load::read(fetch::get(&fetch::complete(source))?, into)
    } else {
        let fail = |e: std::io::Error| {
            let kind = match e.kind() {
                std::io::ErrorKind::PermissionDenied => FailureKind::Permission,
                _ => FailureKind::BadRequest,
            };
            Failure::new(kind, format!("cannot read {source}: {e}"))
        };
        let file = File::open(source).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(Failure::new(FailureKind::BadRequest, format!("{source} is not a regular file")));
        }
        load::read(file, into)
    };
    done.map_err(|e| {
        let kind = if e.is_limit() { FailureKind::Limit } else { FailureKind::BadBinary };
        Failure::new(kind, format!("{source}: {e}"))
    })
}

/// Reads files and addresses into one profile, and those that it is compared with.
pub fn load_all(sources: &[String], base: &[String]) -> Result<Calls, Failure> {
    let mut b = Builder::new();
    for s in sources {
        load_into(s, &mut b)?;
    }
    if !base.is_empty() {
        b.begin_base();
    }
    for s in base {
        load_into(s, &mut b)?;
    }
    Ok(b.finish())
}

/// Everything of a question that decides what a [`View`] is.
#[derive(Clone, PartialEq, Eq)]
struct Looked {
    kind: usize,
    reverse: bool,
    normalize: bool,
    focus: String,
    lines: bool,
}

struct Seen {
    of: Looked,
    view: View,
    widths: Vec<u64>,
}

/// A profile that was opened.
pub struct ProfileDesk {
    sources: Vec<String>,
    base: Vec<String>,
    calls: Calls,
    /// Newest views first: by function from the roots, from the leaves, by line.
    seen: Vec<Seen>,
}

/// Views kept.
const SEEN: usize = 3;

impl ProfileDesk {
    /// Reads files or addresses.
    pub fn open(sources: &[String], base: &[String]) -> Result<ProfileDesk, Failure> {
        let calls = load_all(sources, base)?;
        Ok(ProfileDesk { sources: sources.to_vec(), base: base.to_vec(), calls, seen: Vec::new() })
    }

    /// Samples that were read already, and what they are called.
    pub fn of(calls: Calls, source: &str, base: Option<&str>) -> ProfileDesk {
        let base = base.map(str::to_string).into_iter().collect();
        ProfileDesk { sources: vec![source.to_string()], base, calls, seen: Vec::new() }
    }

    /// Compares with another profile, or with none.
    pub fn set_base(&mut self, base: &[String]) -> Result<(), Failure> {
        *self = ProfileDesk::open(&self.sources, base)?;
        Ok(())
    }

    fn view(&mut self, of: Looked) -> Result<&Seen, Failure> {
        if let Some(i) = self.seen.iter().position(|s| s.of == of) {
            self.seen[..=i].rotate_right(1);
        } else {
            let selection = Selection {
                kind: of.kind,
                focus: if of.focus.is_empty() { None } else { Some(regex(&of.focus)?) },
                by: if of.lines { By::Line } else { By::Function },
                reverse: of.reverse,
                normalize: of.normalize,
                ..Selection::default()
            };
            let view = View::new(&self.calls, &selection);
            let widths = widths(&view);
            self.seen.insert(0, Seen { of, view, widths });
            self.seen.truncate(SEEN);
        }
        Ok(&self.seen[0])
    }

    /// Answers a question.
    pub fn answer(&mut self, q: &ProfileQuery) -> Result<ProfileView, Failure> {
        let kind = q.kind.map_or(self.calls.shown, |k| k as usize).min(self.calls.kinds.len().saturating_sub(1));
        let looked = Looked { kind, reverse: q.reverse, normalize: q.normalize, focus: q.focus.clone(), lines: false };
        let mut out = ProfileView {
            source: self.sources.join(" "),
            base: (!self.base.is_empty()).then(|| self.base.join(" ")),
            kinds: self.calls.kinds.clone(),
            kind: kind as u32,
            duration_ns: self.calls.facts[0].duration_ns,
            notes: self.calls.facts.iter().flat_map(|f| f.notes.clone()).collect(),
            ..ProfileView::default()
        };
        let seen = self.view(looked.clone())?;
        let found = found(&seen.view, &q.search);
        out.total = seen.view.total;
        out.selected = seen.view.selected();
        out.found = share(&seen.view, &found);
        let node = seen.view.find(&q.zoom);
        out.zoom = way(&seen.view, &seen.widths, node, &found);
        let f = flame(&seen.view, &seen.widths, node, q.columns, q.depth, &found);
        out.width = f.width;
        out.cells = f.cells;
        out.levels = f.levels;
        // Tables and verdicts are about functions, whichever end paths begin at.
        let seen = self.view(Looked { reverse: false, ..looked.clone() })?;
        table(&seen.view, q, &mut out);
        if !q.lines.is_empty() {
            let name = regex(&format!("^{}$", regex::escape(&q.lines)))?;
            let seen = self.view(Looked { reverse: false, lines: true, ..looked })?;
            out.lines = report::list(&seen.view, &name).into_iter().map(lines).collect();
        }
        Ok(out)
    }

    fn source(&self, file: String) -> Result<Reply, Failure> {
        let fail = |why: String| {
            Failure::new(FailureKind::Unavailable, format!("cannot read {file}: {why}"))
                .fix("map the path with --substitute-path FROM=TO or `:path FROM TO`")
        };
        // Only files that the profile names: the host is no file server.
        if !self.calls.functions.iter().any(|f| *f.file == *file) {
            return Err(fail("the profile does not name it".into()));
        }
        let meta = fs::metadata(&file).map_err(|e| fail(e.to_string()))?;
        if !meta.is_file() || meta.len() > MAX_SOURCE {
            return Err(fail(format!("not a regular file of at most {} MiB", MAX_SOURCE >> 20)));
        }
        let bytes = fs::read(&file).map_err(|e| fail(e.to_string()))?;
        Ok(Reply::Source { text: String::from_utf8_lossy(&bytes).into_owned(), file })
    }
}

fn table(v: &View, q: &ProfileQuery, out: &mut ProfileView) {
    let found = found(v, &q.search);
    let all = if v.compared {
        let t = q.thresholds.map_or_else(Thresholds::default, Thresholds::from);
        let d = diff::compare(v, t);
        out.verdict = diff::sentence(v, &d, t);
        d.rows
    } else {
        report::top(v)
    };
    out.total_rows = all.len() as u32;
    out.rows = all
        .iter()
        .take(q.rows as usize)
        .map(|r| {
            let k = &v.keys[r.key as usize];
            ProfileRow {
                name: k.name.clone(),
                file: k.file.clone(),
                line: k.line,
                flat: r.flat,
                cum: r.cum,
                blame: r.blame,
                found: found.get(r.key as usize).is_some_and(|f| *f),
            }
        })
        .collect();
}

fn lines(l: report::Lines) -> ProfileLines {
    let rows = l.lines.into_iter().map(|(n, (flat, cum))| (n, flat, cum)).collect();
    ProfileLines { name: l.name, file: l.file, lines: rows }
}

/// Which keys have a text in their names. Capitals in the text are minded.
fn found(v: &View, text: &str) -> Vec<bool> {
    if text.is_empty() {
        return Vec::new();
    }
    let exact = text.chars().any(char::is_uppercase);
    let hit = |name: &str| if exact { name.contains(text) } else { name.to_lowercase().contains(text) };
    v.keys.iter().map(|k| hit(&k.name)).collect()
}

/// Value of the stacks with something found on them.
fn share(v: &View, found: &[bool]) -> Pair {
    let mut sum = Pair::default();
    let mut inside = 0u32;
    let hit = |n: u32| found.get(v.tree.key[n as usize] as usize).is_some_and(|f| *f);
    if found.is_empty() {
        return sum;
    }
    v.tree.walk(|step| match step {
        Step::Enter(n) if hit(n) => {
            if inside == 0 {
                sum += v.sum[n as usize];
            }
            inside += 1;
        }
        Step::Leave(n) if hit(n) => inside -= 1,
        _ => {}
    });
    sum
}

impl Offline for ProfileDesk {
    fn opened(&self) -> Reply {
        let target = TargetInfo {
            kind: TargetKind::Profile,
            exe: self.sources.join(" "),
            notes: self.calls.facts[0].notes.clone(),
            ..TargetInfo::default()
        };
        Reply::Opened { target: Arc::new(target), caps: Caps { profiles: true, ..Caps::default() }, stop: None }
    }

    fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        match r {
            Request::Profile(q) => Ok(Reply::Profile(Box::new(ProfileDesk::answer(self, &q)?))),
            Request::ProfileBase { base } => {
                self.set_base(&base)?;
                Ok(Reply::Done)
            }
            Request::Source { file } => self.source(file),
            Request::CodeLines { file } => Ok(Reply::CodeLines { file, lines: Vec::new() }),
            Request::Breakpoints => Ok(Reply::Breakpoints(Vec::new())),
            Request::Refresh | Request::ResizePty { .. } => Ok(Reply::Done),
            _ => {
                Err(Failure::new(FailureKind::Unavailable, "a profile has sums by stack only, no goroutines or memory")
                    .fix("adit PID looks at a running program"))
            }
        }
    }
}

/// A file that holds a profile, as a target.
pub fn open_file(path: &Path) -> Result<ProfileDesk, Failure> {
    ProfileDesk::open(&[path.display().to_string()], &[])
}
