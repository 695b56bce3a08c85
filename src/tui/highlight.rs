//! Colours of source text, made on a worker thread and kept by file: the screen never waits for them.

use crate::session::source::SourceText;
use rustc_hash::FxHashMap;
use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};
use syntect::parsing::{ParseState, Scope, ScopeStack, ScopeStackOp, SyntaxSet};

/// A line's parts: length in bytes and kind of thing in the theme.
pub type Parts = Vec<(usize, &'static str)>;
/// Lines of a file.
pub type Lines = Arc<Vec<Parts>>;

/// Larger files are shown without colours.
const MAX_LINES: usize = 20_000;

struct Job {
    file: String,
    text: Arc<SourceText>,
}

/// A text and, once they are there, its colours.
type Known = (Arc<SourceText>, Option<Lines>);

/// The worker's client.
pub struct Highlighter {
    jobs: Sender<Job>,
    done: RefCell<FxHashMap<String, Known>>,
    results: Mutex<Receiver<(Job, Lines)>>,
}

impl Highlighter {
    /// Starts the worker; `wake` is called when something is ready.
    pub fn new(wake: impl Fn() + Send + 'static) -> Highlighter {
        let (jobs, todo) = channel::<Job>();
        let (out, results) = channel();
        std::thread::spawn(move || {
            let mut set = None;
            for job in todo {
                let set = set.get_or_insert_with(SyntaxSet::load_defaults_newlines);
                let lines = Arc::new(colour(set, &job.text));
                if out.send((job, lines)).is_err() {
                    return;
                }
                wake();
            }
        });
        Highlighter { jobs, done: RefCell::default(), results: Mutex::new(results) }
    }

    /// The colours of a file, once they are there; asks for them the first time.
    pub fn lines(&self, file: &str, text: &Arc<SourceText>) -> Option<Lines> {
        self.collect();
        let mut done = self.done.borrow_mut();
        match done.get(file) {
            // The same text, not one of the same name that was read again.
            Some((of, lines)) if Arc::ptr_eq(of, text) => lines.clone(),
            _ => {
                done.insert(file.to_string(), (text.clone(), None));
                if text.lines.len() <= MAX_LINES {
                    let _worker_lives = self.jobs.send(Job { file: file.to_string(), text: text.clone() });
                }
                None
            }
        }
    }

    fn collect(&self) {
        let Ok(results) = self.results.lock() else { return };
        while let Ok((job, lines)) = results.try_recv() {
            self.put(job, lines);
        }
    }

    /// Waits for what was asked for, in tests.
    pub fn settle(&self) {
        while self.done.borrow().values().any(|(text, lines)| lines.is_none() && text.lines.len() <= MAX_LINES) {
            let got = match self.results.lock() {
                Ok(r) => r.recv(),
                Err(_) => return,
            };
            let Ok((job, lines)) = got else { return };
            self.put(job, lines);
        }
    }

    fn put(&self, job: Job, lines: Lines) {
        if let Some((text, slot)) = self.done.borrow_mut().get_mut(&job.file)
            && Arc::ptr_eq(text, &job.text)
        {
            *slot = Some(lines);
        }
    }
}

fn colour(set: &SyntaxSet, text: &SourceText) -> Vec<Parts> {
    let Some(syntax) = set.find_syntax_by_extension("go") else { return Vec::new() };
    let mut state = ParseState::new(syntax);
    let mut stack = ScopeStack::new();
    let mut out = Vec::with_capacity(text.lines.len());
    for line in &text.lines {
        let with_end = format!("{line}\n");
        let Ok(ops) = state.parse_line(&with_end, set) else { return out };
        out.push(parts(&ops, &mut stack, line.len()));
    }
    out
}

fn parts(ops: &[(usize, ScopeStackOp)], stack: &mut ScopeStack, len: usize) -> Parts {
    let mut parts: Parts = Vec::new();
    let mut from = 0;
    let mut push = |from: usize, to: usize, what: &'static str| match parts.last_mut() {
        Some((n, w)) if *w == what => *n += to - from,
        _ => parts.push((to - from, what)),
    };
    for (at, op) in ops {
        let at = (*at).min(len);
        if at > from {
            push(from, at, kind(&stack.scopes));
            from = at;
        }
        let _unbalanced_is_harmless = stack.apply(op);
    }
    if len > from {
        push(from, len, kind(&stack.scopes));
    }
    parts
}

fn kind(scopes: &[Scope]) -> &'static str {
    for s in scopes.iter().rev() {
        let name = s.build_string();
        let what = match name.as_str() {
            n if n.starts_with("comment") => "syntax.comment",
            n if n.starts_with("string") => "syntax.string",
            n if n.starts_with("constant") => "syntax.number",
            n if n.starts_with("entity.name.function")
                || n.starts_with("variable.function")
                || n.starts_with("support.function") =>
            {
                "syntax.function"
            }
            n if n.starts_with("storage.type") && !n.contains("keyword") => "syntax.type",
            n if n.starts_with("entity.name.type") || n.starts_with("support.type") => "syntax.type",
            n if n.starts_with("keyword.operator") => "text",
            n if n.starts_with("keyword") || n.starts_with("storage") => "syntax.keyword",
            n if n.starts_with("punctuation.definition.string") => "syntax.string",
            n if n.starts_with("punctuation.definition.comment") => "syntax.comment",
            _ => continue,
        };
        return what;
    }
    "text"
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn go_has_colours() {
        let h = Highlighter::new(|| {});
        let text = Arc::new(SourceText {
            lines: ["package main", "func f() { return \"x\" } // c"].map(String::from).to_vec(),
            origin: String::new(),
        });
        assert!(h.lines("a.go", &text).is_none());
        h.settle();
        let lines = h.lines("a.go", &text).expect("coloured");
        let kinds: Vec<&str> = lines[1].iter().map(|(_, k)| *k).collect();
        for k in ["syntax.keyword", "syntax.function", "syntax.string", "syntax.comment"] {
            assert!(kinds.contains(&k), "{k} in {kinds:?}");
        }
        assert_eq!(lines[1].iter().map(|(n, _)| n).sum::<usize>(), text.lines[1].len());
    }
}
