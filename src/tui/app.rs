//! The screen's state and what verbs do to it. No terminal: keys and messages come in, effects go out.

use super::highlight::Highlighter;
use super::history::History;
use super::keymap::{Found, Key, KeyMap, keys_text};
use super::layout::{self, Slot};
use super::look::Look;
use super::panes::{Ctx, Handled, PANES, Pane, PaneId, spec};
use super::popups::{Outcome, Overlay, choice, prompt};
use crate::backend::protocol::FromHost;
use crate::command::{self, Action, Do, Ui};
use crate::session::{RunState, Session, Tone};
use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::layout::Rect;

/// Something that only the driver can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End.
    Quit,
    /// Stop ourselves.
    Suspend,
    /// Run the user's editor.
    Edit(String, u32),
    /// Send to the terminal's clipboard.
    Copy(String),
    /// Draw every cell again.
    Redraw,
    /// Mouse on or off.
    Mouse(bool),
}

/// The app.
pub struct App {
    /// The debugging session.
    pub session: Session,
    /// Theme and marks.
    pub look: Look,
    /// Keys.
    pub keys: KeyMap,
    /// Source colours.
    pub highlight: Highlighter,
    /// The workspace shown.
    pub workspace: u8,
    /// For the driver.
    pub effects: Vec<Effect>,
    /// Something changed since the last drawing.
    pub dirty: bool,
    /// Builds a theme by name.
    pub theme: Box<dyn Fn(&str) -> super::theme::Theme>,
    pub(super) panes: Vec<Box<dyn Pane>>,
    pub(super) focus: usize,
    pub(super) zoom: u8,
    pub(super) tabs: [[u8; PANES.len()]; 10],
    /// The list in each workspace that the panes beside it are about.
    pub(super) leaders: [Option<PaneId>; 10],
    /// Where the user was.
    pub(super) places: History,
    /// Places shown in Source so far, and frames entered.
    pub(super) jumps: u32,
    /// A file to write the snapshot to that is being asked about.
    pub(super) snapshot_file: Option<std::path::PathBuf>,
    pub(super) slots: Vec<Slot>,
    pub(super) overlays: Vec<Overlay>,
    pub(super) typed: Vec<Key>,
    pub(super) pending: Vec<(String, String)>,
    pub(super) search: Option<String>,
    pub(super) picking_file: bool,
    pub(super) marking: Option<bool>,
    pub(super) marks: std::collections::BTreeMap<char, (String, u32)>,
    pub(super) last_screen: Rect,
    /// Tabs by class of screen size, as they were chosen.
    pub layouts: std::collections::BTreeMap<String, Vec<[u8; 3]>>,
    class: Option<layout::Class>,
    history: Vec<String>,
    quitting: bool,
    suspend_when_running: bool,
    opened: bool,
    /// The first workspace, when the target does not decide it.
    pub first_workspace: Option<u8>,
    /// Show the newcomer's note once the target is open.
    pub welcome: bool,
}

impl App {
    /// An app around a session.
    pub fn new(session: Session, look: Look, keys: KeyMap, highlight: Highlighter) -> App {
        App {
            session,
            look,
            keys,
            highlight,
            workspace: 3,
            effects: Vec::new(),
            dirty: true,
            theme: Box::new(|n| super::theme::Theme::build(n, None, super::theme::Palette::Ansi).0),
            panes: PANES.iter().map(|p| (p.new)()).collect(),
            focus: 0,
            zoom: 0,
            tabs: [[0; PANES.len()]; 10],
            leaders: [None; 10],
            places: History::default(),
            jumps: 0,
            snapshot_file: None,
            slots: Vec::new(),
            overlays: Vec::new(),
            typed: Vec::new(),
            pending: Vec::new(),
            search: None,
            picking_file: false,
            marking: None,
            marks: Default::default(),
            last_screen: Rect::new(0, 0, 80, 24),
            layouts: Default::default(),
            class: None,
            history: Vec::new(),
            quitting: false,
            suspend_when_running: false,
            opened: false,
            first_workspace: None,
            welcome: false,
        }
    }

    /// The pane with the keys.
    pub fn focused(&self) -> PaneId {
        self.slot_pane(self.focus).unwrap_or(PaneId::Source)
    }

    pub(super) fn slot_pane(&self, i: usize) -> Option<PaneId> {
        let slot = self.slots.get(i)?;
        let tab = self.tabs[self.workspace as usize % 10][self.slot_index(slot)] as usize;
        slot.panes.get(tab % slot.panes.len()).copied()
    }

    /// The slot's number in the unzoomed layout: its tab is kept under it.
    pub(super) fn slot_index(&self, slot: &Slot) -> usize {
        slot.panes.first().map_or(0, |p| *p as usize)
    }

    /// Key contexts, the first wins.
    pub fn contexts(&self) -> Vec<&'static str> {
        let mut v = Vec::new();
        if self.search.is_some() {
            v.push("search");
        }
        v.extend_from_slice(spec(self.focused()).contexts);
        v.push("global");
        v
    }

    /// Puts the tabs chosen on this class of screen by, so that they can be kept.
    pub fn put_layout_by(&mut self) {
        let Some(class) = self.class else { return };
        let mut chosen = Vec::new();
        for (ws, tabs) in self.tabs.iter().enumerate() {
            for (slot, tab) in tabs.iter().enumerate().filter(|(_, t)| **t > 0) {
                chosen.push([ws as u8, slot as u8, *tab]);
            }
        }
        self.layouts.insert(format!("{class:?}").to_lowercase(), chosen);
    }

    /// Another class of screen has its own tabs.
    pub(super) fn change_class(&mut self, screen: Rect) {
        let class = layout::class(screen.width, screen.height);
        if self.class == Some(class) {
            return;
        }
        self.put_layout_by();
        self.class = Some(class);
        self.tabs = [[0; PANES.len()]; 10];
        for [ws, slot, tab] in self.layouts.get(&format!("{class:?}").to_lowercase()).into_iter().flatten() {
            if let Some(t) = self.tabs.get_mut(*ws as usize).and_then(|w| w.get_mut(*slot as usize)) {
                *t = *tab;
            }
        }
    }

    /// Lays the panes out for a screen; the focus stays on its pane.
    pub fn lay_out(&mut self, screen: Rect) {
        let body = Rect { y: screen.y + 2, height: screen.height.saturating_sub(4), ..screen };
        let had = (!self.slots.is_empty()).then(|| self.focused());
        let base = layout::slots(self.workspace, body);
        if let Some(pane) = had {
            self.focus = base.iter().position(|s| s.panes.contains(&pane)).unwrap_or(0);
        }
        self.slots = layout::zoomed(base, self.focus, self.zoom, body);
        if self.zoom > 0 {
            self.focus = 0;
        }
    }

    /// A message from the host.
    pub fn host(&mut self, message: FromHost) {
        let resumed = matches!(&message, FromHost::Notice(crate::backend::protocol::Notice::Resumed { .. }));
        self.session.handle(message);
        self.dirty = true;
        if !self.opened && self.session.target.is_some() {
            self.opened = true;
            let ws = self.first_workspace.unwrap_or_else(|| self.opening());
            self.go_workspace(ws);
            if self.welcome {
                self.overlays.push(Overlay::Text(super::help::welcome(&self.session)));
            }
        }
        // Only when the host has said that it runs: a refusal must not leave it held and us asleep.
        if resumed && std::mem::take(&mut self.suspend_when_running) {
            self.effects.push(Effect::Suspend);
        }
        self.after();
    }

    /// The host ended.
    pub fn host_gone(&mut self) {
        self.session.host_gone();
        self.dirty = true;
        if self.quitting || self.session.open_failure.is_some() {
            self.effects.push(Effect::Quit);
        }
    }

    /// Takes what the session wants to be shown.
    fn after(&mut self) {
        if let Some(a) = self.session.answer.take() {
            let lines = a.lines.into_iter().map(super::popups::text::Line::text).collect();
            self.overlays.push(Overlay::Text(super::popups::text::TextView::new(&a.title, lines)));
        }
        if let Some((file, line)) = self.session.goto.take() {
            self.jumps += 1;
            if self.workspace != 8 || !self.slots.iter().any(|s| s.panes.contains(&PaneId::Source)) {
                self.show_pane(PaneId::Source);
            }
            self.panes[PaneId::Source as usize].show(&file, line);
        }
        if self.session.open_failure.is_some() {
            self.effects.push(Effect::Quit);
        }
        if std::mem::take(&mut self.session.detach_refused) {
            self.quitting = false;
        }
        if self.quitting && matches!(self.session.state, RunState::Detached(_) | RunState::Exited(_)) {
            self.effects.push(Effect::Quit);
        }
        if let (Some(Overlay::Palette(p)), (text, names)) = (self.overlays.last_mut(), &self.session.completions)
            && self.picking_file
            && p.text() == text
        {
            p.replace(super::help::files(names));
        }
    }

    /// Pasted text: never keys.
    pub fn paste(&mut self, text: &str) {
        self.dirty = true;
        match self.overlays.last_mut() {
            Some(o) => o.paste(text),
            None => self.session.say(Tone::Note, "pasted text is taken on the : and / lines only"),
        }
    }

    /// A key.
    pub fn key(&mut self, event: KeyEvent) {
        if event.kind == KeyEventKind::Release {
            return;
        }
        self.dirty = true;
        self.session.attention();
        let before = self.spot();
        self.handle_key(event);
        self.after();
        self.remember(before);
    }

    fn handle_key(&mut self, event: KeyEvent) {
        if let Some(mut top) = self.overlays.pop() {
            let outcome = top.key(event, &mut self.session);
            self.outcome(top, outcome);
            return;
        }
        if let Some(set) = self.marking.take() {
            self.session.message = None;
            if let crossterm::event::KeyCode::Char(c) = event.code {
                self.mark(c, set);
            }
            return;
        }
        self.typed.push(Key::of(event));
        let contexts = self.contexts();
        self.pending.clear();
        match self.keys.look_up(&contexts, &self.typed) {
            Found::Command(line) => {
                self.typed.clear();
                self.run_line(&line, true);
            }
            Found::Pending(next) => self.pending = next,
            Found::None => {
                let text = keys_text(&self.typed);
                let alone = self.typed.len() == 1;
                self.typed.clear();
                if !alone || !text.starts_with("Esc") {
                    self.unbound(&text);
                }
            }
        }
    }

    /// A key that means nothing here: say where it would.
    fn unbound(&mut self, text: &str) {
        let there = self
            .keys
            .all()
            .filter(|(c, k, _)| *c == "target" && k == text)
            .find_map(|(_, _, line)| command::look_up(line).ok())
            .map(|(c, _)| c.name);
        let text = match there {
            Some(name) => format!("{text} is {name} in Source and Stack only (Tab goes there)"),
            None => format!("{text} means nothing here; ? lists the keys"),
        };
        self.session.message = Some(crate::session::Message { tone: Tone::Warn, text });
    }

    fn outcome(&mut self, top: Overlay, outcome: Outcome) {
        match outcome {
            Outcome::Stay => {
                self.overlays.push(top);
                if self.picking_file
                    && let Some(Overlay::Palette(p)) = self.overlays.last()
                {
                    let text = p.text().to_string();
                    self.session.complete(crate::backend::protocol::SymbolKind::Sources, &text);
                }
            }
            Outcome::Close => self.picking_file = false,
            Outcome::Run(what) => self.run(what),
            Outcome::Line(line) => {
                self.picking_file = false;
                if matches!(top, Overlay::Prompt(_)) && self.history.last() != Some(&line) {
                    self.history.push(line.clone());
                }
                self.run_line(&line, false);
            }
            Outcome::Search(text, end) => {
                if !end {
                    self.overlays.push(top);
                }
                // A timeline is searched where its data is, and not at every key.
                match matches!(self.focused(), PaneId::Timeline | PaneId::Spans) {
                    true if end => self.search_timeline(text),
                    true => {}
                    false => self.searched(text),
                }
            }
            Outcome::Answer(a) => self.answer(a),
            Outcome::Say(text) => {
                self.overlays.push(top);
                self.session.message = Some(crate::session::Message { tone: Tone::Warn, text });
            }
        }
    }

    fn search_timeline(&mut self, text: String) {
        self.search = (!text.trim().is_empty()).then_some(text);
        if let Some(text) = self.search.clone() {
            // The newest has nothing behind it.
            let t = &self.session.timeline;
            let forward = !(t.follows() && t.drawn().is_some_and(|v| v.growing));
            self.session.find_mark(&text, forward);
        }
    }

    fn searched(&mut self, text: String) {
        if self.focused() == PaneId::Goroutines {
            self.session.list.set_filter(&text);
            self.search = None;
            return;
        }
        if text.is_empty() {
            self.search = None;
            return;
        }
        self.search = Some(text.clone());
        let id = self.focused();
        match self.panes[id as usize].search(&self.session, &text, true, true) {
            Some(true) => {
                self.session.message = None;
                self.settle_on(id);
            }
            Some(false) => {
                let text = format!("no match for {text}");
                self.session.message = Some(crate::session::Message { tone: Tone::Warn, text });
            }
            None => {
                self.search = None;
                let text = "this pane cannot be searched".to_string();
                self.session.message = Some(crate::session::Message { tone: Tone::Note, text });
            }
        }
    }

    fn answer(&mut self, a: choice::Answer) {
        match a {
            choice::Answer::Stay => {}
            choice::Answer::DetachAndQuit => self.detach(false),
            choice::Answer::Snapshot => {
                let file = self.snapshot_file.take();
                self.session.perform(Action::Snapshot(file));
            }
            choice::Answer::SuspendHeld => self.effects.push(Effect::Suspend),
            choice::Answer::ResumeAndSuspend => {
                self.suspend_when_running = true;
                self.session.perform(Action::Resume(crate::backend::protocol::ResumeKind::Continue));
            }
        }
    }

    fn detach(&mut self, kill: bool) {
        let gone = matches!(self.session.state, RunState::Detached(_) | RunState::Exited(_));
        if gone || self.session.target.is_none() {
            self.effects.push(Effect::Quit);
            return;
        }
        self.quitting = true;
        self.session.perform(Action::Detach { kill });
    }

    /// Runs a command line; `key` when it came from a key, which never gets an argument by chance.
    pub fn run_line(&mut self, line: &str, key: bool) {
        if !key {
            // What was typed stays in memory: it may hold values. The file gets the command's name.
            let time = (self.session.clock)();
            self.session.log.push_here_only(&time, crate::backend::protocol::LogLevel::Info, &format!(": {line}"));
            tracing::info!("command {}", line.split_whitespace().next().unwrap_or(""));
        }
        let (c, rest) = match command::look_up(line) {
            Ok(v) => v,
            Err(e) => return self.session.say(Tone::Warn, &e),
        };
        if self.session.stepping()
            && let Ok(Do::Session(a @ Action::Resume(_))) = (c.make)(rest)
            && matches!(&a, Action::Resume(k) if crate::session::is_step(k))
        {
            return self.session.perform(a);
        }
        if let Some(why) = self.session.why_off(c.name, c.needs) {
            return self.session.say(Tone::Warn, &format!("{}: {why}", c.name));
        }
        match (c.make)(rest) {
            Ok(what) => self.run(what),
            Err(e) if e.is_empty() => self.session.say(Tone::Warn, &command::usage(c)),
            Err(e) => self.session.say(Tone::Warn, &e),
        }
    }

    fn run(&mut self, what: Do) {
        match what {
            Do::Session(Action::Detach { kill }) => self.detach(kill),
            Do::Session(Action::Goroutine(Some(g))) => {
                self.session.perform(Action::Goroutine(Some(g)));
                if self.workspace != 3 {
                    self.go_workspace(3);
                }
                if self.focused() == PaneId::Goroutines && self.slots.len() == 1 {
                    self.show_pane(PaneId::Source);
                }
            }
            Do::Session(Action::ListBreakpoints) => {
                if !self.try_focus(PaneId::Breakpoints) {
                    self.show_pane(PaneId::Breakpoints);
                }
            }
            Do::Session(a @ Action::Refs(_)) => {
                self.session.perform(a);
                if self.session.heap.refs.pending().is_some() {
                    self.show_pane(PaneId::Refs);
                }
            }
            Do::Session(a @ Action::Heap) => {
                self.show_pane(PaneId::Heap);
                self.session.perform(a);
            }
            Do::Session(a) => {
                use crate::backend::protocol::ResumeKind::{NextInstruction, StepInstruction};
                if matches!(a, Action::Resume(StepInstruction | NextInstruction)) {
                    self.show_tab(PaneId::Assembly);
                }
                self.session.perform(a);
            }
            Do::Ui(u) => self.ui(u),
        }
    }

    /// Gives a verb to the focused pane. False when it does not take it.
    pub(super) fn pane_verb(&mut self, u: &Ui) -> bool {
        let id = self.focused();
        self.verb_for(id, u)
    }

    pub(super) fn verb_for(&mut self, id: PaneId, u: &Ui) -> bool {
        let peeked = self.peeked();
        if *u == Ui::Enter {
            self.jumps += 1;
        }
        let ctx = Ctx {
            look: &self.look,
            highlight: &self.highlight,
            peek: peeked.as_ref().map(|p| p.0),
            place: peeked.as_ref().map(|p| p.1.as_ref()),
            workspace: self.workspace,
            focused: true,
            search: self.search.as_deref(),
        };
        let handled = self.panes[id as usize].act(&mut self.session, &ctx, u);
        match handled {
            Handled::Yes => true,
            Handled::No => false,
            Handled::Then(d) => {
                self.run(d);
                true
            }
        }
    }

    /// The mouse wheel over a pane.
    pub fn wheel(&mut self, x: u16, y: u16, by: i32) {
        if !self.overlays.is_empty() {
            return;
        }
        self.dirty = true;
        if let Some(i) = self.slots.iter().position(|s| s.area.contains((x, y).into()))
            && let Some(id) = self.slot_pane(i)
        {
            self.verb_for(id, &Ui::Move(by));
        }
    }

    /// A click gives a pane the keys.
    pub fn click(&mut self, x: u16, y: u16) {
        if !self.overlays.is_empty() {
            return;
        }
        self.dirty = true;
        if let Some(i) = self.slots.iter().position(|s| s.area.contains((x, y).into())) {
            self.focus = i;
        }
    }

    pub(super) fn push_prompt(&mut self, text: &str) {
        self.overlays.push(Overlay::Prompt(prompt::Prompt::new(text, &self.history)));
    }
}
