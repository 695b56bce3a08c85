//! `goroutine?debug=1`: stacks with counts (go/src/runtime/pprof/pprof.go, printCountProfile). It has no ids and no states.

use super::lines::Prefix;
use super::{Building, Parsed, frame, numbered};
use crate::base::GoroutineId;
use crate::model::{Frame, Goroutine};
use regex::Regex;
use std::sync::LazyLock;

/// More goroutines than a program has: the count is damaged.
const MAX_COUNT: u64 = 10_000_000;

/// `3 @ 0x47f0ea 0x45d7f2`
static RECORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(\d+) @(?: 0x[0-9a-f]+)*\s*$").ok());
/// `# 0x4e2c4b main.(*cart).total+0x2b /src/main.go:19`, tabs between
static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^#(?:\s|#011)+0x([0-9a-f]+)(?:\s|#011)+(\S.*?)\+0x[0-9a-f]+(?:\s|#011)+(\S.*):(\d+)\s*$").ok()
});
const HEADER: &str = "goroutine profile: total ";

pub(super) fn is_header(line: &str) -> bool {
    line.contains(HEADER)
}

#[derive(Default)]
pub(super) struct Reader {
    prefix: Prefix,
    /// What is before each line; none outside a profile.
    like: Option<String>,
    count: u64,
    labels: Vec<(String, String)>,
    frames: Vec<Frame>,
}

impl Reader {
    /// Takes a line if it belongs to a profile.
    pub fn line(&mut self, raw: &str, b: &mut Building) -> bool {
        if let Some(at) = raw.find(HEADER) {
            self.finish(b);
            self.like = Some(raw.get(..at).unwrap_or("").to_string());
            return true;
        }
        let Some(like) = &self.like else { return false };
        let Some(line) = self.prefix.strip(raw, like) else { return false };
        if let Some(r) = RECORD.as_ref().and_then(|re| re.captures(line)) {
            self.record(b);
            self.count = r.get(1).and_then(|m| m.as_str().parse().ok()).filter(|n| *n <= MAX_COUNT).unwrap_or(0);
            return true;
        }
        if let Some(l) = line.strip_prefix("# labels: ") {
            let map: Option<std::collections::BTreeMap<String, String>> = serde_json::from_str(l.trim()).ok();
            self.labels = map.unwrap_or_default().into_iter().collect();
            return true;
        }
        if let Some(p) = PLACE.as_ref().and_then(|re| re.captures(line)) {
            let text = |i: usize| p.get(i).map_or("", |m| m.as_str());
            let pc = u64::from_str_radix(text(1), 16).unwrap_or(0);
            let at = b.place(text(2), text(3), text(4).parse().unwrap_or(0), pc);
            self.frames.push(frame(at, false));
            return true;
        }
        line.trim().is_empty()
    }

    /// The present record is whole: as many goroutines as it counts.
    fn record(&mut self, b: &mut Building) {
        let frames = numbered(std::mem::take(&mut self.frames));
        let labels = std::mem::take(&mut self.labels);
        for _ in 0..std::mem::take(&mut self.count) {
            b.nameless += 1;
            let row = Goroutine { id: GoroutineId(b.nameless), labels: labels.clone(), ..Goroutine::default() };
            b.add(Parsed { row, frames: frames.clone(), ..Parsed::default() });
        }
    }

    pub fn finish(&mut self, b: &mut Building) {
        self.record(b);
        self.like = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dump;

    #[test]
    fn counts_become_goroutines() {
        let d = Dump::parse(
            b"goroutine profile: total 4\n3 @ 0x47f0ea 0x4e2c4c\n#\t0x4800e4\tsync.runtime_SemacquireMutex+0x24\t\t/go/sema.go:95\n\
              #\t0x4e2c4b\tmain.(*cart).total+0x2b\t/src/main.go:19\n\n1 @ 0x47f0ea\n# labels: {\"path\":\"/a b\", \"tenant\":\"acme\"}\n\
              #\t0x4e3278\tmain.main.func2+0x18\t/src/main.go:42\n\n",
        )
        .expect("a dump");
        assert_eq!(d.goroutines.len(), 4);
        assert_eq!(d.goroutines[2].row.user.function, "main.(*cart).total");
        assert_eq!(d.goroutines[3].row.labels.len(), 2);
        assert!(d.notes[0].contains("debug=1"));
    }
}
