//! A goroutine dump as a target: lists, groups and stacks from text; there is nothing else in it.

use super::listed::{EPOCH, Listed};
use super::offline::Offline;
use super::protocol::*;
use crate::diagnose::{Options, text::diagnose_text};
use crate::dumps::{Dump, MAX_DUMP};
use crate::model::*;
use rustc_hash::FxHashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Longest source file shown, bytes.
const MAX_SOURCE: u64 = 16 << 20;

/// An opened dump.
pub struct DumpTarget {
    listed: Listed,
    notes: Vec<String>,
    files: FxHashSet<String>,
}

impl DumpTarget {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<DumpTarget, Failure> {
        let shown = path.display();
        let fail = |e: std::io::Error| Failure::new(FailureKind::BadRequest, format!("cannot read {shown}: {e}"));
        let t0 = Instant::now();
        if fs::metadata(path).map_err(fail)?.len() > MAX_DUMP {
            return Err(Failure::new(
                FailureKind::BadRequest,
                format!("{shown} is longer than {} MiB", MAX_DUMP >> 20),
            ));
        }
        let dump = Dump::parse(&fs::read(path).map_err(fail)?)
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, format!("{shown}: there are no goroutines in it")))?;
        let files = dump.goroutines.iter().flat_map(|p| p.frames.iter().map(|f| f.at.file.clone())).collect();
        let took_us = t0.elapsed().as_micros() as u64;
        let read = ReadInfo { mode: ReadMode::Offline, took_us, ..ReadInfo::default() };
        Ok(DumpTarget {
            listed: Listed { goroutines: dump.goroutines, read, what: "a dump", epoch: EPOCH },
            notes: dump.notes,
            files,
        })
    }

    /// Toolchains that the go command fetches have their version in their path.
    fn go_version(&self) -> String {
        let version = |f: &String| {
            let rest = f.split_once("/toolchain@v0.0.1-").map(|p| p.1)?;
            rest.split_once(".linux-").or(rest.split_once('/')).map(|v| v.0.to_string())
        };
        self.files.iter().find_map(version).unwrap_or_default()
    }

    /// Only files that the dump names: the host is no file server.
    fn source(&self, file: String) -> Result<Reply, Failure> {
        let fail = |why: String| {
            Failure::new(FailureKind::Unavailable, format!("cannot read {file}: {why}"))
                .fix("map the path with --substitute-path FROM=TO or `:path FROM TO`")
        };
        if !self.files.contains(&file) {
            return Err(fail("the dump does not name it".into()));
        }
        let meta = fs::metadata(&file).map_err(|e| fail(e.to_string()))?;
        if !meta.is_file() || meta.len() > MAX_SOURCE {
            return Err(fail(format!("not a regular file of at most {} MiB", MAX_SOURCE >> 20)));
        }
        let bytes = fs::read(&file).map_err(|e| fail(e.to_string()))?;
        Ok(Reply::Source { text: String::from_utf8_lossy(&bytes).into_owned(), file })
    }
}

impl Offline for DumpTarget {
    fn opened(&self) -> Reply {
        let target = TargetInfo {
            kind: TargetKind::Dump,
            go: self.go_version(),
            notes: self.notes.clone(),
            ..TargetInfo::default()
        };
        Reply::Opened { target: Arc::new(target), caps: Caps { observe: true, ..Caps::default() }, stop: None }
    }

    fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        let r = match self.listed.answer(r) {
            Ok(answer) => return answer,
            Err(other) => *other,
        };
        let read = self.listed.read;
        match r {
            Request::Diagnose(q) => {
                let options = Options { listed: q.listed as usize, mutes: q.mutes, ..Options::default() };
                let all = self.listed.goroutines.iter();
                let all: Vec<Goroutine> =
                    all.map(|p| Goroutine { stack: Some(p.frames.to_vec()), ..p.row.clone() }).collect();
                let diagnosis = Box::new(diagnose_text(&all, &options));
                Ok(Reply::Diagnosis { epoch: EPOCH, read, diagnosis })
            }
            Request::Source { file } => self.source(file),
            Request::CodeLines { file } => Ok(Reply::CodeLines { file, lines: Vec::new() }),
            Request::Breakpoints => Ok(Reply::Breakpoints(Vec::new())),
            Request::Refresh | Request::ResizePty { .. } => Ok(Reply::Done),
            Request::Resume { .. } | Request::Pause | Request::Restart { .. } | Request::SetBreakpoint { .. } => {
                Err(Failure::new(FailureKind::BadState, "a goroutine dump cannot be run: it is text"))
            }
            _ => Err(Failure::new(FailureKind::Unavailable, "a goroutine dump has no memory")
                .fix("adit snapshot PID -o FILE keeps everything of a running program, a core does of a crashed one")),
        }
    }
}
