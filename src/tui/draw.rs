//! Draws the app: header, tabs, panes, message, hints, overlays.

use super::app::App;
use super::layout::{Class, WORKSPACES, class};
use super::look::Pen;
use super::panes::{Ctx, PaneId, spec};
use crate::base::clock::human_ns;
use crate::base::text::printable_str;
use crate::command;
use crate::model::{StopReason, TargetKind};
use crate::session::triage::Frozen;
use crate::session::{RunState, Tone};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::UnicodeWidthStr;

impl App {
    /// Asks for what will be visible; called before drawing.
    pub fn want(&mut self, screen: Rect) {
        if screen != self.last_screen || self.slots.is_empty() {
            self.last_screen = screen;
            let had = (!self.slots.is_empty() && self.zoom == 0).then(|| self.focused());
            self.change_class(screen);
            self.lay_out(screen);
            if let Some(pane) = had {
                self.try_focus(pane);
            }
        }
        self.lead();
        let mut wanted = Vec::new();
        let peeked = self.peeked();
        let mut output = None;
        for i in 0..self.slots.len() {
            let Some(id) = self.slot_pane(i) else { continue };
            let rows = self.slots[i].area.height.saturating_sub(2);
            if id == PaneId::Output {
                output = Some((self.slots[i].area.width.saturating_sub(2).max(80), rows.max(24)));
            }
            let ctx = Ctx {
                look: &self.look,
                highlight: &self.highlight,
                peek: peeked.as_ref().map(|p| p.0),
                place: peeked.as_ref().map(|p| p.1.as_ref()),
                workspace: self.workspace,
                focused: i == self.focus,
                search: self.search.as_deref().filter(|_| i == self.focus),
            };
            let pane = &mut self.panes[id as usize];
            pane.before(&self.session, &ctx);
            wanted.extend(pane.interests(&self.session, &ctx, rows));
        }
        if let Some((cols, rows)) = output {
            self.session.resize_output(cols, rows);
        }
        self.session.want(&wanted);
    }

    /// Draws everything; returns where the cursor is to be shown.
    pub fn draw(&mut self, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        self.dirty = false;
        buf.set_style(screen, self.look.style("text"));
        if class(screen.width, screen.height) == Class::Note {
            self.note(screen, buf);
            return None;
        }
        self.header(Rect { height: 1, ..screen }, buf);
        self.tab_line(Rect { y: screen.y + 1, height: 1, ..screen }, buf);
        let peeked = self.peeked();
        for i in 0..self.slots.len() {
            let Some(id) = self.slot_pane(i) else { continue };
            self.pane(i, id, peeked.as_ref(), buf);
        }
        self.message_line(Rect { y: screen.bottom() - 2, height: 1, ..screen }, buf);
        self.hints(Rect { y: screen.bottom() - 1, height: 1, ..screen }, buf);
        let mut cursor = None;
        let mut overlays = std::mem::take(&mut self.overlays);
        for o in &mut overlays {
            cursor = o.draw(&self.session, &self.look, screen, buf);
        }
        self.overlays = overlays;
        cursor
    }

    fn pane(
        &mut self,
        i: usize,
        id: PaneId,
        peeked: Option<&(crate::base::GoroutineId, std::sync::Arc<crate::model::Location>)>,
        buf: &mut Buffer,
    ) {
        let slot = self.slots[i].clone();
        let focused = i == self.focus;
        let ctx = Ctx {
            look: &self.look,
            highlight: &self.highlight,
            peek: peeked.map(|p| p.0),
            place: peeked.map(|p| p.1.as_ref()),
            workspace: self.workspace,
            focused: focused && self.overlays.is_empty(),
            search: self.search.as_deref().filter(|_| focused),
        };
        self.panes[id as usize].before(&self.session, &ctx);
        let (mut title, mut note) = self.panes[id as usize].title(&self.session, &ctx);
        if slot.panes.len() > 1 && focused {
            let others: Vec<&str> = slot.panes.iter().filter(|p| **p != id).map(|p| spec(*p).title).collect();
            let long = format!("[ ] {}", others.join(" "));
            let at = slot.panes.iter().position(|p| *p == id).unwrap_or(0) + 1;
            let fits = long.width() + title.width() + 10 <= slot.area.width as usize;
            note = if fits { long } else { format!("[ ] tab {at}/{}", slot.panes.len()) };
        }
        if self.search.is_some() && focused {
            title.push_str(&format!("  /{}", self.search.as_deref().unwrap_or("")));
        }
        let inner = self.look.frame(buf, slot.area, &title, &note, focused);
        if inner.height > 0 && inner.width > 0 {
            self.panes[id as usize].draw(&self.session, &ctx, inner, buf);
        }
    }

    fn note(&self, screen: Rect, buf: &mut Buffer) {
        let text = [
            format!("adit needs 60x15, this is {}x{}", screen.width, screen.height),
            self.state_text(true),
            "q leaves".to_string(),
        ];
        for (row, t) in text.iter().enumerate().take(screen.height as usize) {
            Pen::new(buf, screen, row as u16, self.look.style("text"), &self.look).put(t, Style::default());
        }
    }

    fn state_text(&self, short: bool) -> String {
        let s = &self.session;
        match &s.state {
            RunState::Opening(what) => format!("opening: {what}"),
            RunState::Running => self.file_word().unwrap_or("running").into(),
            RunState::Exited(how) => how.clone(),
            RunState::Detached(_) => "detached".into(),
            RunState::Stopped => {
                let Some(stop) = &s.stop else { return "stopped".into() };
                let at = format!("{}:{}", stop.at.base_file(), stop.at.line);
                let at = if stop.at.line == 0 { stop.at.short_function().to_string() } else { at };
                let g = stop.goroutine.map_or(String::new(), |g| format!(" g{g}"));
                let why = match &stop.reason {
                    StopReason::Breakpoint(id) => {
                        let hits = s.breakpoints.iter().find(|b| b.id == *id).map(|b| b.hits).filter(|h| *h > 0);
                        match hits {
                            Some(h) => format!("bp {id} hit {h}"),
                            None => format!("bp {id}"),
                        }
                    }
                    StopReason::StepInterrupted(id) => format!("bp {id} in a step"),
                    StopReason::Launched => "launched".into(),
                    StopReason::Paused => "paused".into(),
                    StopReason::StepDone => "step".into(),
                    StopReason::UnrecoveredPanic(_) => "panic".into(),
                    StopReason::FatalError(_) => "fatal error".into(),
                    StopReason::HardcodedBreakpoint => "own breakpoint".into(),
                    StopReason::ConditionFailed(id, _) => format!("bp {id} condition failed"),
                    StopReason::Exec(_) => "exec".into(),
                    StopReason::Condition(_) => "condition".into(),
                    StopReason::Watchpoint { id, .. } => format!("watch {id}"),
                    StopReason::WatchEnded(id, _) => format!("watch {id} over"),
                    StopReason::CallReturned => "call".into(),
                };
                // The place is in the line above the hints; a narrow header has no room for it.
                let at = if short { String::new() } else { format!(" ({at})") };
                let stopped = if stop.copied { "copy" } else { "stopped" };
                printable_str(&format!("{}: {why}{at}{g}", self.file_word().unwrap_or(stopped)), 120)
            }
        }
    }

    /// What kind of file is looked at, if it is one.
    fn file_word(&self) -> Option<&'static str> {
        match self.session.target.as_ref()?.kind {
            TargetKind::Core => Some("core"),
            TargetKind::Snapshot => Some("snapshot"),
            TargetKind::Dump => Some("goroutine dump"),
            TargetKind::Profile => Some("profile"),
            _ => None,
        }
    }

    fn header(&self, area: Rect, buf: &mut Buffer) {
        let (s, look) = (&self.session, &self.look);
        let wide = area.width >= 110;
        let mut pen = Pen::new(buf, area, 0, look.style("header"), look);
        let sep = format!(" {} ", look.marks().sep);
        pen.skip(1);
        match &s.target {
            Some(t) => {
                // A dump knows no program: the file that was opened.
                let path = if t.exe.is_empty() { s.opened_file() } else { t.exe.clone() };
                let name = path.rsplit('/').next().unwrap_or(&path);
                pen.put(&printable_str(name, 30), look.style("title.focus"));
                if let Some(pid) = t.pid {
                    pen.put(&format!("  pid {pid}"), Style::default());
                }
                let go = t.go.split([' ', '-']).next().unwrap_or("");
                pen.put(&format!("  {}", printable_str(go, 20)), Style::default());
                if wide && !t.arch.is_empty() {
                    pen.put(&format!(" linux/{}", t.arch), Style::default());
                }
                let build = match (t.stripped, t.optimised) {
                    (true, _) => " stripped",
                    (false, true) if wide => " optimised",
                    _ => "",
                };
                pen.put(build, look.style("warn"));
            }
            None => {
                pen.put("adit", look.style("title.focus"));
            }
        }
        pen.put(&sep, look.style("border"));
        if s.target.is_some() {
            match s.control() {
                true => pen.put("CONTROL", look.style("header.control")),
                false => {
                    let process = s.target.as_ref().is_none_or(|t| t.kind == TargetKind::Process);
                    let mode = if process { "OBSERVE" } else { "FILE" };
                    let ro = if wide { "read-only" } else { "ro" };
                    pen.put(&format!("{mode} {ro}"), look.style("header.observe"))
                }
            };
            pen.put(&sep, look.style("border"));
        }
        let style = match &s.state {
            RunState::Running => look.style("header.running"),
            RunState::Stopped => match s.stop.as_ref().map(|s| &s.reason) {
                Some(StopReason::UnrecoveredPanic(_) | StopReason::FatalError(_)) => look.style("header.error"),
                _ => look.style("header.stopped"),
            },
            RunState::Opening(_) => look.style("header.stopped"),
            _ => look.style("header.error"),
        };
        pen.put(&self.state_text(!wide), style);
        if let Some(left) = s.hold_left() {
            pen.put(&sep, look.style("border"));
            let s = left.as_secs();
            pen.put(&format!("HOLD {}:{:02}", s / 60, s % 60), look.style("warn"));
        }
        if let Some(b) = s.budget().filter(|b| s.control() && b.stops > 0 && b.minute_ms.is_some()) {
            pen.put(&sep, look.style("border"));
            let text = format!("{} {}x {}", b.profile, b.stops, human_ns(b.total_us.saturating_mul(1_000)));
            pen.put(&printable_str(&text, 40), look.style("dim"));
        } else if let (n @ 1.., total, _) = s.triage.pauses {
            pen.put(&sep, look.style("border"));
            pen.put(&format!("paused {n}x {}", human_ns(total * 1_000)), look.style("dim"));
        }
        if s.live() || s.triage.frozen.is_some() && s.state == RunState::Running {
            let text = match &s.triage.frozen {
                None => String::new(),
                Some(Frozen::Snapshot { at, .. }) => format!("snapshot {at}"),
                Some(_) => "frozen".to_string(),
            };
            if !text.is_empty() {
                pen.put(&sep, look.style("border"));
                pen.put(&text, look.style("warn"));
            }
        }
        if s.state == RunState::Stopped && !s.stopped_at.is_empty() && self.file_word().is_none() {
            pen.put(&sep, look.style("border"));
            let since = match (s.held(), wide) {
                (true, true) => "held since ",
                (false, true) => "since ",
                _ => "",
            };
            pen.put(&format!("{since}{}", s.stopped_at), look.style("dim"));
        }
        if let Some((what, _)) = s.waiting_for() {
            let text = format!("waiting for {} ", printable_str(what, 40));
            pen.at_end(&text, look.style("warn"));
        } else if let Some(g) = s.goroutine.filter(|g| s.stop.as_ref().is_none_or(|st| st.goroutine != Some(*g))) {
            pen.at_end(&format!("looking at g{g} "), look.style("key"));
        }
    }

    fn tab_line(&self, area: Rect, buf: &mut Buffer) {
        let look = &self.look;
        let mut pen = Pen::new(buf, area, 0, look.style("header"), look);
        pen.skip(1);
        let wide = area.width >= 115;
        for (n, name, short, off) in WORKSPACES {
            let active = n == self.workspace;
            let text = format!("{n}{}{}", if active { "*" } else { " " }, if wide { name } else { short });
            let off = off.or(self.session.why_no_workspace(n));
            let style = match (active, off) {
                (true, _) => look.style("tab.active"),
                (false, Some(_)) => look.style("tab.off"),
                _ => look.style("tab"),
            };
            pen.put(&text, style).skip(if wide { 2 } else { 1 });
        }
        pen.at_end("q quit  ? help ", look.style("dim"));
    }

    fn message_line(&self, area: Rect, buf: &mut Buffer) {
        let look = &self.look;
        let mut pen = Pen::new(buf, area, 0, look.style("message"), look);
        pen.skip(1);
        if !self.pending.is_empty() {
            let keys = super::keymap::keys_text(&self.typed);
            let text: Vec<String> = self.pending.iter().map(|(k, line)| format!("{keys}{k} {line}")).collect();
            pen.put(&text.join("   "), look.style("key"));
            return;
        }
        if let Some(m) = &self.session.message {
            let style = match m.tone {
                Tone::Note => "message",
                Tone::Warn => "warn",
                Tone::Error => "error",
            };
            pen.put(&m.text, look.style(style));
        }
    }

    fn hints(&self, area: Rect, buf: &mut Buffer) {
        let look = &self.look;
        let contexts = self.contexts();
        let p = spec(self.focused());
        let mut lines: Vec<&str> = Vec::new();
        if self.search.is_some() {
            lines.extend(["search-next", "search-prev", "search-clear"]);
        }
        let running = self.session.control() && self.session.state == RunState::Running;
        if running {
            lines.push("interrupt");
        }
        let own = if self.session.control() { p.hints } else { p.observe_hints };
        lines.extend(own);
        lines.extend(["next-pane", "zoom", "prompt", "search", "help"]);
        let mut pen = Pen::new(buf, area, 0, look.style("text"), look);
        pen.skip(1);
        let mut seen = Vec::new();
        for line in lines {
            let (Some(key), Ok((c, _))) = (self.keys.key_for(&contexts, line), command::look_up(line)) else {
                continue;
            };
            if seen.contains(&line)
                || (self.session.why_off(c.name, c.needs).is_some() && self.session.target.is_some())
            {
                continue;
            }
            let off = match line {
                "snapshot" => self.session.why_no_snapshot().is_some(),
                "freeze" => !self.session.live() && self.session.triage.frozen.is_none(),
                _ => false,
            };
            if off {
                continue;
            }
            seen.push(line);
            let short = match line {
                "prompt break" => "new",
                "prompt input" => "type to it",
                _ => c.short,
            };
            let width = key.width() + short.width() + 3;
            if pen.room() < width {
                break;
            }
            pen.put(&key, look.style("key")).skip(1).put(short, Style::default()).skip(2);
        }
    }

    /// The focused pane's text: the line under the cursor, or all that is shown.
    pub(super) fn pane_text(&mut self, line: bool) -> String {
        let id = self.focused();
        let Some(slot) = self.slots.get(self.focus).cloned() else { return String::new() };
        let area = Rect::new(0, 0, 400, slot.area.height.saturating_sub(2));
        let mut buf = Buffer::empty(area);
        let peeked = self.peeked();
        let ctx = Ctx {
            look: &self.look,
            highlight: &self.highlight,
            peek: peeked.as_ref().map(|p| p.0),
            place: peeked.as_ref().map(|p| p.1.as_ref()),
            workspace: self.workspace,
            focused: false,
            search: None,
        };
        self.panes[id as usize].draw(&self.session, &ctx, area, &mut buf);
        let row = match (line, id) {
            (false, _) => None,
            (true, PaneId::Goroutines) => Some((self.session.list.cursor - self.session.list.top) as u16 + 1),
            (true, _) => self.panes[id as usize].cursor_row(),
        };
        let text = |y: u16| {
            let cells: String = (0..area.width).map(|x| buf[(x, y)].symbol()).collect();
            cells.trim_end().to_string()
        };
        match row {
            Some(y) if y < area.height => text(y).trim().to_string(),
            _ => {
                let all: Vec<String> = (0..area.height).map(text).collect();
                all.join("\n").trim_end().to_string()
            }
        }
    }
}
