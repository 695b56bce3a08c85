//! What is asked of a program that stands: stacks, values, code, registers, memory, names. Runs on a thread of its own, so that a long
//! answer never keeps the program from being stopped or let go.

use super::breakpoints::SharedBook;
use super::client::{CallError, Connection};
use super::connect::Found;
use super::convert::{self, Reading};
use super::lists::Lists;
use super::quirks::{Feature, Quirks};
use super::values::{self, Given};
use super::wire::{self, Scope};
use crate::backend::protocol::*;
use crate::base::go_version::GoVersion;
use crate::base::{GoroutineId, LoadAddr, StopEpoch};
use crate::model::*;
use crate::symbols::Symbols;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an answer. Another client may let the program run meanwhile, and then Delve answers when it stops.
pub const SLOW: Duration = Duration::from_secs(60);
/// Bytes of memory that Delve gives at once (`ExamineMemoryLengthLimit`).
const MEMORY_PAGE: u32 = 1 << 16;
/// Handles that are kept at one stop.
const MAX_GIVEN: usize = 200_000;
/// Package variables in one answer.
const MAX_PACKAGE_VARIABLES: usize = 1_000;

/// Whose frame, in Delve's words.
pub fn scope_of(frame: FrameRef) -> Scope {
    let goroutine = frame.goroutine.and_then(|g| i64::try_from(g.0).ok()).unwrap_or(-1);
    Scope { goroutine, frame: frame.frame }
}

/// An error of a call as a failure.
pub fn failure(e: CallError) -> Failure {
    match e {
        CallError::Refused(text) if text.contains("has exited with status") => Failure::new(FailureKind::Gone, text),
        CallError::Refused(text) => Failure::new(FailureKind::BadRequest, text),
        CallError::Lost(text) => {
            Failure::new(FailureKind::Host, format!("Delve is gone: {text}")).fix("start it again and connect anew")
        }
        e @ CallError::Late { .. } => Failure::new(FailureKind::Unavailable, e.to_string())
            .fix("another client may have let the program run; Ctrl-C pauses it"),
        e @ CallError::Malformed { .. } => Failure::new(FailureKind::Host, e.to_string()),
    }
}

/// Answers reads of one server's program.
pub struct Reader {
    conn: Arc<Connection>,
    quirks: Quirks,
    rules: Vec<[String; 2]>,
    book: SharedBook,
    /// The program's file, where it is at hand: lines with code come from it.
    local: Option<Arc<Symbols>>,
    same_machine: bool,
    pub(super) reading: Reading,
    pub(super) lists: Lists,
    pub(super) epoch: StopEpoch,
    /// The stop is on a thread without a goroutine: whoever asks for one's frames means the thread's.
    pub(super) threadless: bool,
    given: HashMap<u64, Given>,
    last: u64,
}

impl Reader {
    /// For a server that was found. `rules` map the user's paths to those in the program.
    pub fn new(found: &Found, rules: Vec<[String; 2]>, book: SharedBook) -> Reader {
        Reader {
            conn: found.reads.clone(),
            quirks: found.quirks.clone(),
            rules,
            book,
            local: None,
            same_machine: false,
            reading: Reading::of(&GoVersion::parse(&found.go)),
            lists: Lists::default(),
            epoch: StopEpoch::default(),
            threadless: false,
            given: HashMap::new(),
            last: 0,
        }
    }

    /// What is known of the program once it stands: its Go release, and, when it runs here, its file.
    pub fn know(&mut self, go: &str, local: Option<Arc<Symbols>>, same_machine: bool) {
        self.reading = Reading::of(&GoVersion::parse(go));
        self.same_machine = same_machine;
        self.local = local;
    }

    /// At a new moment the handles and lists of the old one are void. Gives answers that nobody can have any more.
    pub fn at(&mut self, epoch: StopEpoch) -> Vec<super::lists::Late> {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.given.clear();
            self.reading.now_ns =
                self.same_machine.then(|| i64::try_from(crate::base::clock::monotonic_ns()).unwrap_or(0));
        }
        self.lists.at(epoch)
    }

    /// A frame in Delve's words.
    pub(super) fn scope_of(&self, frame: FrameRef) -> Scope {
        scope_of(if self.threadless { FrameRef { goroutine: None, ..frame } } else { frame })
    }

    pub(super) fn rules(&self) -> &[[String; 2]] {
        &self.rules
    }

    pub(super) fn book(&self) -> &SharedBook {
        &self.book
    }

    pub(super) fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// Calls, and waits long.
    pub fn call<T: DeserializeOwned>(&self, method: &'static str, params: impl Serialize) -> Result<T, Failure> {
        self.call_for(method, params, SLOW)
    }

    pub(super) fn call_for<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
        patience: Duration,
    ) -> Result<T, Failure> {
        self.conn.call(method, params, patience).map_err(failure)
    }

    /// Answers what needs no list and changes nothing but values.
    pub fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        let epoch = self.epoch;
        match r {
            Request::Stack { goroutine, depth, defers } => self.stack(goroutine, depth, defers),
            Request::Scope { frame, limits } => self.scope(frame, limits),
            Request::Children { handle, start, count, limits } => self.children(handle, start, count, limits),
            Request::Eval { frame, expression, limits } => {
                let v = self.eval(self.scope_of(frame), &expression, values::config(limits, 0))?;
                let made = values::row(&v, expression.clone(), expression, self.scope_of(frame));
                Ok(Reply::Value { epoch, value: Box::new(self.hand_out(made)) })
            }
            Request::Set { frame, expression, value } => {
                let done: Result<serde_json::Value, Failure> =
                    self.call("Set", json!({"Scope": self.scope_of(frame), "Symbol": expression, "Value": value}));
                done.map_err(|f| match f.message.contains("can not set variables of type") {
                    true => f.fix(format!(":call {expression} = {value} can")),
                    false => f,
                })?;
                Ok(Reply::Done)
            }
            Request::PackageVariables { filter, limits } => {
                let got: wire::Variables =
                    self.call("ListPackageVars", json!({"Filter": filter, "Cfg": values::config(limits, 0)}))?;
                let total = got.list.len() as u64;
                let some = got.list.iter().take(MAX_PACKAGE_VARIABLES);
                let scope = scope_of(FrameRef::default());
                let variables = some.map(|v| self.hand_out(values::named(v, scope))).collect();
                Ok(Reply::Variables { epoch, variables, total })
            }
            Request::Source { file } => {
                Err(Failure::new(FailureKind::Unavailable, format!("{file} is not here, and Delve sends no source"))
                    .fix("map the path with --substitute-path FROM=TO or `:path FROM TO`"))
            }
            Request::CodeLines { file } => {
                let lines = self.local.as_ref().map_or_else(Vec::new, |s| s.code_lines(&file));
                Ok(Reply::CodeLines { file, lines })
            }
            Request::Disassemble { frame } => self.disassemble(frame),
            Request::Symbols { kind, filter, count } => self.symbols(kind, &filter, count),
            Request::Threads => {
                let got: wire::Threads = self.call("ListThreads", json!({}))?;
                let mut threads: Vec<Thread> = got.list.iter().map(convert::thread).collect();
                threads.sort_by_key(|t| t.tid);
                Ok(Reply::Threads { epoch, threads })
            }
            Request::Registers(frame) => self.registers(frame),
            Request::Memory { addr, len } => self.memory(addr, len),
            Request::Jump { .. } if !self.quirks.has(Feature::Jump) => {
                Err(Failure::new(FailureKind::Unavailable, self.quirks.lacks(Feature::Jump)))
            }
            other => Err(lacks(&other)),
        }
    }

    fn hand_out(&mut self, (mut v, given): (Variable, Option<Given>)) -> Variable {
        if let Some(g) = given.filter(|_| self.given.len() < MAX_GIVEN) {
            self.last += 1;
            v.handle = self.last;
            self.given.insert(self.last, g);
        }
        v
    }

    fn stack(&self, goroutine: Option<GoroutineId>, depth: u32, defers: bool) -> Result<Reply, Failure> {
        let (frames, more) = self.frames(goroutine, depth, defers)?;
        let row = goroutine.and_then(|g| self.lists.row(g));
        let stack = Stack {
            goroutine: goroutine.unwrap_or_default(),
            frames,
            more,
            created_by: row.and_then(|g| g.created_by.clone()),
            ..Stack::default()
        };
        Ok(Reply::Stack { epoch: self.epoch, stack })
    }

    pub(super) fn eval(
        &self,
        scope: Scope,
        expression: &str,
        config: wire::LoadConfig,
    ) -> Result<wire::Variable, Failure> {
        let got: wire::Evaluated = self.call("Eval", json!({"Scope": scope, "Expr": expression, "Cfg": config}))?;
        got.variable.ok_or_else(|| Failure::new(FailureKind::Host, format!("Delve has no value for {expression}")))
    }

    fn scope(&mut self, frame: FrameRef, limits: LoadLimits) -> Result<Reply, Failure> {
        let scope = self.scope_of(frame);
        let ask = json!({"Scope": scope, "Cfg": values::config(limits, 0)});
        let arguments: wire::Arguments = self.call("ListFunctionArgs", &ask)?;
        let locals: wire::Variables = self.call("ListLocalVars", &ask)?;
        // The compiler's own variables are nobody's.
        let users = |v: &wire::Variable| !v.name.starts_with('.');
        let all: Vec<wire::Variable> = arguments.list.into_iter().chain(locals.list).filter(users).collect();
        let variables: Vec<Variable> = all.iter().map(|v| self.hand_out(values::named(v, scope))).collect();
        Ok(Reply::Variables { epoch: self.epoch, total: variables.len() as u64, variables })
    }

    fn children(&mut self, handle: u64, start: u64, count: u64, limits: LoadLimits) -> Result<Reply, Failure> {
        let given = self.given.get(&handle).cloned().ok_or_else(|| {
            Failure::new(FailureKind::BadState, "this value is from an earlier stop").fix("look at the variable again")
        })?;
        let (question, deeper) = values::question(&given, start);
        let mut config = values::config(limits, deeper);
        if matches!(given.kind, VarKind::Array | VarKind::Slice | VarKind::Map | VarKind::Chan) {
            let wanted = if given.kind == VarKind::Chan { start.saturating_add(count) } else { count };
            config.elements = config.elements.max(i64::try_from(wanted.min(10_000)).unwrap_or(0));
        }
        let v = self.eval(given.scope, &question, config)?;
        if let Some(why) = values::why(&v) {
            return Err(Failure::new(FailureKind::Unavailable, why));
        }
        let total = start + u64::try_from(v.len).unwrap_or(0);
        let made = values::children(&v, &given, start, count);
        let variables: Vec<Variable> = made.into_iter().map(|m| self.hand_out(m)).collect();
        let total = total.max(start + variables.len() as u64);
        Ok(Reply::Variables { epoch: self.epoch, variables, total })
    }

    fn disassemble(&self, frame: FrameRef) -> Result<Reply, Failure> {
        let (frames, _) = self.frames(frame.goroutine, frame.frame + 1, false)?;
        let at = frames
            .get(frame.frame as usize)
            .filter(|f| !f.at.function.is_empty())
            .ok_or_else(|| Failure::new(FailureKind::Unavailable, "no Go function here to disassemble"))?;
        let pc = at.at.pc;
        let code = self.code_at(pc)?;
        let mut instructions: Vec<Instruction> = code.iter().map(convert::instruction).collect();
        for i in &mut instructions {
            i.current = i.pc == pc;
        }
        Ok(Reply::Instructions { function: at.at.function.clone(), instructions })
    }

    /// The code of the function at an address. Flavour 1 is Intel's syntax.
    pub(super) fn code_at(&self, pc: LoadAddr) -> Result<Vec<wire::Instruction>, Failure> {
        let scope = scope_of(FrameRef::default());
        let got: wire::Code =
            self.call("Disassemble", json!({"Scope": scope, "StartPC": pc.0, "EndPC": 0, "Flavour": 1}))?;
        Ok(got.list)
    }

    fn symbols(&self, kind: SymbolKind, filter: &str, count: u32) -> Result<Reply, Failure> {
        let ask = json!({"Filter": format!("(?i){}", regex::escape(filter))});
        let mut names = match kind {
            SymbolKind::Functions => self.call::<wire::Functions>("ListFunctions", ask)?.list,
            SymbolKind::Sources => self.call::<wire::Sources>("ListSources", ask)?.list,
            SymbolKind::Types => self.call::<wire::Types>("ListTypes", ask)?.list,
            SymbolKind::PackageVariables => {
                let none = LoadLimits { string: 0, elements: 0, fields: 0, depth: 0 };
                let ask = json!({"Filter": ask["Filter"], "Cfg": values::config(none, 0)});
                self.call::<wire::Variables>("ListPackageVars", ask)?.list.into_iter().map(|v| v.name).collect()
            }
        };
        names.sort_unstable();
        names.dedup();
        let total = names.len() as u64;
        names.truncate(count as usize);
        Ok(Reply::Symbols { names, total })
    }

    fn registers(&self, frame: FrameRef) -> Result<Reply, Failure> {
        let got: wire::Registers =
            self.call("ListRegisters", json!({"ThreadID": 0, "IncludeFp": true, "Scope": self.scope_of(frame)}))?;
        let one = |r: wire::Register| {
            // Vector registers come with every way to read them.
            let value = r.value.split('\t').next().unwrap_or("").to_string();
            (r.name.to_lowercase(), value)
        };
        Ok(Reply::Registers(got.list.into_iter().map(one).collect()))
    }

    fn memory(&self, addr: LoadAddr, len: u32) -> Result<Reply, Failure> {
        use base64::Engine as _;
        let mut bytes = Vec::new();
        let len = len.min(1 << 20);
        while (bytes.len() as u32) < len {
            let at = addr.add(bytes.len() as u64);
            let page = (len - bytes.len() as u32).min(MEMORY_PAGE);
            let got: Result<wire::Memory, Failure> =
                self.call("ExamineMemory", json!({"Address": at.0, "Length": page}));
            match got {
                Ok(m) => {
                    let more = base64::engine::general_purpose::STANDARD.decode(&m.bytes).unwrap_or_default();
                    if more.is_empty() || more.len() > page as usize {
                        break;
                    }
                    bytes.extend(more);
                }
                Err(f) if bytes.is_empty() => return Err(f),
                Err(_end_of_what_is_mapped) => break,
            }
        }
        Ok(Reply::Memory { addr, bytes })
    }
}

/// What Delve cannot do, and what can.
pub fn lacks(r: &Request) -> Failure {
    let (what, fix) = match r {
        Request::Waits(_) => (
            "the wait graph needs the structures behind channels and locks, which Delve does not decode",
            "run adit where the program runs: adit PID",
        ),
        Request::Refs { .. } | Request::Heap { .. } => (
            "the heap is not to be had through Delve: it has no walk of it, and memory comes 64 KiB a call",
            "run adit where the program runs, or have Delve write a core (dlv connect, then dump FILE) and open that",
        ),
        Request::Snapshot { .. } => (
            "no snapshot is taken through Delve",
            "dlv connect, then dump FILE writes a core on the server's side, which adit opens",
        ),
        Request::Timeline(_) | Request::Spans { .. } | Request::TimelineSummary | Request::TraceReport(_) => {
            ("a remote dlv has no timeline", "run adit where the program runs: adit PID")
        }
        Request::Record { .. }
        | Request::TimelineCode { .. }
        | Request::SetTrigger(_)
        | Request::ClearTrigger { .. } => {
            ("a remote dlv has no timeline, and no conditions on the run", "run adit where the program runs: adit PID")
        }
        Request::Profile(_) | Request::ProfileBase { .. } | Request::ProfileSources | Request::ProfileFetch { .. } => {
            ("a remote dlv has no profiles", "adit prof http://HOST:PORT fetches one")
        }
        Request::SetRegister { .. } => ("Delve's server cannot write registers", "set variables instead (:set x = 1)"),
        Request::SetMemory { .. } => ("Delve's server cannot write memory", "set variables instead (:set x = 1)"),
        Request::Input(_) | Request::Redirect(_) => {
            ("the program's input and output are at the terminal of Delve's server", "type there")
        }
        Request::Values { .. } | Request::Code { .. } => {
            ("editors are not served over a remote dlv by adit", "let the editor attach to Delve itself")
        }
        _ => ("Delve has nothing that does this", "run adit where the program runs: adit PID"),
    };
    Failure::new(FailureKind::Unavailable, what).fix(fix)
}
