//! The table. A command is a row here and nothing else.

use super::parse::{condition, number, split_words, substitute, word};
use super::probe;
use super::{Action, Arg, BreakpointEdit, BreakpointName, Command, Do, FrameMove, Group, Needs, Ui};
use crate::backend::protocol::{ResumeKind, SymbolKind};
use crate::base::GoroutineId;
use crate::model::{TraceFilter, TraceReportKind, WaitScope};

type Made = Result<Do, String>;

fn ui(u: Ui) -> Made {
    Ok(Do::Ui(u))
}
fn act(a: Action) -> Made {
    Ok(Do::Session(a))
}
fn resume(k: ResumeKind) -> Made {
    act(Action::Resume(k))
}
/// Delve's `next 3` and the like: we go one at a time and say so.
fn once(rest: &str, k: ResumeKind) -> Made {
    if rest.is_empty() { resume(k) } else { Err("one step at a time: press the key again".into()) }
}
fn breakpoint(rest: &str, f: fn(BreakpointName) -> Action) -> Made {
    if rest.is_empty() { Err(String::new()) } else { act(f(BreakpointName::parse(rest))) }
}
fn text(rest: &str, f: fn(String) -> Action) -> Made {
    if rest.is_empty() { Err(String::new()) } else { act(f(rest.to_string())) }
}
fn assignment(rest: &str) -> Made {
    // Not the `=` of `==`, `!=`, `<=`, `>=`.
    let bytes = rest.as_bytes();
    let at = (0..bytes.len()).find(|&i| {
        bytes[i] == b'='
            && bytes.get(i + 1) != Some(&b'=')
            && !matches!(i.checked_sub(1).map(|j| bytes[j]), Some(b'=' | b'!' | b'<' | b'>'))
    });
    match at {
        Some(i) if !rest[..i].trim().is_empty() && !rest[i + 1..].trim().is_empty() => {
            act(Action::Set { target: rest[..i].trim().into(), value: rest[i + 1..].trim().into() })
        }
        Some(_) => Err(String::new()),
        None if rest.is_empty() => ui(Ui::SetPrompt),
        None => ui(Ui::Set(rest.to_string())),
    }
}
fn frame(rest: &str) -> Made {
    let (n, more) = word(rest);
    let n = number(n, 0)?;
    match word(more) {
        ("", _) => act(Action::Frame(FrameMove::To(n))),
        ("print" | "p", e) if !e.is_empty() => act(Action::Print { expression: e.into(), frame: Some(n) }),
        _ => Err("after the frame's number only print EXPR may come".into()),
    }
}
fn goroutine(rest: &str) -> Made {
    if rest.is_empty() {
        return act(Action::Goroutine(None));
    }
    let id = rest.trim_start_matches('g').parse().map_err(|_| format!("{rest} is not a goroutine id"))?;
    act(Action::Goroutine(Some(GoroutineId(id))))
}
fn waits(rest: &str) -> Made {
    if rest.is_empty() {
        return ui(Ui::Waits(None));
    }
    let id = rest.trim_start_matches('g').parse().map_err(|_| format!("{rest} is not a goroutine id"))?;
    ui(Ui::Waits(Some(GoroutineId(id))))
}
fn restart(rest: &str, rebuild: bool) -> Made {
    let args = split_words(rest);
    act(Action::Restart { rebuild, args: (!args.is_empty()).then_some(args) })
}
fn symbols(rest: &str, kind: SymbolKind) -> Made {
    act(Action::Symbols(kind, rest.to_string()))
}
/// A number is a time, anything else a file.
fn record(rest: &str) -> Made {
    match rest {
        r if r.is_empty() || r.bytes().all(|b| b.is_ascii_digit()) => act(Action::Record(number(r, 5)?)),
        file => act(Action::TraceOver(file.into())),
    }
}
/// `[KIND] [region NAME | task ID | task NAME]`.
fn report(rest: &str) -> Made {
    let kinds = TraceReportKind::ALL;
    let (first, more) = word(rest);
    let named = kinds.iter().find(|k| k.0 == first).map(|k| k.1);
    let part = if named.is_some() { more } else { rest };
    let of = match word(part) {
        ("", _) => None,
        ("region", name) if !name.is_empty() => Some(TraceFilter::Region(name.to_string())),
        ("task", name) if !name.is_empty() => Some(TraceFilter::task(name)),
        _ => {
            return Err(format!(
                "{part} is none of {}, nor region NAME or task ID or NAME",
                kinds.map(|k| k.0).join(" ")
            ));
        }
    };
    let own = of.as_ref().map_or(TraceReportKind::default(), TraceFilter::own);
    act(Action::Report(named.unwrap_or(own), of))
}
fn config(rest: &str) -> Made {
    match word(rest) {
        ("substitute-path", r) => substitute(r),
        ("", _) => Err("usage: config substitute-path FROM TO, or set OPTION".into()),
        _ => ui(Ui::Set(rest.to_string())),
    }
}

macro_rules! command {
    ($name:literal $aliases:tt $short:literal $usage:literal $group:ident $arg:ident $needs:ident $doc:literal $make:expr) => {
        Command {
            name: $name,
            aliases: &$aliases,
            short: $short,
            usage: $usage,
            doc: $doc,
            group: Group::$group,
            arg: Arg::$arg,
            needs: Needs::$needs,
            make: $make,
        }
    };
}

/// All commands, in the order in which help lists them within a group.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    // Running
    command!("continue" ["c"] "continue" "[PLACE]" Running Place Stopped
        "Let the program run until something stops it, or until a place is reached."
        |r| resume(if r.is_empty() { ResumeKind::Continue } else { ResumeKind::To(r.into()) })),
    command!("next" ["n"] "next" "" Running None Stopped
        "Go to the next line, calls included." |r| once(r, ResumeKind::Next)),
    command!("step" ["s"] "step" "" Running None Stopped
        "Go to the next line, into calls." |r| once(r, ResumeKind::Step)),
    command!("stepout" ["so"] "out" "" Running None Stopped
        "Run until the current function returns." |r| once(r, ResumeKind::StepOut)),
    command!("step-instruction" ["si", "stepi"] "instr" "" Running None Stopped
        "Execute one machine instruction." |r| once(r, ResumeKind::StepInstruction)),
    command!("next-instruction" ["ni", "nexti"] "instr over" "" Running None Stopped
        "Execute one machine instruction, a call as one." |r| once(r, ResumeKind::NextInstruction)),
    command!("run-to-cursor" ["until-cursor"] "to cursor" "" Running None Stopped
        "Run until the line under the cursor is reached." |_| ui(Ui::RunToCursor)),
    command!("step-deferred" [] "deferred" "" Running None Stopped
        "Run into the next pending deferred call of this goroutine." |_| act(Action::StepDeferred)),
    command!("pause" ["halt"] "pause" "" Running None Control
        "Stop the program where it is." |_| act(Action::Pause)),
    command!("hold" [] "hold" "[REASON]" Running Text Control
        "Stop the program and let stops last, for as long as the profile allows (prod: 30 s); again, with a reason, for longer."
        |r| act(Action::Hold(r.into()))),
    command!("release" [] "release" "" Running None Control
        "Let the program run, and stops last no more; leave the copy of a stop." |_| act(Action::Release)),
    command!("interrupt" [] "pause" "" Running None Nothing
        "Pause the program if we control it and it runs; else cancel what is being waited for." |_| ui(Ui::Interrupt)),
    command!("cancel-step" ["cancelnext"] "drop step" "" Running None Stopped
        "Forget a step that a breakpoint interrupted." |_| act(Action::CancelStep)),
    command!("restart" ["r"] "restart" "[ARGS]" Running Text Restartable
        "Start the program again, with new arguments if some are given." |r| restart(r, false)),
    command!("rebuild" [] "rebuild" "[ARGS]" Running Text Restartable
        "Build the program and start it again." |r| restart(r, true)),
    command!("input" [] "input" "TEXT" Running Text Target
        "Send a line to the program's standard input." |r| act(Action::Input(format!("{r}\n").into_bytes()))),
    // Breakpoints
    command!("break" ["b"] "break" "[-once] [-g GOROUTINE] [-hits \"> 5\"] [-per-g] [-after ID] [NAME] [PLACE] [if CONDITION]" Breakpoints Place Control
        "Set a breakpoint: main.go:10, 10, +1, main.f, main.(*T).M, /regex/, *0x4a1f36; here without a place."
        |r| if r.is_empty() { ui(Ui::BreakHere) } else { act(Action::Break(Box::new(probe::flagged(r)?))) }),
    command!("trace" ["t"] "trace" "FUNCTION [if CONDITION]" Breakpoints Place Control
        "Record each call of a function (arguments, results, time) while the program runs on; takes break's flags." probe::trace),
    command!("log" ["logpoint"] "log" "PLACE TEXT" Breakpoints Place Control
        "Record a line at each hit while the program runs on; {expression} in it is replaced by its value." probe::log),
    command!("watch" [] "watch" "[-w | -rw] [-run] EXPRESSION [if CONDITION]" Breakpoints Expression Control
        "Stop when data is written (or with -rw accessed); with -run, record who did it and run on." probe::watch),
    command!("on" [] "on hit" "ID print EXPR | stack N | log TEXT | trace | run | stop | stop-after N | exact | nothing" Breakpoints Breakpoint Control
        "Say what is done when a breakpoint is hit; exact: no uprobe, what pointers lead to is read while the thread stands." probe::on),
    command!("calls" [] "calls" "[FILE.csv | FILE.folded]" Breakpoints Text Nothing
        "Show what trace points recorded, summed for each function; or write it: CSV, or folded stacks for a flame graph." |r| ui(Ui::Calls(r.into()))),
    command!("log-here" [] "log point" "" Breakpoints None Control
        "Begin a log point at the line under the cursor." |_| ui(Ui::LogHere)),
    command!("trace-word" [] "trace" "" Breakpoints None Control
        "Begin a trace point of the function whose name is under the cursor." |_| ui(Ui::ProbeWord("trace"))),
    command!("watch-word" [] "watch" "" Breakpoints None Control
        "Begin a watchpoint of the variable whose name is under the cursor." |_| ui(Ui::ProbeWord("watch"))),
    command!("condition" ["cond"] "condition" "ID CONDITION | -hitcount ID OP N | -clear ID" Breakpoints Breakpoint Control
        "Make a breakpoint conditional, on an expression or on its hit count." condition),
    command!("toggle" [] "on/off" "ID" Breakpoints Breakpoint Control
        "Disable or enable a breakpoint."
        |r| breakpoint(r, |n| Action::EditBreakpoint(n, BreakpointEdit::Toggle))),
    command!("clear" [] "clear" "ID" Breakpoints Breakpoint Control
        "Take a breakpoint away." |r| breakpoint(r, Action::Clear)),
    command!("clearall" [] "clear all" "[PLACE]" Breakpoints Place Control
        "Take all breakpoints away, or those at a place." |r| act(Action::ClearAll(r.into()))),
    command!("breakpoints" ["bp"] "list" "" Breakpoints None Target
        "List breakpoints." |_| act(Action::ListBreakpoints)),
    command!("edit-breakpoint" [] "edit" "" Breakpoints None Control
        "Edit the breakpoint under the cursor: place, condition, hit count, name." |_| ui(Ui::EditBreak)),
    command!("toggle-selected" [] "on/off" "" Breakpoints None Control
        "Disable or enable the breakpoint under the cursor." |_| ui(Ui::ToggleSelected)),
    command!("clear-selected" [] "delete" "" Breakpoints None Control
        "Take the breakpoint under the cursor away." |_| ui(Ui::ClearSelected)),
    // Looking
    command!("print" ["p"] "print" "EXPRESSION" Looking Expression Variables
        "Evaluate a Go expression in the selected frame."
        |r| if r.is_empty() { ui(Ui::PrintWord) } else { act(Action::Print { expression: r.into(), frame: None }) }),
    command!("call" [] "call" "FUNCTION(ARGUMENTS) | VARIABLE = …" Looking Expression Stopped
        "Call a function of the program, or assign a string or a call's result; all goroutines run meanwhile." |r| text(r, Action::Call)),
    command!("examinemem" ["x"] "memory" "[-BYTES] ADDRESS | EXPRESSION" Looking Expression Target
        "Show memory: 64 bytes, or as many as said." probe::examine),
    command!("jump" [] "jump" "PLACE" Running Place Stopped
        "Go on at another line of the function, without running what lies between." |r| text(r, Action::Jump)),
    command!("whatis" [] "type" "EXPRESSION" Looking Expression Variables
        "Show the type of an expression." |r| text(r, Action::Whatis)),
    command!("hover" [] "hover" "" Looking None Variables
        "Evaluate the name under the cursor." |_| ui(Ui::Hover)),
    command!("args" [] "args" "" Looking None Target
        "Show the arguments of the selected frame (in the Variables pane)." |_| ui(Ui::Focus("vars"))),
    command!("locals" [] "locals" "" Looking None Target
        "Show the local variables of the selected frame (in the Variables pane)." |_| ui(Ui::Focus("vars"))),
    command!("vars" [] "globals" "[REGEX]" Looking Text Variables
        "List package variables whose names match."
        |r| act(Action::PackageVariables(r.into()))),
    command!("stack" ["bt"] "stack" "" Looking None Target
        "Go to the stack of the selected goroutine." |_| ui(Ui::Focus("stack"))),
    command!("frame" [] "frame" "N [print EXPRESSION]" Looking Number Target
        "Select a frame, or evaluate an expression in it." frame),
    command!("up" [] "up" "[N]" Looking Number Target
        "Select the caller's frame." |r| act(Action::Frame(FrameMove::Up(number(r, 1)?)))),
    command!("down" [] "down" "[N]" Looking Number Target
        "Select the frame that was called." |r| act(Action::Frame(FrameMove::Down(number(r, 1)?)))),
    command!("deferred" [] "deferred" "N" Looking Number Target
        "Show the N-th pending deferred call of the selected frame."
        |r| act(Action::Deferred(number(r, 1)?))),
    command!("defers" [] "defers" "" Looking None Target
        "Go to the pending deferred calls of the selected goroutine, in the order in which they will run." |_| ui(Ui::Focus("defers"))),
    command!("triage" ["findings"] "triage" "" Looking None Target
        "Go to the findings: what is wrong, ranked, with the reason." |_| ui(Ui::Focus("findings"))),
    command!("waits" [] "waits" "[GOROUTINE]" Looking Goroutine Target
        "Show who waits for whom, around the goroutine under the cursor or the one named." waits),
    command!("cycles" [] "cycles" "" Looking None Target
        "Show only what waits in a circle, or everything again." |_| ui(Ui::WaitPart(WaitScope::Cycles))),
    command!("leaks" [] "leaks" "" Looking None Target
        "Show only what can never be woken, or everything again." |_| ui(Ui::WaitPart(WaitScope::Leaks))),
    command!("wait-view" [] "tree/graph" "" Looking None Target
        "Show waits as a tree, or each in one line." |_| ui(Ui::ToggleView)),
    command!("collapse" [] "fold" "" Looking None Nothing
        "Hide or show what is below the line." |_| ui(Ui::Fold)),
    command!("timeline" [] "timeline" "" Looking None Target
        "Go to the timeline: what scheduler and collector do, sampled without stopping anything, or from a trace." |_| ui(Ui::Focus("timeline"))),
    command!("time-in" [] "zoom in" "" Looking None Nothing
        "Show half as much of the timeline around the cursor." |_| ui(Ui::TimeZoom(true))),
    command!("time-out" [] "zoom out" "" Looking None Nothing
        "Show twice as much of the timeline." |_| ui(Ui::TimeZoom(false))),
    command!("time-now" [] "now" "" Looking None Nothing
        "Show the newest part of the timeline, and go on with it." |_| ui(Ui::TimeNow)),
    command!("follow" [] "follow" "" Looking None Nothing
        "Give the goroutine under the timeline's cursor (else the selected one) a lane of its own, or take it away." |_| ui(Ui::FollowSelected)),
    command!("blocked-by" [] "blocked by" "" Looking None Nothing
        "Go to the goroutine that ended the wait under the cursor (execution traces)." |_| ui(Ui::BlockedBy)),
    command!("time-source" [] "source" "" Looking None Nothing
        "Show the timeline from one of its sources alone (looks, an execution trace, gctrace lines of a program launched here), or all over each other." |_| ui(Ui::NextSource)),
    command!("mark-next" [] "next mark" "" Looking None Nothing
        "Go to the timeline's next mark: what is searched for, else the next change in the lane." |_| ui(Ui::NextMark(true))),
    command!("mark-prev" [] "prev mark" "" Looking None Nothing
        "Go to the timeline's mark before: what is searched for, else the change before in the lane." |_| ui(Ui::NextMark(false))),
    command!("thread-lanes" [] "threads" "" Looking None Nothing
        "Show a lane for each thread (M), with what the kernel lets it do below, or none." |_| ui(Ui::ThreadLanes)),
    command!("utilisation" [] "utilisation" "" Looking None Nothing
        "Show how many Ps were how busy over the whole run, or how busy they were together." |_| ui(Ui::HeatMap)),
    command!("lanes" [] "lanes" "" Looking None Nothing
        "Show only the lanes of Ps and collector, or all." |_| ui(Ui::BriefLanes)),
    command!("code" [] "code" "" Looking None Target
        "Fill the lanes of Ps with the code that they execute, by the kernel's perf events (99 samples a second of each running thread), or no more." |_| act(Action::TimelineCode)),
    command!("record" [] "record" "[SECONDS | FILE]" Looking Text Target
        "Take an execution trace of the process through its own /debug/pprof/trace (5 s), or take one that it wrote to a file; it lies over the timeline." record),
    command!("report" [] "report" "[KIND] [region NAME | task ID]" Looking Text Target
        "Show what an execution trace comes to: functions, goroutines, network, sync, syscall, sched, cpu, tasks, regions, logs, mmu, stw; some of one region or task alone." report),
    command!("when" [] "when" "[CONDITION [stop | snapshot [FILE]] | clear [CONDITION]]" Looking Text Target
        "Stop or copy the program when it first holds: gc.pause > 1ms, gc.cycles, goroutines > 10000, sched.runqueue > 100, sched.syscalls, heap.live > 1GiB, heap.goal; alone: list."
        |r| act(Action::When(r.into()))),
    command!("heap" [] "heap" "" Looking None Target
        "Walk the heap and show its sums by type or by what keeps objects alive." |_| act(Action::Heap)),
    command!("refs" ["references"] "refs" "[EXPRESSION | ADDRESS]" Looking Expression Target
        "Show who keeps an object alive: what an expression points to, an address, or what is under the cursor."
        |r| if r.is_empty() { ui(Ui::RefsSelected) } else { act(Action::Refs(r.into())) }),
    command!("profiles" ["prof"] "profiles" "" Looking None Nothing
        "Go to the profile, or to the list of those that the process has." |_| ui(Ui::Focus("flame"))),
    command!("thresholds" [] "thresholds" "[SAMPLES [PERCENT]]" Looking Text Nothing
        "From how many samples and how large a change on a profile's difference counts (200 50), for the verdict; alone: say it." |r| act(Action::Thresholds(r.into()))),
    command!("diff" [] "compare" "[FILE | ADDRESS]" Looking Text Nothing
        "Compare the profile with another one; without one, ask for it, or end the comparison that is shown."
        |r| if r.is_empty() { ui(Ui::CompareProfile) } else { act(Action::ProfileBase(r.into())) }),
    command!("focus" [] "focus" "[REGEX]" Looking Text Nothing
        "Show only stacks of the profile with a function or file that matches; without one, ask for it, or show all again."
        |r| if r.is_empty() { ui(Ui::FocusProfile) } else { act(Action::ProfileFocus(r.into())) }),
    command!("callers" [] "callers" "" Looking None Nothing
        "Show the profile from the functions that take it to their callers, or from the roots again." |_| ui(Ui::TurnProfile)),
    command!("sample-type" [] "values" "" Looking None Nothing
        "Show the profile's next kind of value." |_| ui(Ui::NextKind)),
    command!("table" [] "table/graph" "" Looking None Nothing
        "Show the profile as a table of functions, or as a flame graph." |_| ui(Ui::ProfileTable)),
    command!("normalize" [] "shares" "" Looking None Nothing
        "Compare shares of both profiles, or values as they are." |_| ui(Ui::NormalizeProfile)),
    command!("zoom-out" [] "out" "" Looking None Nothing
        "Go one level out of the part of the profile that is shown." |_| ui(Ui::ZoomOutProfile)),
    command!("take-over" [] "take-over" "" Looking None Target
        "Where several clients look at one program: be the one who may change something." |_| act(Action::TakeOver)),
    command!("reveal" [] "reveal" "[REASON]" Looking Text Target
        "Show what was hidden as a secret, for a reason that goes on record; alone: hide it again." |r| act(Action::Reveal(r.into()))),
    command!("mute" [] "mute" "[TEXT]" Looking Text Nothing
        "Leave out findings at functions that contain a text, or at the one under the cursor."
        |r| if r.is_empty() { ui(Ui::MuteSelected) } else { act(Action::Mute(r.into())) }),
    command!("unmute" [] "unmute" "[TEXT | all]" Looking Text Nothing
        "Take a mute rule back." |r| act(Action::Unmute(r.into()))),
    command!("mutes" [] "mutes" "" Looking None Nothing
        "List mute rules." |_| act(Action::Mutes)),
    command!("snapshot" [] "snapshot" "[FILE]" Looking Text Target
        "Take a consistent copy of the running program with one short stop (asks first); into a file, too, if one is named."
        |r| ui(Ui::Snapshot(r.into()))),
    command!("dump" [] "dump" "FILE" Looking Text Target
        "Write a core of the running or stopped program (asks first): gdb, Delve and adit open it."
        |r| if r.is_empty() { Err(String::new()) } else { ui(Ui::Snapshot(r.into())) }),
    command!("freeze" [] "freeze" "" Looking None Target
        "Let what is shown of a running program stand still, or go on; the program runs on." |_| act(Action::Freeze)),
    command!("evidence" [] "evidence" "[FILE]" Looking Text Target
        "Write findings, goroutine groups and waits as text to a file." |r| ui(Ui::Evidence(r.into()))),
    command!("goroutines" ["grs"] "goroutines" "" Looking None Target
        "Go to the goroutines." |_| ui(Ui::Workspace(2))),
    command!("goroutine" ["gr"] "goroutine" "[ID]" Looking Goroutine Target
        "Select a goroutine." goroutine),
    command!("list" ["l", "ls"] "list" "[FILE:LINE]" Looking Place Target
        "Show source: a place, or where the selected frame is." |r| ui(Ui::List(r.into()))),
    command!("definition" [] "definition" "" Looking None Target
        "Go to where the name under the cursor is declared." |_| ui(Ui::Definition)),
    command!("open-file" [] "open file" "" Looking None Target
        "Open a source file of the program by a part of its name." |_| ui(Ui::OpenFile)),
    command!("funcs" [] "functions" "[PART]" Looking Text Target
        "List functions whose names contain a text." |r| symbols(r, SymbolKind::Functions)),
    command!("types" [] "types" "[PART]" Looking Text Target
        "List types whose names contain a text." |r| symbols(r, SymbolKind::Types)),
    command!("sources" [] "sources" "[PART]" Looking Text Target
        "List source files whose paths contain a text." |r| symbols(r, SymbolKind::Sources)),
    command!("threads" [] "threads" "" Looking None Target
        "List threads." |_| act(Action::Threads)),
    command!("regs" [] "registers" "" Looking None Stopped
        "Show registers of the selected frame's thread." |_| act(Action::Registers)),
    command!("disassemble" ["disass"] "disassemble" "" Looking None Target
        "Show machine code around the selected frame's position." |_| ui(Ui::Focus("code"))),
    command!("refresh" [] "refresh" "" Looking None Target
        "Read the target anew (observe mode); nothing is stopped." |_| act(Action::Refresh)),
    command!("group" [] "group by" "" Looking None Nothing
        "Group goroutines in another way: user frame, stack, wait, creator, entry, state, label, not at all; the heap by type or site." |_| ui(Ui::CycleGroup)),
    command!("system" [] "system" "" Looking None Nothing
        "Show or hide the runtime's own goroutines." |_| ui(Ui::ToggleSystem)),
    // Screen
    command!("help" ["h"] "help" "[COMMAND]" Screen Command Nothing
        "Show keys and commands, those of this pane first." |r| ui(Ui::Help(r.into()))),
    command!("palette" [] "palette" "" Screen None Nothing
        "Find any command by a part of its name." |_| ui(Ui::Palette)),
    command!("prompt" [] "command" "[TEXT]" Screen Text Nothing
        "Open the command line." |r| ui(Ui::Prompt(if r.is_empty() { String::new() } else { format!("{r} ") }))),
    command!("keys" [] "keys" "" Screen None Nothing
        "Show the effective key map." |_| ui(Ui::Keys)),
    command!("workspace" [] "workspace" "N" Screen Number Nothing
        "Go to a workspace: 1 Triage, 2 Goroutines, 3 Debug, 4 Data, 5 Waits, 6 Timeline, 7 Profiles, 8 Breakpoints, 9 Log."
        |r| match r.parse() { Ok(n @ 1..=9) => ui(Ui::Workspace(n)), _ => Err(String::new()) }),
    command!("next-pane" [] "pane" "" Screen None Nothing "Go to the next pane." |_| ui(Ui::NextPane)),
    command!("prev-pane" [] "pane back" "" Screen None Nothing "Go to the previous pane." |_| ui(Ui::PrevPane)),
    command!("zoom" [] "zoom" "" Screen None Nothing "Give the pane half, then all of the screen." |_| ui(Ui::ZoomIn)),
    command!("unzoom" [] "unzoom" "" Screen None Nothing "Give the pane less of the screen." |_| ui(Ui::ZoomOut)),
    command!("next-tab" [] "tab" "" Screen None Nothing "Show the pane's next tab." |_| ui(Ui::NextTab)),
    command!("prev-tab" [] "tab back" "" Screen None Nothing "Show the pane's previous tab." |_| ui(Ui::PrevTab)),
    command!("search" ["filter"] "search" "" Screen None Nothing
        "Search in text panes, filter in lists (!text leaves out what matches)." |_| ui(Ui::Search)),
    command!("search-next" [] "next match" "" Screen None Nothing "Go to the next match." |_| ui(Ui::SearchNext(true))),
    command!("search-prev" [] "prev match" "" Screen None Nothing "Go to the previous match." |_| ui(Ui::SearchNext(false))),
    command!("search-clear" [] "end search" "" Screen None Nothing "End the search." |_| ui(Ui::SearchClear)),
    command!("move-down" [] "down" "" Screen None Nothing "Move the cursor down." |_| ui(Ui::Move(1))),
    command!("move-up" [] "up" "" Screen None Nothing "Move the cursor up." |_| ui(Ui::Move(-1))),
    command!("move-left" [] "left" "" Screen None Nothing "Scroll left, or close what is open." |_| ui(Ui::Left)),
    command!("move-right" [] "right" "" Screen None Nothing "Scroll right, or open what is closed." |_| ui(Ui::Right)),
    command!("page-down" [] "page down" "" Screen None Nothing "Move half a page down." |_| ui(Ui::Page(1))),
    command!("page-up" [] "page up" "" Screen None Nothing "Move half a page up." |_| ui(Ui::Page(-1))),
    command!("top" [] "top" "" Screen None Nothing "Go to the first line." |_| ui(Ui::Top)),
    command!("bottom" [] "bottom" "" Screen None Nothing "Go to the last line." |_| ui(Ui::Bottom)),
    command!("enter" [] "open" "" Screen None Nothing "Select or open what is under the cursor." |_| ui(Ui::Enter)),
    command!("cancel" [] "back" "" Screen None Nothing "Close, clear, go back." |_| ui(Ui::Cancel)),
    command!("jump-back" [] "jump back" "" Screen None Nothing "Go back to where you were before the last jump, in any pane or workspace." |_| ui(Ui::Back)),
    command!("jump-forward" [] "jump on" "" Screen None Nothing "Undo a jump back." |_| ui(Ui::Forward)),
    command!("mark" [] "mark" "" Screen None Nothing "Mark this place with the letter typed next." |_| ui(Ui::Mark(true))),
    command!("jump-mark" [] "to mark" "" Screen None Nothing "Go to the place marked with the letter typed next." |_| ui(Ui::Mark(false))),
    command!("copy" ["yank"] "copy" "" Screen None Nothing "Send the line under the cursor to the terminal's clipboard (OSC 52)." |_| ui(Ui::Copy)),
    command!("copy-block" [] "copy all" "" Screen None Nothing "Send the whole pane to the terminal's clipboard (OSC 52)." |_| ui(Ui::CopyBlock)),
    command!("edit" ["ed"] "editor" "[FILE:LINE]" Screen Place Nothing "Open $EDITOR at a place, or at the line under the cursor." |r| ui(Ui::Edit(r.into()))),
    command!("write" ["w"] "write" "FILE" Screen Text Nothing "Write the pane's text to a file." |r| if r.is_empty() { Err(String::new()) } else { ui(Ui::Write(r.into())) }),
    command!("redraw" [] "redraw" "" Screen None Nothing "Draw the whole screen again." |_| ui(Ui::Redraw)),
    command!("theme" [] "theme" "NAME" Screen Setting Nothing "Use another theme: dark, light, high-contrast, mono, solarized-16, colour-blind." |r| if r.is_empty() { Err(String::new()) } else { ui(Ui::Theme(r.into())) }),
    // Session
    command!("set" [] "set" "VARIABLE = VALUE | $REGISTER = VALUE | mouse | nomouse" Session Setting Nothing
        "Assign to a variable or a register, or turn a setting on or off." assignment),
    command!("config" [] "config" "substitute-path FROM TO" Session Setting Nothing "Change a setting, as Delve writes it." config),
    command!("path" ["substitute-path"] "source paths" "[FROM TO]" Session Text Nothing
        "Show where sources are looked for, where each file was found and whether it fits; with FROM and TO, look for those recorded under FROM in TO."
        |r| if r.is_empty() { act(Action::Paths) } else { substitute(r) }),
    command!("source" [] "script" "FILE" Session Text Nothing "Run command lines from a file."
        |r| if r.is_empty() { Err(String::new()) } else { ui(Ui::Script(r.into())) }),
    command!("suspend" [] "suspend" "" Session None Nothing
        "Suspend adit (a held target is resumed first, or you confirm that it stays held)." |_| ui(Ui::Suspend)),
    command!("detach" [] "detach" "" Session None Nothing
        "Put everything back, let the program run on, and leave." |_| act(Action::Detach { kill: false })),
    command!("kill" [] "kill" "" Session None Launched
        "End the program that we launched, and leave." |r| if r.is_empty() { act(Action::Detach { kill: true }) } else { Err("kill takes no argument".into()) }),
    command!("quit" ["q", "exit"] "quit" "" Session None Nothing
        "Leave; asks what shall become of the program, and never kills it." |_| ui(Ui::Quit)),
];
