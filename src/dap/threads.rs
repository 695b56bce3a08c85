//! Goroutines as threads: all of them, the selected one first, named as Delve names them.

use super::message::Trouble;
use super::session::{Phase, Session};
use crate::backend::protocol::*;
use crate::model::location::short_function;
use crate::model::{Goroutine, GoroutineFilter, Location};
use serde_json::{Value, json};

/// Rows of one page where goroutines are wanted in full, for filters.
const PAGE: u64 = 4096;

/// A condition of `goroutineFilters`, which are Delve's: `-with userloc X`, `-without running`…
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    with: bool,
    what: String,
    arg: String,
}

/// Reads the filters.
fn filters(text: &str) -> Result<Vec<Filter>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut out, mut i) = (Vec::new(), 0);
    while let Some(w) = words.get(i) {
        i += 1;
        let with = match *w {
            "-with" | "-w" => true,
            "-without" | "-wo" => false,
            // How a list would be printed: nothing to do with which are in it.
            "-u" | "-r" | "-g" | "-s" | "-l" | "-t" => continue,
            other => return Err(format!("goroutineFilters: unknown word {other:?}")),
        };
        let what = words.get(i).ok_or("goroutineFilters: not enough arguments")?.to_string();
        i += 1;
        let arg = match what.as_str() {
            "running" | "user" => String::new(),
            "userloc" | "curloc" | "goloc" | "startloc" | "label" => {
                i += 1;
                words.get(i - 1).ok_or("goroutineFilters: not enough arguments")?.to_string()
            }
            other => return Err(format!("goroutineFilters: unrecognized argument {other:?}")),
        };
        out.push(Filter { with, what, arg });
    }
    Ok(out)
}

fn holds(f: &Filter, g: &Goroutine) -> bool {
    let at =
        |l: Option<&Location>| l.is_some_and(|l| format!("{}:{} in {}", l.file, l.line, l.function).contains(&f.arg));
    let found = match f.what.as_str() {
        "running" => g.thread.is_some(),
        "user" => !g.system,
        "userloc" => at(Some(&g.user)),
        "curloc" => at(Some(&g.at)),
        "goloc" => at(g.created_by.as_ref().map(|c| &*c.at)),
        "startloc" => at(g.entry.as_deref()),
        _ => g.labels.iter().any(|(k, v)| match f.arg.split_once('=') {
            Some((fk, fv)) => k == fk && v == fv,
            None => *k == f.arg,
        }),
    };
    found == f.with
}

/// ` key:value` for each label that is to be shown; a single one without its key.
fn label_text(wanted: &[String], labels: &[(String, String)]) -> String {
    let value = |k: &str| labels.iter().find(|l| l.0 == k).map(|l| l.1.as_str()).filter(|v| !v.is_empty());
    match wanted {
        [one] if one != "*" => value(one).map_or_else(String::new, |v| format!(" {v}")),
        [_all] => {
            let mut keys: Vec<&String> = labels.iter().map(|l| &l.0).collect();
            keys.sort_unstable();
            keys.iter().filter_map(|k| value(k).map(|v| format!(" {k}:{v}"))).collect()
        }
        some => some.iter().filter_map(|k| value(k).map(|v| format!(" {k}:{v}"))).collect(),
    }
}

impl Session {
    pub async fn threads(&mut self) -> Result<Value, Trouble> {
        // While it runs, one stands for all: an editor asks only so that it has somebody to pause.
        if self.running && self.phase != Phase::Ended {
            return Ok(json!({"threads": [{"id": -1, "name": "Current"}]}));
        }
        let dummy = json!({"threads": [{"id": 1, "name": "Dummy"}]});
        if self.phase == Phase::Ended {
            return Ok(dummy);
        }
        let found = match filters(&self.config.goroutine_filters) {
            Ok(f) if f.is_empty() => self.all_goroutines().await,
            Ok(f) => self.filtered_goroutines(&f).await,
            Err(why) => {
                self.out.console(&why);
                self.all_goroutines().await
            }
        };
        let (functions, mut rows) = match found {
            Ok(f) => f,
            Err(f) if f.kind == FailureKind::Gone => return Ok(dummy),
            Err(f) => {
                let text = format!("Unable to retrieve goroutines: {f}\n");
                self.out.event("output", json!({"category": "stderr", "output": text}));
                return Ok(dummy);
            }
        };
        if rows.is_empty() {
            return Ok(dummy);
        }
        let selected = self.stop.as_ref().and_then(|s| s.goroutine);
        if let Some(at) = rows.iter().position(|r| Some(r.id) == selected) {
            rows[..=at].rotate_right(1);
        }
        let functions: Vec<&str> =
            functions.iter().map(|f| if f.is_empty() { "???" } else { short_function(f) }).collect();
        let wanted = &self.config.show_pprof_labels;
        let one = |r: &NamedGoroutine| {
            let mark = if Some(r.id) == selected { "* " } else { "" };
            let labels = if wanted.is_empty() { String::new() } else { label_text(wanted, &r.labels) };
            let function = functions.get(r.function as usize).copied().unwrap_or("???");
            let thread = r.thread.map_or_else(String::new, |t| format!(" (Thread {})", t.0));
            json!({"id": r.id.0, "name": format!("{mark}[Go {}{labels}] {function}{thread}", r.id.0)})
        };
        Ok(json!({"threads": rows.iter().map(one).collect::<Vec<_>>()}))
    }

    async fn all_goroutines(&mut self) -> Result<(Vec<String>, Vec<NamedGoroutine>), Failure> {
        let filter = GoroutineFilter { system: !self.config.hide_system_goroutines, ..GoroutineFilter::default() };
        match self.ask(Request::GoroutineNames(filter)).await? {
            Reply::GoroutineNames { functions, rows, .. } => Ok((functions, rows)),
            // A goroutine dump has its own list.
            _ => Ok((Vec::new(), Vec::new())),
        }
    }

    async fn filtered_goroutines(&mut self, f: &[Filter]) -> Result<(Vec<String>, Vec<NamedGoroutine>), Failure> {
        let (mut functions, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
        loop {
            let filter = GoroutineFilter { system: !self.config.hide_system_goroutines, ..GoroutineFilter::default() };
            let q = GoroutineQuery { filter, start, count: PAGE, stack: 0, defers: false, names: false };
            let Reply::Goroutines { rows: page, total, .. } = self.ask(Request::Goroutines(q)).await? else { break };
            start += page.len() as u64;
            let end = page.is_empty() || start >= total;
            for g in page.into_iter().filter(|g| f.iter().all(|f| holds(f, g))) {
                functions.push(g.user.function.clone());
                let function = functions.len() as u32 - 1;
                rows.push(NamedGoroutine { id: g.id, function, thread: g.thread, labels: g.labels });
            }
            if end {
                break;
            }
        }
        Ok((functions, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delves_filters() {
        let f = filters("-with userloc main.work -without label job=2 -wo running").expect("filters");
        assert_eq!(f.len(), 3);
        let at = |f: &str| std::sync::Arc::new(Location { function: f.into(), ..Location::default() });
        let g = Goroutine { user: at("main.work"), labels: vec![("job".into(), "1".into())], ..Goroutine::default() };
        assert!(f.iter().all(|f| holds(f, &g)));
        assert!(!holds(&f[0], &Goroutine { user: at("main.rest"), ..Goroutine::default() }));
        for bad in ["-with", "-with x", "-with userloc", "x"] {
            assert!(filters(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels() {
        let l = [("b".to_string(), "2".to_string()), ("a".to_string(), "1".to_string())];
        let w = |s: &[&str]| s.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert_eq!(label_text(&w(&["*"]), &l), " a:1 b:2");
        assert_eq!(label_text(&w(&["b"]), &l), " 2");
        assert_eq!(label_text(&w(&["b", "x", "a"]), &l), " b:2 a:1");
        assert_eq!(label_text(&w(&["x"]), &l), "");
    }
}
