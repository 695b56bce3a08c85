//! What each verb of the screen does.

use super::app::{App, Effect};
use super::panes::{Ctx, PANES, PaneId};
use super::popups::{Overlay, breakpoint::Editor, choice::Choice, palette, prompt};
use crate::command::{self, Action, BreakpointName, Ui};
use crate::session::{RunState, Tone};

impl App {
    pub(super) fn ui(&mut self, u: Ui) {
        match u {
            Ui::Help(about) => self.help(&about),
            Ui::Keys => {
                let view = super::help::keys(&self.keys);
                self.overlays.push(Overlay::Text(view));
            }
            Ui::Palette => {
                let contexts = self.contexts();
                let items = super::help::palette(&self.session, &self.keys, &contexts);
                self.overlays.push(Overlay::Palette(palette::Palette::new("Commands", items)));
            }
            Ui::OpenFile => {
                self.picking_file = true;
                self.overlays.push(Overlay::Palette(palette::Palette::new("Open file", Vec::new())));
                self.session.complete(crate::backend::protocol::SymbolKind::Sources, "");
            }
            Ui::Prompt(text) => self.push_prompt(&text),
            Ui::SetPrompt => {
                let word = self.word().map_or(String::new(), |w| format!("{w} = "));
                self.push_prompt(&format!("set {word}"));
            }
            Ui::PrintWord => {
                let word = self.word().unwrap_or_default();
                self.push_prompt(&format!("print {word}"));
            }
            Ui::Hover => match self.word() {
                Some(w) => self.session.perform(Action::Print { expression: w, frame: None }),
                None => self.session.say(Tone::Note, "no name on this line"),
            },
            Ui::Definition => self.definition(),
            Ui::Workspace(n) => self.go_workspace(n),
            Ui::Focus(name) => {
                if let Some(p) = PANES.iter().find(|p| p.name == name) {
                    self.show_pane(p.id);
                }
            }
            Ui::NextPane => self.turn(1),
            Ui::PrevPane => self.turn(-1),
            Ui::NextTab => self.turn_tab(1),
            Ui::PrevTab => self.turn_tab(-1),
            Ui::ZoomIn => self.zoom_to(self.zoom.saturating_add(1).min(2)),
            Ui::ZoomOut => self.zoom_to(self.zoom.saturating_sub(1)),
            Ui::Search => {
                let text =
                    if self.focused() == PaneId::Goroutines { self.session.list.filter_text() } else { String::new() };
                self.overlays.push(Overlay::Search(prompt::Search::new(&text)));
            }
            Ui::SearchNext(forward) => self.search_next(forward),
            Ui::SearchClear => self.search = None,
            Ui::Cancel => self.cancel(),
            Ui::Interrupt => {
                if self.session.control() && self.session.state == RunState::Running {
                    self.session.perform(Action::Pause);
                } else if self.session.cancel_waiting() {
                    self.session.say(Tone::Note, "cancelled");
                } else {
                    self.session.say(Tone::Note, "nothing to cancel; q leaves");
                }
            }
            Ui::Copy | Ui::CopyBlock => {
                let text = self.pane_text(u == Ui::Copy);
                if text.is_empty() {
                    return self.session.say(Tone::Note, "nothing to copy here");
                }
                self.effects.push(Effect::Copy(text));
            }
            Ui::Write(file) => {
                let text = self.pane_text(false) + "\n";
                match std::fs::write(&file, text) {
                    Ok(()) => self.session.say(Tone::Note, &format!("written to {file}")),
                    Err(e) => self.session.say(Tone::Error, &format!("{file}: {e}")),
                }
            }
            Ui::Edit(at) => self.edit(&at),
            Ui::List(at) if at.is_empty() => {
                self.show_pane(PaneId::Source);
                self.verb_for(PaneId::Source, &Ui::List(String::new()));
            }
            Ui::List(at) => self.list(&at),
            Ui::Redraw => self.effects.push(Effect::Redraw),
            Ui::Quit => self.quit(),
            Ui::Suspend => {
                if self.session.held() {
                    self.overlays.push(Overlay::Choice(Choice::suspend()));
                } else {
                    self.effects.push(Effect::Suspend);
                }
            }
            Ui::BreakHere | Ui::RunToCursor => {
                if self.focused() != PaneId::Source || !self.verb_for(PaneId::Source, &u) {
                    if self.focused() == PaneId::Source {
                        return self.session.say(Tone::Note, "no source is shown; :break FILE:LINE");
                    }
                    self.show_pane(PaneId::Source);
                    self.session.say(Tone::Note, "move to a line first");
                }
            }
            Ui::LogHere => match self.place() {
                Some((file, line)) => self.push_prompt(&format!("log {file}:{line} \"")),
                None => self.session.say(Tone::Note, "no source line here; :log FILE:LINE TEXT"),
            },
            Ui::ProbeWord(command) => {
                let word = self.word().unwrap_or_default();
                self.push_prompt(&format!("{command} {word}"));
            }
            Ui::Calls(file) => self.show_calls(&file),
            Ui::EditBreak => self.edit_breakpoint(),
            Ui::Back => self.back(true),
            Ui::Forward => self.back(false),
            Ui::Waits(g) => self.waits_around(g),
            Ui::WaitPart(_) if self.focused() != PaneId::Waits || self.workspace != 5 => {
                self.go_workspace(5);
                self.verb_for(PaneId::Waits, &u);
            }
            Ui::ToggleView => {
                self.show_pane(PaneId::Waits);
                self.verb_for(PaneId::Waits, &u);
            }
            Ui::MuteSelected => self.mute_selected(),
            Ui::RefsSelected => self.refs_selected(),
            Ui::Snapshot(file) => self.ask_snapshot(&file),
            Ui::Evidence(file) => self.write_evidence(&file),
            Ui::Mark(set) => {
                self.marking = Some(set);
                let known: String = self.marks.keys().collect();
                let text = if set { "mark with which letter?".into() } else { format!("go to which mark? {known}") };
                self.session.message = Some(crate::session::Message { tone: Tone::Note, text });
            }
            Ui::Set(what) => match what.as_str() {
                "mouse" => self.effects.push(Effect::Mouse(true)),
                "nomouse" => self.effects.push(Effect::Mouse(false)),
                w if w.starts_with("theme ") => self.ui(Ui::Theme(w[6..].trim().to_string())),
                w => self
                    .session
                    .say(Tone::Warn, &format!("no setting {w}: mouse, nomouse, theme NAME, or VARIABLE = VALUE")),
            },
            Ui::Theme(name) => {
                if crate::config::theme::shipped(&name).is_none() {
                    return self.session.say(Tone::Warn, &format!("no theme {name}"));
                }
                self.look.theme = (self.theme)(&name);
            }
            Ui::Script(file) => match std::fs::read_to_string(&file) {
                Ok(text) => {
                    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
                        self.run_line(line, false);
                    }
                }
                Err(e) => self.session.say(Tone::Error, &format!("{file}: {e}")),
            },
            Ui::CycleGroup if self.focused() == PaneId::Heap => {
                self.verb_for(PaneId::Heap, &u);
            }
            Ui::FocusProfile if self.session.profile.focus.is_empty() => self.push_prompt("focus "),
            Ui::FocusProfile => self.session.perform(Action::ProfileFocus(String::new())),
            Ui::CompareProfile if self.session.profile_is_compared() => {
                self.session.perform(Action::ProfileBase(String::new()));
            }
            Ui::CompareProfile => self.push_prompt("diff "),
            Ui::ProfileTable => {
                // From one to the other, also where both are on the screen.
                let other = if self.focused() == PaneId::Table { PaneId::Flame } else { PaneId::Table };
                self.show_pane(other);
            }
            Ui::CycleGroup | Ui::ToggleSystem => {
                self.verb_for(PaneId::Goroutines, &u);
            }
            u => {
                if self.pane_verb(&u) {
                    return;
                }
                if u == Ui::Enter && self.focused() == PaneId::Source {
                    self.session.say(Tone::Note, "Enter does nothing here; K shows the value of the name on this line");
                }
            }
        }
    }

    fn zoom_to(&mut self, zoom: u8) {
        self.zoom = zoom;
        let screen = self.last_screen;
        self.lay_out(screen);
    }

    fn turn(&mut self, by: isize) {
        let n = self.slots.len();
        if n == 1 && self.slots[0].panes.len() > 1 && self.zoom == 0 {
            return self.turn_tab(by);
        }
        if self.zoom > 0 {
            self.zoom = 0;
            let screen = self.last_screen;
            self.lay_out(screen);
        }
        let n = self.slots.len().max(1);
        self.focus = (self.focus as isize + by).rem_euclid(n as isize) as usize;
    }

    fn turn_tab(&mut self, by: isize) {
        let Some(slot) = self.slots.get(self.focus) else { return };
        let n = slot.panes.len() as isize;
        let index = slot.panes.first().map_or(0, |p| *p as usize);
        let tab = &mut self.tabs[self.workspace as usize % 10][index];
        *tab = (isize::from(*tab as i16) + by).rem_euclid(n) as u8;
    }

    fn help(&mut self, about: &str) {
        if about.is_empty() {
            let contexts = self.contexts();
            let view = super::help::help(&self.session, &self.keys, self.focused(), &contexts);
            self.overlays.push(Overlay::Text(view));
            return;
        }
        match command::look_up(about) {
            Ok((c, _)) => self.session.say(Tone::Note, &format!("{}   {}", command::usage(c), c.doc)),
            Err(e) => self.session.say(Tone::Warn, &e),
        }
    }

    fn cancel(&mut self) {
        if self.search.take().is_some() || self.pane_verb(&Ui::Cancel) {
            return;
        }
        if self.zoom > 0 {
            self.zoom_to(0);
            return;
        }
        self.session.message = None;
    }

    /// A search moved a pane's cursor: what the panes beside it are about is told by a move to where it is.
    pub(super) fn settle_on(&mut self, id: PaneId) {
        if matches!(id, PaneId::Flame | PaneId::Table) {
            self.verb_for(id, &Ui::Move(0));
        }
    }

    fn search_next(&mut self, forward: bool) {
        let Some(text) = self.search.clone() else {
            return self.session.say(Tone::Note, "no search; / begins one");
        };
        let id = self.focused();
        if matches!(id, PaneId::Timeline | PaneId::Spans) {
            return self.session.find_mark(&text, forward);
        }
        match self.panes[id as usize].search(&self.session, &text, forward, false) {
            Some(false) => self.session.say(Tone::Warn, &format!("no match for {text}")),
            _ => self.settle_on(id),
        }
    }

    fn quit(&mut self) {
        let gone = matches!(self.session.state, RunState::Detached(_) | RunState::Exited(_));
        let Some(t) = self.session.target.clone().filter(|_| !gone) else {
            self.effects.push(Effect::Quit);
            return;
        };
        if !self.session.control() {
            // Nothing of ours is in the target: there is nothing to ask.
            self.effects.push(Effect::Quit);
            return;
        }
        let name = t.exe.rsplit('/').next().unwrap_or("the target").to_string();
        let pid = t.pid.map_or(String::new(), |p| format!(" (pid {p})"));
        let q = Choice::quit(&format!("{name}{pid}"), self.session.held(), t.launched, t.leaving.clone());
        self.overlays.push(Overlay::Choice(q));
    }

    pub(super) fn word(&self) -> Option<String> {
        self.panes[self.focused() as usize].word(&self.session)
    }

    fn place(&self) -> Option<(String, u32)> {
        let peeked = self.peeked();
        let ctx = Ctx {
            look: &self.look,
            highlight: &self.highlight,
            peek: peeked.as_ref().map(|p| p.0),
            place: peeked.as_ref().map(|p| p.1.as_ref()),
            workspace: self.workspace,
            focused: true,
            search: None,
        };
        let own = self.panes[self.focused() as usize].place(&self.session, &ctx);
        own.or_else(|| self.panes[PaneId::Source as usize].place(&self.session, &ctx))
    }

    pub(super) fn mark(&mut self, letter: char, set: bool) {
        let place = if set { self.place() } else { self.marks.get(&letter).cloned() };
        let Some((file, line)) = place else {
            return self.session.say(Tone::Note, if set { "no place to mark here" } else { "no such mark" });
        };
        if set {
            self.session.say(Tone::Note, &format!("mark {letter} at {file}:{line}"));
            self.marks.insert(letter, (file, line));
        } else {
            self.show_place(&file, line);
        }
    }

    fn edit(&mut self, at: &str) {
        let to = if at.is_empty() { self.place() } else { self.parse_place(at) };
        match to {
            Some((file, line)) => {
                let local = self.session.sources.local_path(&file);
                self.effects.push(Effect::Edit(local, line));
            }
            None => self.session.say(Tone::Note, "no place to edit here"),
        }
    }

    /// `FILE:LINE`, `LINE`, or a part of the path of a file that is known.
    fn parse_place(&self, at: &str) -> Option<(String, u32)> {
        if let Ok(line) = at.parse() {
            return self.place().map(|(f, _)| (f, line));
        }
        let (file, line) = match at.rsplit_once(':') {
            Some((f, l)) => (f, l.parse().ok()?),
            None => (at, 1),
        };
        let known = self
            .session
            .stack()
            .into_iter()
            .flat_map(|s| s.frames.iter().map(|f| &f.at.file))
            .chain(self.session.breakpoints.iter().flat_map(|b| b.at.iter().map(|l| &l.file)))
            .find(|f| f.ends_with(file));
        Some((known.cloned().unwrap_or_else(|| file.to_string()), line))
    }

    fn list(&mut self, at: &str) {
        match self.parse_place(at) {
            Some((file, line)) => self.show_place(&file, line),
            None => self.session.say(Tone::Warn, "list takes FILE:LINE or LINE"),
        }
    }

    /// Looks for the declaration in the file shown and its neighbours.
    fn definition(&mut self) {
        let (Some(word), Some((file, _))) = (self.word(), self.place()) else {
            return self.session.say(Tone::Note, "no name on this line");
        };
        match super::help::declaration(&self.session, &file, &word) {
            Some((f, l)) => self.show_place(&f, l),
            None => {
                self.session.say(Tone::Note, &format!("{word} is not declared in this package's files; :funcs {word}"))
            }
        }
    }

    fn edit_breakpoint(&mut self) {
        let by_word = (self.focused() == PaneId::Breakpoints).then(|| self.word()).flatten();
        let editor = match by_word.and_then(|w| self.session.breakpoint(&BreakpointName::parse(&w))) {
            Some(b) => Editor::of(b),
            None => match self.place() {
                Some((file, line)) => match self.session.breakpoints_at(&file, line).next() {
                    Some(b) => Editor::of(b),
                    None => Editor::at(&format!("{file}:{line}")),
                },
                None => Editor::at(""),
            },
        };
        self.overlays.push(Overlay::Breakpoint(Box::new(editor)));
    }
}
