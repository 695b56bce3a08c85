//! The timeline as the user looks at it: which part, which lane and moment, which goroutines are followed; conditions on the run.

use super::asked::Asked;
use super::{Purpose, Session, Tone, lanes};
use crate::backend::protocol::Request;
use crate::base::GoroutineId;
use crate::model::location::short_function;
use crate::model::{
    Activity, Cell, Cells, Lane, LaneKind, Mark, Span, TargetKind, TimelineQuery, TimelineSource, TimelineView,
    TriggerAction, TriggerSpec, TriggerState,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two views of what grows.
const PACE: Duration = Duration::from_millis(100);
/// The same on a slow line.
const SLOW_PACE: Duration = Duration::from_secs(1);
/// The same after a refusal.
const REFUSED_PACE: Duration = Duration::from_secs(5);
/// What is shown of a process at first, ns.
const SPAN: u64 = 10_000_000_000;
/// Zoomed in so far a column is some nanoseconds.
const LEAST_SPAN: u64 = 1_000;
/// Most of a timeline at once: a day.
const MOST_SPAN: u64 = 86_400_000_000_000;
/// Spans asked for around the cursor.
const SPANS: u32 = 200;
/// Goroutines followed at once.
const FOLLOWED: usize = 8;

/// What is asked about a moment in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpansQuery {
    /// Which lane.
    pub lane: LaneKind,
    /// Begin, ns.
    pub from_ns: i64,
    /// End, ns.
    pub to_ns: i64,
    /// Whose word it is that the column is drawn from.
    pub source: Option<TimelineSource>,
}

/// The state of the workspace.
pub struct TimeView {
    /// Begin of what is shown; none follows the newest.
    from_ns: Option<i64>,
    /// Length of what is shown, ns; 0 for all.
    span_ns: u64,
    columns: u16,
    /// Goroutines with a lane of their own.
    pub followed: Vec<GoroutineId>,
    /// The moment under the cursor; none is the newest.
    cursor_ns: Option<i64>,
    /// The lane under the cursor.
    pub lane: LaneKind,
    /// Only lanes of Ps, and those of the collector.
    pub brief: bool,
    /// A slow line: fewer views.
    pub slow: bool,
    /// What is drawn.
    pub view: Asked<TimelineQuery, TimelineView>,
    /// What happened around the cursor.
    pub spans: Asked<SpansQuery, Vec<Span>>,
    /// Conditions on the run.
    pub triggers: Vec<TriggerState>,
    /// The source that the user chose; none for all over each other.
    source: Option<TimelineSource>,
    /// Lanes of threads, too.
    pub threads: bool,
    /// The overview is a map of utilisation.
    pub heat: bool,
    /// The mark that was found last.
    pub found: Option<Mark>,
    /// The search that is under way, or was last.
    pub(super) seek: Option<super::seek::Seek>,
    /// The code that Ps execute is sampled, too.
    pub code: bool,
    due: Option<Instant>,
    stamp: u64,
    shown: bool,
}

impl Default for TimeView {
    fn default() -> Self {
        TimeView {
            from_ns: None,
            span_ns: SPAN,
            columns: 0,
            followed: Vec::new(),
            cursor_ns: None,
            lane: LaneKind::Proc(0),
            brief: false,
            slow: false,
            view: Asked::default(),
            spans: Asked::default(),
            triggers: Vec::new(),
            source: None,
            threads: false,
            heat: false,
            found: None,
            seek: None,
            code: false,
            due: None,
            stamp: 0,
            shown: false,
        }
    }
}

impl TimeView {
    /// What is drawn, if anything is there.
    pub fn drawn(&self) -> Option<&TimelineView> {
        self.view.data()
    }
    /// Is the newest shown?
    pub fn follows(&self) -> bool {
        self.from_ns.is_none()
    }
    /// Lanes that are shown.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        let brief = self.brief;
        let some = move |l: &&Lane| !brief || !lanes::is_amount(l.kind);
        self.drawn().into_iter().flat_map(|v| &v.lanes).filter(some)
    }
    /// The lane under the cursor.
    pub fn current(&self) -> Option<&Lane> {
        self.lanes().find(|l| l.kind == self.lane).or_else(|| self.lanes().next())
    }
    /// The column under the cursor.
    pub fn column(&self) -> usize {
        let Some(v) = self.drawn() else { return 0 };
        let at = self.cursor_ns.unwrap_or(v.extent.1).max(v.from_ns);
        let column = (at - v.from_ns).cast_unsigned() / v.column_ns.max(1);
        usize::try_from(column).unwrap_or(0).min(usize::from(self.columns).saturating_sub(1))
    }
    /// The moment under the cursor: begin of its column, ns.
    pub fn moment(&self) -> Option<i64> {
        let v = self.drawn()?;
        Some(v.from_ns.saturating_add((self.column() as u64 * v.column_ns).cast_signed()))
    }
    /// What the current lane's column is about.
    pub fn cell(&self) -> Option<Cell> {
        match &self.current()?.cells {
            Cells::States(c) => c.get(self.column()).copied(),
            Cells::Levels(_) => None,
        }
    }
    fn query(&self) -> TimelineQuery {
        TimelineQuery {
            from_ns: self.from_ns,
            span_ns: self.span_ns,
            columns: self.columns,
            goroutines: self.followed.clone(),
            threads: self.threads,
            source: self.source,
            heat: self.heat,
        }
    }
    fn spans_query(&self) -> Option<SpansQuery> {
        let v = self.drawn()?;
        let (lane, source) = (self.current()?.kind, self.source_here());
        let from_ns = self.moment()?;
        // What leads up to the moment, and what follows.
        let around = v.column_ns.saturating_mul(3).cast_signed();
        let (from_ns, to_ns) = match self.exact() {
            // A column can have thousands of spans: from a mark that was found on.
            Some(at) => (at, at.saturating_add(around)),
            None => (from_ns.saturating_sub(around), from_ns.saturating_add(around)),
        };
        Some(SpansQuery { lane, from_ns, to_ns, source })
    }

    /// Where the column under the cursor comes from.
    pub fn source_here(&self) -> Option<TimelineSource> {
        let v = self.drawn()?;
        Some(self.current()?.source(self.column()).unwrap_or(v.source))
    }

    /// Is the cursor at this moment, and not somewhere in its column only?
    pub(super) fn is_at(&self, at_ns: i64) -> bool {
        self.cursor_ns == Some(at_ns)
    }

    /// The mark that was found, while the cursor is on it, ns.
    pub fn exact(&self) -> Option<i64> {
        self.found.as_ref().map(|m| m.at_ns).filter(|at| self.is_at(*at))
    }

    /// Were more spans to be had than were asked for?
    pub fn spans_cut(&self) -> bool {
        self.spans.data().is_some_and(|s| s.len() >= SPANS as usize)
    }

    /// The source that alone is shown.
    pub(super) fn only(&self) -> Option<TimelineSource> {
        self.source
    }

    /// The function under the cursor, where samples tell it.
    pub fn function_here(&self) -> Option<&str> {
        let f = self.cell()?.function?;
        self.drawn()?.functions.get(usize::from(f)).map(String::as_str)
    }

    /// Lanes of threads, or none. Are they there now?
    pub fn toggle_threads(&mut self) -> bool {
        self.threads = !self.threads;
        self.due = None;
        self.threads
    }

    /// The overview as a map of utilisation, or as a bar. Is it a map now?
    pub fn toggle_heat(&mut self) -> bool {
        self.heat = !self.heat;
        self.due = None;
        self.heat
    }

    /// Another lane.
    pub fn move_lane(&mut self, by: i64) {
        let kinds: Vec<LaneKind> = self.lanes().map(|l| l.kind).collect();
        let at = kinds.iter().position(|k| *k == self.lane).unwrap_or(0);
        let to = (at as i64).saturating_add(by).clamp(0, kinds.len().saturating_sub(1) as i64) as usize;
        if let Some(k) = kinds.get(to) {
            self.lane = *k;
        }
    }

    /// The cursor goes some columns along; at an end the picture moves on by half.
    pub fn move_column(&mut self, by: i64) {
        let Some(v) = self.drawn() else { return };
        let (from, step, extent) = (v.from_ns, v.column_ns.cast_signed(), v.extent);
        let to = (self.column() as i64).saturating_add(by);
        let at = from.saturating_add(to.saturating_mul(step));
        let columns = i64::from(self.columns);
        self.cursor_ns = Some(at.clamp(extent.0, extent.1.max(extent.0)));
        // Now the picture stands still: what is looked at must not run away.
        self.from_ns = Some(match () {
            () if to < 0 => from.saturating_sub(columns / 2 * step).max(extent.0.saturating_sub(step)),
            () if to >= columns => from.saturating_add(columns / 2 * step),
            () => from,
        });
        self.due = None;
    }

    /// Shows `factor` times as much (or, below 1, as little); the moment under the cursor stays where it is.
    pub fn zoom(&mut self, factor: f64) {
        let Some(v) = self.drawn() else { return };
        let (whole, at) = ((v.extent.1 - v.extent.0).max(1).cast_unsigned(), self.moment().unwrap_or(v.extent.1));
        let now = if self.span_ns == 0 { whole } else { self.span_ns };
        let span = ((now as f64 * factor) as u64).clamp(LEAST_SPAN, MOST_SPAN);
        let share = self.column() as f64 / f64::from(self.columns.max(1));
        let still = self.cursor_ns.is_some() || self.from_ns.is_some();
        if factor > 1.0 && span >= whole && !v.growing {
            (self.span_ns, self.from_ns) = (0, Some(v.extent.0));
        } else {
            self.span_ns = span;
            if still {
                self.from_ns = Some(at.saturating_sub((span as f64 * share) as i64));
            }
        }
        self.due = None;
    }

    /// The newest again.
    pub fn to_now(&mut self) {
        (self.from_ns, self.cursor_ns) = (None, None);
        self.due = None;
    }

    /// The next source alone, or after the last one all of them again (none). None at all if there is one only.
    pub fn next_source(&mut self) -> Option<Option<TimelineSource>> {
        let v = self.drawn()?;
        let mut all: Vec<TimelineSource> = v.others.iter().chain(&v.over).chain([&v.source]).copied().collect();
        all.sort_by_key(|s| *s as u8);
        all.dedup();
        if all.len() < 2 {
            return None;
        }
        let at = self.source.and_then(|s| all.iter().position(|a| *a == s));
        self.source = all.get(at.map_or(0, |i| i + 1)).copied();
        self.spans.clear();
        self.due = None;
        Some(self.source)
    }

    /// The first moment there is.
    pub fn to_begin(&mut self) {
        if let Some(v) = self.drawn() {
            (self.from_ns, self.cursor_ns) = (Some(v.extent.0), Some(v.extent.0));
            self.due = None;
        }
    }

    /// A moment in a lane, from elsewhere.
    pub fn show(&mut self, lane: LaneKind, at_ns: i64) {
        self.lane = lane;
        self.cursor_ns = Some(at_ns);
        if let Some(v) = self.drawn() {
            let span = (v.column_ns * u64::from(self.columns)).cast_signed();
            if at_ns < v.from_ns || at_ns >= v.from_ns + span {
                self.from_ns = Some(at_ns.saturating_sub(span / 2));
            } else {
                self.from_ns = Some(v.from_ns);
            }
        }
        self.due = None;
    }

    /// Gives a goroutine a lane of its own, or takes it away. False when there are too many.
    pub fn follow(&mut self, g: GoroutineId) -> bool {
        self.due = None;
        if let Some(i) = self.followed.iter().position(|f| *f == g) {
            self.followed.remove(i);
            return true;
        }
        if self.followed.len() >= FOLLOWED {
            return false;
        }
        self.followed.push(g);
        true
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|t| now >= t)
    }
}

impl Session {
    /// Why there is no timeline.
    pub fn why_no_timeline(&self) -> Option<&'static str> {
        match self.target.as_ref().map(|t| t.kind) {
            None => Some(""),
            Some(TargetKind::Process | TargetKind::Trace) => None,
            Some(TargetKind::Core | TargetKind::Snapshot) => {
                Some("a core or snapshot is one moment: it has no timeline")
            }
            Some(TargetKind::Dump) => Some("a goroutine dump is one moment: it has no timeline"),
            Some(TargetKind::Profile) => Some("a profile has sums, no times"),
            Some(TargetKind::Delve) => Some("a remote dlv has no timeline"),
        }
    }

    pub(super) fn want_timeline(&mut self, columns: u16) {
        self.timeline.shown = true;
        if self.why_no_timeline().is_some() || columns == 0 {
            return;
        }
        let t = &mut self.timeline;
        if t.columns != columns {
            t.columns = columns;
            t.due = None;
            if self.target.as_ref().is_some_and(|t| t.kind == TargetKind::Trace) && t.view.data().is_none() {
                t.span_ns = 0;
            }
        }
        let grows = t.view.data().is_none_or(|v| v.growing) && self.triage.frozen.is_none();
        let q = t.query();
        let changed = t.view.question() != Some(&q);
        if t.is_due(self.now) && (grows || changed) && t.view.pending().is_none() {
            t.stamp += 1;
            if let Some(serial) = t.view.want(&q, t.stamp, self.now) {
                let quiet = t.view.data().is_some();
                self.ask_quietly(Purpose::Timeline { serial }, Request::Timeline(q), quiet);
            }
        }
    }

    pub(super) fn want_spans(&mut self) {
        let Some(q) = self.timeline.spans_query() else { return };
        // While the picture runs, the newest moment changes with every look.
        if self.timeline.spans.pending().is_some() || self.timeline.spans.question() == Some(&q) {
            return;
        }
        if let Some(serial) = self.timeline.spans.want(&q, self.timeline.stamp, self.now) {
            let SpansQuery { lane, from_ns, to_ns, source } = q;
            self.ask_quietly(
                Purpose::Spans { serial },
                Request::Spans { lane, from_ns, to_ns, count: SPANS, source },
                true,
            );
        }
    }

    pub(super) fn timeline_known(&mut self, serial: u64, result: Result<TimelineView, String>) {
        let now = self.now;
        let t = &mut self.timeline;
        if t.view.put(serial, result, now) {
            let pace = match t.view.failure() {
                Some(_) => REFUSED_PACE,
                None if t.slow => SLOW_PACE,
                None => PACE,
            };
            t.due = Some(now + pace);
            if let Some(kind) = t.current().map(|l| l.kind) {
                t.lane = kind;
            }
        }
    }

    pub(super) fn spans_known(&mut self, serial: u64, result: Result<Vec<Span>, String>) {
        self.timeline.spans.put(serial, result, self.now);
    }

    /// When the next view is due, while somebody sees it.
    pub(super) fn next_view(&self) -> Option<Instant> {
        let t = &self.timeline;
        let grows = t.view.data().is_some_and(|v| v.growing) && self.triage.frozen.is_none();
        (t.shown && grows && t.view.pending().is_none()).then_some(t.due).flatten()
    }

    /// Nobody sees it, until a pane says so.
    pub(super) fn hide_timeline(&mut self) {
        self.timeline.shown = false;
    }

    /// Sets or removes a condition on the run, or lists them.
    pub(super) fn when(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            let said = |t: &TriggerState| {
                let what = match &t.spec.action {
                    TriggerAction::Stop => "stop".to_string(),
                    TriggerAction::Snapshot(f) => format!("snapshot {}", f.display()),
                };
                let fired = t.fired.as_ref().map_or(String::new(), |f| format!("   it held: {f}"));
                format!("{}   {what}{fired}", t.spec.condition)
            };
            let mut lines: Vec<String> = self.timeline.triggers.iter().map(said).collect();
            if lines.is_empty() {
                lines.push("no conditions; :when gc.pause > 1ms stop".into());
            }
            self.answer = Some(super::Answer { title: "Conditions on the run".into(), lines });
            return;
        }
        let request = match line.split_once(' ') {
            Some(("clear", rest)) => Request::ClearTrigger { condition: rest.trim().to_string() },
            _ if line == "clear" => Request::ClearTrigger { condition: String::new() },
            _ => match self.trigger_spec(line) {
                Ok(spec) => Request::SetTrigger(spec),
                Err(why) => return self.say(Tone::Warn, &why),
            },
        };
        self.ask(Purpose::Triggers, request);
    }

    /// `gc.pause > 1ms [stop | snapshot [FILE]]`.
    fn trigger_spec(&self, line: &str) -> Result<TriggerSpec, String> {
        let (condition, action) = match (line.strip_suffix(" stop"), line.split_once(" snapshot")) {
            (Some(c), _) => (c, TriggerAction::Stop),
            (None, Some((c, file))) => {
                let pid = self.target.as_ref().and_then(|t| t.pid).unwrap_or(0);
                let file =
                    if file.trim().is_empty() { format!("adit-{pid}.snapshot") } else { file.trim().to_string() };
                let path = std::path::absolute(&file).unwrap_or_else(|_| PathBuf::from(&file));
                (c, TriggerAction::Snapshot(path))
            }
            (None, None) => (line, TriggerAction::Stop),
        };
        if action == TriggerAction::Stop && !self.control() {
            return Err(
                "observe mode stops nothing: `:when CONDITION snapshot [FILE]`, or take control with adit attach"
                    .into(),
            );
        }
        Ok(TriggerSpec { condition: condition.trim().to_string(), action })
    }

    pub(super) fn triggers_known(&mut self, result: Result<Vec<TriggerState>, String>) {
        match result {
            Ok(all) => {
                let text = match all.last() {
                    Some(t) if t.fired.is_none() => format!("looking for {}", t.spec.condition),
                    Some(_) => "set".to_string(),
                    None => "no conditions".to_string(),
                };
                self.timeline.triggers = all;
                self.say(Tone::Note, &text);
            }
            Err(e) => self.say(Tone::Error, &e),
        }
    }

    /// Takes an execution trace.
    pub(super) fn record(&mut self, seconds: u32) {
        self.ask(Purpose::Record { seconds }, Request::Record { seconds });
    }

    /// Lays a trace that the program wrote over its timeline.
    pub(super) fn trace_over(&mut self, file: &str) {
        let file = std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
        self.ask(Purpose::TraceOver, Request::TraceOver { file });
    }

    /// It is there.
    pub(super) fn traced_over(&mut self) {
        self.timeline.source = None;
        self.timeline.due = None;
        self.say(Tone::Note, "the trace lies over the looks; g goes to its begin if it is the first there is");
    }

    /// It is under way: the timeline shows it from now on.
    pub(super) fn recording(&mut self, seconds: u32) {
        let t = &mut self.timeline;
        // It lies over the looks as soon as it is there.
        t.source = None;
        t.to_now();
        self.say(
            Tone::Note,
            &format!("an execution trace of {seconds} s is asked for; its first second comes after that second"),
        );
    }

    /// Which code runs, too, or no more.
    pub(super) fn toggle_code(&mut self) {
        let on = !self.timeline.code;
        self.ask(Purpose::TimelineCode { on }, Request::TimelineCode { on });
    }

    pub(super) fn code_known(&mut self, on: bool, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.timeline.code = on;
                let text = if on { "perf events fill the lanes of Ps with code" } else { "no more perf events" };
                self.say(Tone::Note, text);
            }
            Err(e) => self.say(Tone::Error, &e),
        }
    }

    /// One line on the moment under the cursor.
    pub fn moment_sentence(&self) -> String {
        let t = &self.timeline;
        let (Some(v), Some(lane), Some(at)) = (t.drawn(), t.current(), t.moment()) else { return String::new() };
        let ago = if t.cursor_ns.is_none() && v.growing {
            "now".to_string()
        } else if v.growing {
            format!("{} ago", lanes::length(v.extent.1.saturating_sub(at).max(0).cast_unsigned()))
        } else {
            format!("+{}", lanes::length(at.saturating_sub(v.extent.0).max(0).cast_unsigned()))
        };
        let name = lanes::name(lane.kind);
        match &lane.cells {
            Cells::States(c) => {
                let Some(c) = c.get(t.column()) else { return format!("{name} {ago}") };
                if c.activity == Activity::Unknown {
                    return format!("{name} {ago}: not seen");
                }
                let who = c.goroutine.map_or(String::new(), |g| format!(" g{}", g.0));
                let share = f64::from(c.busy) / 2.55;
                if c.activity == Activity::Idle {
                    return format!("{name} {ago}: idle for {}", lanes::length(v.column_ns));
                }
                let more = if c.changes > 1 { format!(", {} changes", c.changes) } else { String::new() };
                let code = t.function_here().map_or(String::new(), |f| format!(" in {}", short_function(f)));
                let from = match t.source_here().filter(|s| !v.over.is_empty() || *s != v.source) {
                    Some(s) => format!(" ({})", lanes::source(s)),
                    None => String::new(),
                };
                format!(
                    "{name} {ago}: {}{who}{code} {share:.0}% of {}{more}{from}",
                    lanes::activity(c.activity),
                    lanes::length(v.column_ns)
                )
            }
            Cells::Levels(l) => match l.get(t.column()).and_then(Option::as_ref) {
                Some(l) if l.min != l.max => {
                    format!("{name} {ago}: {} to {}", lanes::amount(lane.kind, l.min), lanes::amount(lane.kind, l.max))
                }
                Some(l) => format!("{name} {ago}: {}", lanes::amount(lane.kind, l.last)),
                None => format!("{name} {ago}: not seen"),
            },
        }
    }
}
