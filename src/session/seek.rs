//! From mark to mark in a timeline: what `/`, `n` and `N` look for there.

use super::{Purpose, Session, Tone};
use crate::backend::protocol::Request;
use crate::base::text::printable_str;
use crate::model::{Found, Mark, MarkQuery};

/// A search that is under way.
#[derive(Clone, Debug)]
pub struct Seek {
    serial: u64,
    query: MarkQuery,
    /// It began in the middle, found nothing, and began anew at the other end.
    wrapped: bool,
}

impl Session {
    /// Looks for the next mark, or the one before; with an empty text for the next change in the lane.
    pub fn find_mark(&mut self, text: &str, forward: bool) {
        let t = &self.timeline;
        let (Some(v), Some(lane)) = (t.drawn(), t.current().map(|l| l.kind)) else {
            return self.say(Tone::Note, "there is no timeline yet");
        };
        // From the mark that was found last on, if the user is still there; else everything in the cursor's column is ahead.
        let here = t.exact();
        let from_ns = here.unwrap_or_else(|| {
            let at = t.moment().unwrap_or(v.extent.1);
            if forward { at.saturating_sub(1) } else { at.saturating_add(v.column_ns.cast_signed()) }
        });
        let query = MarkQuery { text: text.to_string(), lane, from_ns, forward, source: t.only() };
        self.seek(query, false);
    }

    fn seek(&mut self, query: MarkQuery, wrapped: bool) {
        let serial = self.timeline.seek.as_ref().map_or(1, |s| s.serial + 1);
        self.timeline.seek = Some(Seek { serial, query: query.clone(), wrapped });
        self.ask(Purpose::FindMark { serial }, Request::FindMark(query));
    }

    pub(super) fn mark_found(&mut self, serial: u64, found: Found) {
        let Some(Seek { query, wrapped, .. }) = self.timeline.seek.clone().filter(|s| s.serial == serial) else {
            return;
        };
        if let Some(from_ns) = found.go_on_ns {
            return self.seek(MarkQuery { from_ns, ..query }, wrapped);
        }
        match found.mark {
            Some(m) => self.show_mark(m, wrapped),
            None if !wrapped && !query.text.is_empty() => {
                let extent = self.timeline.drawn().map_or((0, 0), |v| v.extent);
                let from_ns = if query.forward { extent.0.saturating_sub(1) } else { extent.1.saturating_add(1) };
                self.seek(MarkQuery { from_ns, ..query }, true);
            }
            None if query.text.is_empty() => self.say(Tone::Note, "no further change is known in this lane"),
            None => self.say(Tone::Warn, &format!("no match for {}", printable_str(&query.text, 100))),
        }
    }

    fn show_mark(&mut self, m: Mark, wrapped: bool) {
        let around = if wrapped { ", from the other end" } else { "" };
        self.say(Tone::Note, &format!("{}{around}", printable_str(&m.what, 200)));
        self.timeline.show(m.lane, m.at_ns);
        self.timeline.found = Some(m);
    }
}
