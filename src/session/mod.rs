//! Floor 7: the debugging session as the user sees it, without a terminal.
//!
//! State, what was asked and what is still to be sent. A driver feeds it messages ([`Session::handle`]), commands
//! ([`Session::perform`]) and what can be seen ([`Session::want`]), and sends what [`Session::flush`] gives it.
//! Nothing here waits.

pub mod action;
pub mod asked;
pub mod goroutines;
pub mod heap;
pub mod hits;
mod hold;
mod interest;
pub mod lacks;
pub mod lanes;
pub mod locate;
pub mod log;
pub mod output;
mod perform;
pub mod profile;
mod raw;
mod replies;
pub mod report;
mod seek;
pub mod sentences;
pub mod source;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod traces;
pub mod triage;
pub mod vars;
pub mod waits;

pub use action::{Action, BreakpointEdit, BreakpointName, FrameMove, Needs};
pub use interest::Interest;
pub use perform::{is_step, needs};
pub use sentences::{breakpoint_sentence, one_line, stop_sentence};

use crate::backend::protocol::{LogLevel, Request, ResumeKind, TargetSpec};
use crate::base::{BreakpointId, GoroutineId, StopEpoch};
use crate::model::{
    Breakpoint, BreakpointPlace, BreakpointSpec, Caps, Frame, Location, Stack, Stop, TargetInfo, TargetKind,
};
use goroutines::GoroutineList;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// An answer that takes longer than this is shown as pending.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// The same for what is read by itself while an older answer is shown.
const QUIET_PATIENCE: Duration = Duration::from_secs(2);
/// Stacks kept.
const STACKS: usize = 16;
/// Frames asked for.
pub const STACK_DEPTH: u32 = 64;

/// What the target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Being opened; what is done now.
    Opening(String),
    /// Running.
    Running,
    /// All threads stand.
    Stopped,
    /// It ended by itself: how.
    Exited(String),
    /// We let go: why.
    Detached(String),
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// News.
    Note,
    /// Something was not done.
    Warn,
    /// Something failed.
    Error,
}

/// The line above the key hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How important.
    pub tone: Tone,
    /// Escaped text.
    pub text: String,
}

/// Text that answers a command, longer than a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub title: String,
    /// Escaped lines.
    pub lines: Vec<String>,
}

/// Data with the generation in which it was true.
#[derive(Clone, Debug)]
struct Dated<T> {
    generation: u64,
    data: T,
}

/// A function's name and its code, or why there is none.
pub type Code = Result<(String, Vec<crate::backend::protocol::Instruction>), String>;
type StackAnswer = Dated<Result<Stack, String>>;

/// What a request was for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Hello,
    Open,
    Restart,
    Stack(Option<GoroutineId>),
    Scope {
        function: String,
        frame: (Option<GoroutineId>, u32),
    },
    Code,
    Children {
        path: vars::Path,
        start: u64,
    },
    List {
        start: u64,
        serial: u64,
    },
    Source(String),
    CodeLines,
    Breakpoints {
        show: bool,
    },
    SetBreakpoint(BreakpointSpec),
    Restore(BreakpointSpec),
    EditBreakpoint,
    Clear(BreakpointId),
    Print(String),
    Whatis(String),
    Show(String),
    Complete(String),
    Resume,
    Pause,
    Refresh,
    /// A read of the running target that nobody asked for.
    Tick,
    Diagnose {
        serial: u64,
    },
    Waits {
        serial: u64,
    },
    Heap {
        serial: u64,
    },
    Refs {
        serial: u64,
    },
    Timeline {
        serial: u64,
    },
    Spans {
        serial: u64,
    },
    Profile {
        serial: u64,
    },
    ProfileSources {
        serial: u64,
    },
    ProfileFetch,
    ProfileBase,
    Triggers,
    Record {
        seconds: u32,
    },
    /// Its title.
    Report(String),
    TimelineCode {
        on: bool,
    },
    FindMark {
        serial: u64,
    },
    TraceOver,
    Snapshot {
        file: Option<String>,
    },
    Detach,
    Set(String),
    Reveal,
    TakeOver,
    Call(String),
    /// The address of what is to be examined, so many bytes of it.
    Address(String, u32),
    Memory(String),
    Other(&'static str),
}

impl Purpose {
    /// What it waits for, in words; none for what nobody waits for.
    fn words(&self) -> Option<&str> {
        Some(match self {
            Purpose::Hello => "the host",
            Purpose::Open => "opening the target",
            Purpose::Restart => "restarting",
            Purpose::Stack(_) => "stack",
            Purpose::Scope { .. } => "variables",
            Purpose::Children { .. } => "children",
            Purpose::Code => "machine code",
            Purpose::List { .. } => "goroutines",
            Purpose::Source(_) => "source",
            Purpose::Breakpoints { .. } | Purpose::SetBreakpoint(_) | Purpose::EditBreakpoint => "breakpoints",
            Purpose::Print(e) | Purpose::Whatis(e) | Purpose::Show(e) => e,
            Purpose::Refresh => "reading the target",
            Purpose::Diagnose { .. } => "findings",
            Purpose::Waits { .. } => "the wait graph",
            Purpose::Heap { .. } => "the heap",
            Purpose::Refs { .. } => "references",
            Purpose::Timeline { .. } => "the timeline",
            Purpose::Profile { .. } | Purpose::ProfileBase | Purpose::ProfileFetch => "the profile",
            Purpose::ProfileSources { .. } => "the list of profiles",
            Purpose::Triggers => "conditions",
            Purpose::Record { .. } | Purpose::TraceOver => "the trace",
            Purpose::Report(_) => "the trace's report",
            Purpose::TimelineCode { .. } => "perf events",
            Purpose::FindMark { .. } => "the search",
            Purpose::Snapshot { .. } => "the snapshot",
            Purpose::Pause => "the target to stop",
            Purpose::Detach => "letting go",
            _ => return None,
        })
    }
}

struct Pending {
    purpose: Purpose,
    since: Instant,
    generation: u64,
    quiet: bool,
}

impl Pending {
    /// How long nobody is told that something is waited for.
    fn patience(&self) -> Duration {
        if self.quiet { QUIET_PATIENCE } else { PATIENCE }
    }
}

struct Out {
    purpose: Purpose,
    request: Request,
    quiet: bool,
}

/// How a session begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// What to open.
    pub target: Option<TargetSpec>,
    /// Breakpoints of an earlier session.
    pub breakpoints: Vec<BreakpointSpec>,
    /// Rules for finding sources.
    pub substitute: Vec<(String, String)>,
    /// Frames that findings are not to be about.
    pub mutes: Vec<String>,
}

/// The session.
pub struct Session {
    /// The target, once it is open.
    pub target: Option<Arc<TargetInfo>>,
    /// What can be done with it.
    pub caps: Caps,
    /// What it does.
    pub state: RunState,
    /// The newest stop, kept while it runs on.
    pub stop: Option<Stop>,
    /// Clock time of the stop.
    pub stopped_at: String,
    /// Newest epoch seen.
    pub epoch: StopEpoch,
    /// Breakpoints by id.
    pub breakpoints: Vec<Breakpoint>,
    /// The goroutine that panes are about.
    pub goroutine: Option<GoroutineId>,
    /// The frame of it.
    pub frame: u32,
    /// The goroutine list.
    pub list: GoroutineList,
    /// Variables of the selected frame.
    pub vars: vars::VarTree,
    /// Why there are no variables.
    pub vars_problem: Option<String>,
    /// Findings.
    pub triage: triage::Triage,
    account: hold::Account,
    /// The wait graph.
    pub waits: waits::WaitView,
    /// The heap.
    pub heap: heap::HeapView,
    /// The timeline.
    pub timeline: timeline::TimeView,
    /// Profiles.
    pub profile: profile::ProfileState,
    /// Source files.
    pub sources: source::SourceStore,
    /// What happened.
    pub log: log::Log,
    /// What breakpoints recorded.
    pub hits: hits::Hits,
    /// What the program wrote.
    pub output: output::Output,
    /// The line above the key hints.
    pub message: Option<Message>,
    /// A longer answer to show; the screen takes it.
    pub answer: Option<Answer>,
    /// A place to show; the screen takes it.
    pub goto: Option<(String, u32)>,
    /// Names for completion: what was asked, what there is.
    pub completions: (String, Vec<String>),
    /// Gives the clock time for the log; tests set their own.
    pub clock: fn() -> String,
    /// The present; the driver sets it before each turn.
    pub now: Instant,
    /// Why the target could not be opened.
    pub open_failure: Option<crate::backend::protocol::Failure>,
    start: Start,
    auto_frame: bool,
    /// A frame that is to be selected once the stack is here: of this goroutine, at this place.
    frame_at: Option<(GoroutineId, Arc<Location>)>,
    /// The frame whose variables are looked at: the selected one, or that of the goroutine under a cursor.
    scope_of: (Option<GoroutineId>, u32),
    new_stop: bool,
    generation: u64,
    old_since: Option<Instant>,
    stacks: Vec<(Option<GoroutineId>, StackAnswer)>,
    scope: Option<Dated<(Option<GoroutineId>, u32)>>,
    code: Option<Dated<Code>>,
    /// The step under way: when it began, and the steps typed since.
    step: Option<(Instant, Vec<ResumeKind>)>,
    /// The user asked for a read of the running target in this generation.
    read_now: u64,
    /// Detaching was refused.
    pub detach_refused: bool,
    list_asked: Option<Request>,
    list_serial: u64,
    pending: BTreeMap<u64, Pending>,
    outbox: Vec<Out>,
}

/// Clock time as `12:04:31Z`.
pub fn utc_clock() -> String {
    let s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format!("{:02}:{:02}:{:02}Z", s / 3600 % 24, s / 60 % 60, s % 60)
}

impl Session {
    /// A session that will open its target: `Hello` is the first thing to be sent.
    pub fn new(start: Start) -> Session {
        let mut s = Session {
            target: None,
            caps: Caps::default(),
            state: RunState::Opening("connecting".into()),
            stop: None,
            stopped_at: String::new(),
            epoch: StopEpoch::default(),
            breakpoints: Vec::new(),
            goroutine: None,
            frame: 0,
            list: GoroutineList::default(),
            vars: vars::VarTree::default(),
            vars_problem: None,
            triage: triage::Triage::new(start.mutes.clone()),
            account: hold::Account::default(),
            waits: waits::WaitView::default(),
            heap: heap::HeapView::default(),
            timeline: timeline::TimeView::default(),
            profile: profile::ProfileState::default(),
            sources: source::SourceStore::new(start.substitute.clone()),
            log: log::Log::default(),
            hits: hits::Hits::default(),
            output: output::Output::default(),
            message: None,
            answer: None,
            goto: None,
            completions: Default::default(),
            clock: utc_clock,
            now: Instant::now(),
            open_failure: None,
            start,
            auto_frame: true,
            frame_at: None,
            scope_of: (None, 0),
            new_stop: true,
            generation: 1,
            old_since: None,
            stacks: Vec::new(),
            scope: None,
            code: None,
            step: None,
            read_now: 0,
            detach_refused: false,
            list_asked: None,
            list_serial: 0,
            pending: BTreeMap::new(),
            outbox: Vec::new(),
        };
        s.ask(Purpose::Hello, Request::Hello { version: crate::backend::protocol::PROTOCOL_VERSION });
        s
    }

    /// Sends what is to be sent: `send` returns the number that the reply will carry.
    pub fn flush(&mut self, mut send: impl FnMut(Request) -> u64) {
        for Out { purpose, request, quiet } in std::mem::take(&mut self.outbox) {
            let id = send(request);
            self.pending.insert(id, Pending { purpose, since: self.now, generation: self.generation, quiet });
        }
    }

    fn ask(&mut self, purpose: Purpose, request: Request) {
        self.ask_quietly(purpose, request, false);
    }

    /// `quiet`: an older answer is shown meanwhile, and nobody asked for a new one.
    fn ask_quietly(&mut self, purpose: Purpose, request: Request, quiet: bool) {
        self.outbox.push(Out { purpose, request, quiet });
    }

    /// Is something of this kind on its way in this generation?
    fn asked(&self, same: impl Fn(&Purpose) -> bool) -> bool {
        self.outbox.iter().any(|o| same(&o.purpose))
            || self.pending.values().any(|p| p.generation == self.generation && same(&p.purpose))
    }

    /// The file that was opened, if it was one.
    pub fn opened_file(&self) -> String {
        match &self.start.target {
            Some(TargetSpec::File { path, .. }) => path.display().to_string(),
            Some(TargetSpec::Profile { sources, .. }) => sources.join(" "),
            Some(TargetSpec::Delve(d)) => d.address.clone(),
            _ => String::new(),
        }
    }

    /// Shows a message and logs it.
    pub fn say(&mut self, tone: Tone, text: &str) {
        let level = match tone {
            Tone::Note => LogLevel::Info,
            Tone::Warn => LogLevel::Warn,
            Tone::Error => LogLevel::Error,
        };
        let time = (self.clock)();
        self.log.push(&time, level, text);
        let first = text.lines().next().unwrap_or("");
        self.message = Some(Message { tone, text: crate::base::text::printable_str(first, 500) });
    }

    /// Control mode? Else the target is only read.
    pub fn control(&self) -> bool {
        self.caps.control
    }

    /// Is a step under way that further steps may be typed behind?
    pub fn stepping(&self) -> bool {
        self.state == RunState::Running && self.step.is_some()
    }

    /// Is the target held by us now?
    pub fn held(&self) -> bool {
        self.control() && self.state == RunState::Stopped
    }

    /// Why a command with these needs makes no sense now.
    pub fn why_not(&self, needs: Needs) -> Option<String> {
        let why = |s: &str| Some(s.to_string());
        if needs == Needs::Nothing {
            return None;
        }
        match &self.state {
            RunState::Opening(what) => return Some(format!("the target is still being opened ({what})")),
            RunState::Exited(_) | RunState::Detached(_) if !matches!(needs, Needs::Launched | Needs::Restartable) => {
                let again = if self.caps.restart { "; :restart starts it again" } else { "" };
                return Some(format!("the process is gone{again}"));
            }
            _ => {}
        }
        match needs {
            Needs::Nothing | Needs::Target => None,
            Needs::Restartable if self.caps.restart => None,
            Needs::Launched | Needs::Restartable => match &self.target {
                Some(t) if t.launched => None,
                Some(t) if t.kind == TargetKind::Delve => why(match needs {
                    Needs::Launched => "a program under Delve is never ended from here",
                    _ => "Delve attached to this process: it cannot start it again",
                }),
                _ => why("we did not launch this process"),
            },
            Needs::Variables => {
                if !self.caps.variables {
                    return why("no variables: the binary has no type information (DWARF)");
                }
                (self.control() && self.state == RunState::Running).then(|| "the target runs: Ctrl-C pauses".into())
            }
            Needs::Control | Needs::Stopped if !self.control() => {
                Some(match self.target.as_ref().map(|t| (t.kind, t.pid.unwrap_or(0))) {
                    Some((TargetKind::Process, pid)) => {
                        format!("observe mode: nothing is stopped or resumed here (adit attach {pid} takes control)")
                    }
                    _ => "a file is looked at: there is nothing to stop or resume".to_string(),
                })
            }
            Needs::Control => None,
            Needs::Stopped => (self.state != RunState::Stopped).then(|| "the target runs: Ctrl-C pauses".into()),
        }
    }

    /// The stack of a goroutine (none: of the stop), as far as it is here; and whether it is of now.
    pub fn stack_of(&self, goroutine: Option<GoroutineId>) -> Option<(&Result<Stack, String>, bool)> {
        let (_, d) = self.stacks.iter().find(|(g, _)| *g == goroutine)?;
        Some((&d.data, d.generation == self.generation))
    }

    /// The stack of the selected goroutine.
    pub fn stack(&self) -> Option<&Stack> {
        self.stack_of(self.goroutine)?.0.as_ref().ok()
    }

    /// The selected frame.
    pub fn selected_frame(&self) -> Option<&Frame> {
        self.stack()?.frames.get(self.frame as usize)
    }

    /// Where the selected frame is; before its stack is here, where the stop is.
    pub fn place(&self) -> Option<&Arc<Location>> {
        if let Some(f) = self.selected_frame() {
            return Some(&f.at);
        }
        let stop = self.stop.as_ref()?;
        (self.goroutine == stop.goroutine).then_some(&stop.at)
    }

    /// Are things drawn from before the last stop, resume or read, for longer than a blink?
    pub fn old(&self) -> bool {
        self.old_since.is_some_and(|t| self.now.saturating_duration_since(t) >= PATIENCE)
    }

    /// Machine code around the selected frame's position.
    pub fn code(&self) -> Option<&Code> {
        self.code.as_ref().map(|c| &c.data)
    }

    /// Is the variable tree of now?
    pub fn vars_fresh(&self) -> bool {
        self.scope.as_ref().is_some_and(|s| s.generation == self.generation && s.data == self.scope_of)
    }

    /// The goroutine and frame whose variables are looked at.
    pub fn viewed(&self) -> (Option<GoroutineId>, u32) {
        self.scope_of
    }

    /// Is the goroutine list of now?
    pub fn list_fresh(&self) -> bool {
        self.list.generation().is_none_or(|g| g == self.generation)
    }

    /// The longest wait that is worth showing: for what, since when.
    pub fn waiting_for(&self) -> Option<(&str, Duration)> {
        self.pending
            .values()
            .filter_map(|p| Some((p.purpose.words()?, self.now.saturating_duration_since(p.since), p.patience())))
            .find(|(_, t, patience)| t >= patience)
            .map(|(words, t, _)| (words, t))
    }

    /// When the screen must be looked at again although nothing came: something becomes late or old.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending
            .values()
            .filter(|p| p.purpose.words().is_some())
            .map(|p| p.since + p.patience())
            .chain(self.old_since.map(|t| t + PATIENCE))
            .chain(self.next_look())
            .chain(self.next_view())
            .chain(self.next_second())
            .filter(|t| *t > self.now)
            .min()
    }

    /// Forgets what is being waited for: late answers are dropped. Returns whether there was anything.
    pub fn cancel_waiting(&mut self) -> bool {
        let before = self.pending.len();
        let looking = self.triage.asked.cancel("cancelled: Ctrl-r looks again");
        if looking && self.live() {
            self.triage.frozen = Some(triage::Frozen::Cancelled);
        }
        self.waits.asked.cancel("cancelled: Ctrl-r asks again");
        self.heap.sums.cancel("cancelled: :heap asks again");
        self.heap.refs.cancel("cancelled");
        self.timeline.view.drop_pending();
        self.profile.view.cancel("cancelled");
        self.profile.sources.cancel("cancelled: Ctrl-r looks again");
        self.profile.fetching = None;
        self.pending.retain(|_, p| p.purpose.words().is_none());
        before != self.pending.len()
    }

    /// Breakpoints at a line of a file.
    pub fn breakpoints_at<'a>(&'a self, file: &'a str, line: u32) -> impl Iterator<Item = &'a Breakpoint> + 'a {
        self.breakpoints.iter().filter(move |b| b.at.iter().any(|l| l.line == line && l.file == file))
    }

    /// The breakpoint that a command names.
    pub fn breakpoint(&self, name: &BreakpointName) -> Option<&Breakpoint> {
        self.breakpoints.iter().find(|b| match name {
            BreakpointName::Id(id) => b.id.0 == *id,
            BreakpointName::Name(n) => b.spec.name == *n,
        })
    }

    /// The user's breakpoints, to be kept for the next session.
    pub fn breakpoints_to_keep(&self) -> Vec<BreakpointSpec> {
        // Data is somewhere else next time, numbers mean others, and a temporary breakpoint was meant for this time.
        let keeps = |b: &&Breakpoint| {
            let s = &b.spec;
            b.id.0 > 0 && !s.temporary && s.after.is_none() && !matches!(s.place, BreakpointPlace::Watch { .. })
        };
        self.breakpoints.iter().filter(keeps).map(|b| b.spec.clone()).collect()
    }

    fn new_generation(&mut self) {
        self.generation += 1;
        self.old_since.get_or_insert(self.now);
    }
}
