//! A scripted host: a small shop, stopped in `main.(*Cart).Total`, with 100,000 goroutines made on demand by index.

mod samples;
mod times;
mod trouble;

use adit::backend::protocol::*;
use adit::backend::replay::not_in_script;
use adit::base::*;
use adit::model::*;
use std::sync::Arc;

/// The program's source.
pub const CART: &str = include_str!("cart.go");
/// Where the host says it is.
pub const FILE: &str = "/src/shop/cart.go";
/// Goroutines that there are.
pub const MANY: u64 = 100_000;

fn loc(function: &str, file: &str, line: u32) -> Arc<Location> {
    let pc = LoadAddr(0x4a_0000 + u64::from(line) * 16);
    Arc::new(Location { function: function.into(), file: file.into(), line, pc })
}

/// The shop.
pub struct Shop {
    /// Control mode, or observe.
    pub control: bool,
    /// Lines stepped so far.
    steps: u32,
    epoch: u64,
    breakpoints: Vec<Breakpoint>,
    next_id: i32,
    /// Nothing is wrong.
    pub healthy: bool,
    /// Another leak in each look.
    pub growing: bool,
    /// Findings, waits and heap fail with this.
    pub broken: Option<&'static str>,
    /// The process has ended.
    pub gone: bool,
    /// What it can do, if not everything.
    pub limit: Option<fn(&mut Caps)>,
    /// A file, not a process.
    pub kind: TargetKind,
    looks: u64,
    samples: adit::backend::profile::ProfileDesk,
    /// Everything asked for.
    pub asked: Arc<std::sync::Mutex<Vec<Request>>>,
}

impl Shop {
    /// Stopped at breakpoint 2 in control mode; running in observe mode.
    pub fn new(control: bool) -> Shop {
        let mut s = Shop {
            control,
            steps: 0,
            epoch: 1,
            breakpoints: Vec::new(),
            next_id: 4,
            healthy: false,
            growing: false,
            broken: None,
            gone: false,
            limit: None,
            kind: TargetKind::Process,
            looks: 0,
            samples: samples::desk(false),
            asked: Arc::default(),
        };
        if control {
            let mut b = |id, at: Arc<Location>, hits, condition: &str, enabled| {
                let mut spec = BreakpointSpec::at(&format!("{}:{}", at.file, at.line));
                spec.condition = condition.into();
                spec.enabled = enabled;
                let problem = String::new();
                s.breakpoints.push(Breakpoint {
                    id: BreakpointId(id),
                    spec,
                    at: vec![at],
                    hits,
                    reached: hits,
                    cost_ns: 0,
                    calls: Default::default(),
                    mechanism: adit::model::Mechanism::Int3,
                    problem,
                });
            };
            b(1, loc("main.(*Cart).Total", FILE, 47), 1, "", false);
            b(2, loc("main.(*Cart).Total", FILE, 48), 3, "", true);
            b(3, loc("main.(*API).checkout", "/src/shop/api.go", 88), 91, "len(items) > 3", true);
        }
        s
    }

    fn caps(&self, mut caps: Caps) -> Caps {
        if let Some(limit) = self.limit {
            limit(&mut caps);
        }
        caps
    }

    fn line(&self) -> u32 {
        [48, 49, 52, 47, 48][self.steps as usize % 5]
    }

    fn stop(&self) -> Stop {
        Stop {
            epoch: StopEpoch(self.epoch),
            reason: if self.steps == 0 { StopReason::Breakpoint(BreakpointId(2)) } else { StopReason::StepDone },
            goroutine: Some(GoroutineId(19)),
            thread: Tid(93),
            at: loc("main.(*Cart).Total", FILE, self.line()),
            returned: Vec::new(),
            stop_us: 180,
            copied: false,
        }
    }

    fn stack(&self, g: u64) -> Stack {
        let mut frames: Vec<Frame> = Vec::new();
        let mut add = |at: Arc<Location>, hidden, defers: &[(&str, Arc<Location>)]| {
            let index = frames.len() as u32;
            let defers = defers
                .iter()
                .map(|(f, at)| Defer {
                    function: f.to_string(),
                    at: at.clone(),
                    statement: Some(at.clone()),
                    frame: index,
                    receiver: f.ends_with("Unlock").then_some(LoadAddr(0x00c0_0011_e000)),
                    open_coded: !f.ends_with("func1"),
                    recovers: f.ends_with("func1"),
                    captures: match *f {
                        "main.(*Span).End" => vec![("s".into(), "0xc000098200".into()), ("err".into(), "nil".into())],
                        _ => Vec::new(),
                    },
                    ..Defer::default()
                })
                .collect();
            frames.push(Frame { index, at, hidden, defers, cfa: LoadAddr(0xc000_0100), ..Frame::default() });
        };
        if g == 19 {
            let api = "/src/shop/api.go";
            let http = "/usr/local/go/src/net/http/server.go";
            add(
                loc("main.(*Cart).Total", FILE, self.line()),
                false,
                &[("sync.(*Mutex).Unlock", loc("main.(*Cart).Total", FILE, 44))],
            );
            add(
                loc("main.(*API).checkout", api, 102),
                false,
                &[("main.(*Span).End", loc("", api, 97)), ("main.(*API).checkout.func1", loc("", api, 95))],
            );
            add(loc("net/http.HandlerFunc.ServeHTTP", http, 2294), false, &[]);
            add(loc("net/http.serverHandler.ServeHTTP", http, 3301), false, &[]);
            add(loc("net/http.(*conn).serve", http, 2102), false, &[]);
            add(loc("runtime.goexit", "/usr/local/go/src/runtime/asm_amd64.s", 1700), true, &[]);
        } else {
            let park = "/usr/local/go/src/runtime/proc.go";
            add(loc("runtime.gopark", park, 462), true, &[]);
            add(loc("runtime.chanrecv", "/usr/local/go/src/runtime/chan.go", 667), true, &[]);
            let at = kind(g).0;
            add(loc(at.0, at.1, at.2), false, &[]);
        }
        let at = loc("main.main", FILE, 57);
        let created_by = Some(CreatedBy { at, goroutine: GoroutineId(1) });
        Stack { goroutine: GoroutineId(g), frames, created_by, ..Stack::default() }
    }

    fn vars(&self) -> Vec<Variable> {
        let v = |name: &str, ty: &str, kind, value: &str, children, handle| Variable {
            name: name.into(),
            expression: name.into(),
            type_name: ty.into(),
            kind,
            value: value.into(),
            addr: LoadAddr(0x00c0_0011_e000),
            children,
            handle,
            ..Variable::default()
        };
        let sum = 4200 + 2100 * i64::from(self.steps);
        let cart = "*main.Cart {mu: sync.Mutex {state: 1, sema: 0}, items: []main.Item len: 4, cap: 4, […]}";
        let mut p = v("p", "int64", VarKind::Int, "<optimised out at 0x4a02f0>", 0, 0);
        p.unavailable = Some(Unavailable::OptimisedOut { pc: LoadAddr(0x4a02f0), why: String::new() });
        vec![
            v("c", "*main.Cart", VarKind::Pointer, cart, 1, 1),
            v("ctx", "context.Context", VarKind::Interface, "context.Context(*context.timerCtx) *{deadline: …}", 1, 2),
            v("it", "main.Item", VarKind::Struct, "main.Item {SKU: \"A-17\", Qty: 2}", 2, 3),
            v("sum", "int64", VarKind::Int, &sum.to_string(), 0, 0),
            p,
            v("err", "error", VarKind::Interface, "error nil", 0, 0),
            v("hist", "[]int", VarKind::Slice, "[]int len: 200, cap: 256, [0,1,2,3,4,5,6,7,…]", 200, 5),
        ]
    }

    fn children(&self, handle: u64, start: u64, count: u64) -> Vec<Variable> {
        let v = |name: &str, ty: &str, value: &str, children, handle| Variable {
            name: name.into(),
            type_name: ty.into(),
            value: value.into(),
            children,
            handle,
            ..Variable::default()
        };
        match handle {
            1 => vec![v("", "main.Cart", "main.Cart {mu: sync.Mutex {state: 1, sema: 0}, items: […]}", 3, 4)],
            3 => vec![v("SKU", "string", "\"A-17\"", 0, 0), v("Qty", "int", "2", 0, 0)],
            4 => vec![
                v("mu", "sync.Mutex", "sync.Mutex {state: 1, sema: 0}", 2, 6),
                v("items", "[]main.Item", "[]main.Item len: 4, cap: 4, […]", 4, 7),
                v("rates", "map[string]int64", "map[string]int64 [\"A-17\": 2100]", 1, 8),
            ],
            5 => (start..(start + count).min(200)).map(|i| v(&format!("[{i}]"), "int", &i.to_string(), 0, 0)).collect(),
            _ => Vec::new(),
        }
    }

    /// One request.
    pub fn answer(&mut self, request: &Request) -> (Result<Reply, Failure>, Vec<Notice>) {
        if let Ok(mut a) = self.asked.lock() {
            a.push(request.clone());
        }
        let epoch = StopEpoch(self.epoch);
        let mode = if self.control { ReadMode::Stopped } else { ReadMode::Observed };
        let read = ReadInfo { mode, pause_us: 0, retries: 0, took_us: 38_000, taken_at: 0 };
        let mut notices = Vec::new();
        // A profile that was fetched is the host's own.
        if self.gone && !matches!(request, Request::Profile(_)) {
            return (Err(Failure::new(FailureKind::Gone, "the target process is gone")), notices);
        }
        let reply = match request {
            Request::Hello { .. } => Reply::Hello { version: PROTOCOL_VERSION, adit: "test".into() },
            Request::Open(_) => {
                notices.push(Notice::Output(
                    b"listening on \x1b[32m127.0.0.1:8080\x1b[0m\r\norder 17: 2 items\r\n".to_vec(),
                ));
                notices
                    .push(Notice::Log { level: LogLevel::Info, text: "symbols read in 41 ms before any stop".into() });
                Reply::Opened {
                    target: Arc::new(TargetInfo {
                        kind: self.kind,
                        pid: (self.kind == TargetKind::Process).then_some(77),
                        exe: "/src/shop/shop".into(),
                        go: "go1.26.6".into(),
                        arch: "amd64".into(),
                        launched: self.control,
                        main_package: "example.com/shop".into(),
                        ..TargetInfo::default()
                    }),
                    caps: self.caps(Caps {
                        observe: true,
                        control: self.control,
                        variables: true,
                        set: self.control,
                        restart: self.control,
                        rebuild: self.control,
                        output: self.control,
                        memory: true,
                        snapshot: !self.control,
                        profiles: true,
                    }),
                    stop: self.control.then(|| self.stop()),
                }
            }
            Request::Diagnose(_)
            | Request::Waits(_)
            | Request::Heap { .. }
            | Request::Refs { .. }
            | Request::Snapshot { .. }
                if self.broken.is_some() =>
            {
                return (Err(Failure::new(FailureKind::Unavailable, self.broken.unwrap_or(""))), notices);
            }
            Request::Diagnose(q) => {
                self.looks += u64::from(self.growing);
                let diagnosis = if self.healthy { trouble::nothing(q) } else { trouble::diagnosis(q, self.looks) };
                Reply::Diagnosis { epoch, read, diagnosis: Box::new(diagnosis) }
            }
            Request::Waits(_) if self.healthy => Reply::Waits { epoch, read, graph: Box::default() },
            Request::Waits(q) => Reply::Waits { epoch, read, graph: Box::new(trouble::graph(q)) },
            Request::Heap { by, .. } => Reply::Heap { epoch, read, heap: Box::new(trouble::heap(*by)) },
            Request::Refs { object, .. } => Reply::Refs { epoch, references: Box::new(trouble::references(object)) },
            Request::Profile(q) => match self.samples.answer(q) {
                Ok(v) => Reply::Profile(Box::new(v)),
                Err(f) => return (Err(f), notices),
            },
            Request::ProfileBase { base } => {
                self.samples = samples::desk(!base.is_empty());
                Reply::Done
            }
            Request::ProfileSources => samples::sources(self.healthy),
            Request::ProfileFetch { .. } => Reply::Done,
            Request::FindMark(q) => Reply::Found(times::find(q)),
            Request::Timeline(q) => Reply::Timeline(Box::new(times::view(q))),
            Request::Spans { lane, from_ns, .. } => Reply::Spans(times::spans(*lane, *from_ns)),
            Request::Snapshot { file } => {
                self.epoch += 1;
                let file_bytes = if file.is_some() { 12 << 20 } else { 0 };
                Reply::Snapshot { epoch: StopEpoch(self.epoch), pause_us: 38_000, bytes: 61 << 20, file_bytes }
            }
            Request::GoroutinesById { ids } => {
                let rows: Vec<Goroutine> = ids.iter().map(|g| goroutine(g.0)).collect();
                Reply::Goroutines { epoch, read, total: rows.len() as u64, rows }
            }
            Request::Breakpoints => Reply::Breakpoints(self.breakpoints.clone()),
            Request::Stack { goroutine, .. } => {
                Reply::Stack { epoch, stack: self.stack(goroutine.map_or(19, |g| g.0)) }
            }
            Request::Scope { .. } => {
                let variables = self.vars();
                Reply::Variables { epoch, total: variables.len() as u64, variables }
            }
            Request::Children { handle, start, count, .. } => {
                let variables = self.children(*handle, *start, *count);
                Reply::Variables { epoch, total: variables.len() as u64, variables }
            }
            Request::Source { file } if file == FILE => Reply::Source { file: file.clone(), text: CART.into() },
            Request::Source { file } if file == "/src/shop/audit.go" => {
                Reply::Source { file: file.clone(), text: include_str!("audit.go").into() }
            }
            Request::Goroutines(q) => {
                let (total, rows) = rows(q.start, q.count, &q.filter);
                Reply::Goroutines { epoch, read, total, rows }
            }
            Request::GroupMembers { key, start, count, .. } => {
                let n = 1_000 + *key;
                let ids = *start..(*start + *count).min(n);
                let rows = ids.map(|i| goroutine(20 + i * 9 + key)).collect();
                Reply::Goroutines { epoch, read, total: n, rows }
            }
            Request::Groups(q) => {
                let all: Vec<GoroutineGroup> = (0..9u64)
                    .filter_map(|k| {
                        let g = if k == 8 { goroutine(19) } else { goroutine(27 + k) };
                        let text = format!("{} {:?} {}", g.user.function, g.wait_reason, g.state.name()).to_lowercase();
                        (text.contains(&q.filter.text) != q.filter.inverse).then(|| GoroutineGroup {
                            key: k,
                            label: String::new(),
                            count: if k == 8 { 1 } else { MANY >> (k + 1) },
                            wait_ns: (g.wait_ns.is_some())
                                .then_some((k * 1_000_000_000, 3_000_000 + k * 400_000_000_000)),
                            ids: vec![g.id],
                            sample: g,
                        })
                    })
                    .collect();
                let mut all = all;
                all.sort_by_key(|g| std::cmp::Reverse(g.count));
                let total = all.len() as u64;
                let groups = all.into_iter().skip(q.start as usize).take(q.count as usize).collect();
                Reply::Groups { epoch, read, goroutines: MANY, hidden_system: 14, total, groups }
            }
            Request::Eval { expression, .. } if expression == "sum" => Reply::Value {
                epoch,
                value: Box::new(self.vars().into_iter().find(|v| v.name == "sum").unwrap_or_default()),
            },
            Request::Disassemble { .. } => {
                let code = [
                    (47, "MOVQ 0x58(SP), CX"),
                    (48, "MOVQ 0x20(CX), AX"),
                    (48, "MOVQ 0x28(CX), BX"),
                    (48, "CALL main.(*Cart).price(SB)"),
                    (48, "MOVQ AX, 0x40(SP)"),
                    (49, "TESTQ BX, BX"),
                    (49, "JNE 0x4a0360"),
                ];
                let instructions = code.iter().enumerate().map(|(i, (line, text))| Instruction {
                    pc: LoadAddr(0x4a02f0 + i as u64 * 5),
                    bytes: vec![0x48, 0x8b, 0x44, 0x24, i as u8],
                    text: text.to_string(),
                    line: *line,
                    current: i == 1,
                    breakpoint: i == 1,
                });
                Reply::Instructions { function: "main.(*Cart).Total".into(), instructions: instructions.collect() }
            }
            Request::Symbols { filter, .. } => {
                let names: Vec<String> = ["main.(*Cart).Add", "main.(*Cart).Total", "main.(*Cart).price", "main.main"]
                    .iter()
                    .filter(|n| n.to_lowercase().contains(&filter.to_lowercase()))
                    .map(|n| n.to_string())
                    .collect();
                Reply::Symbols { total: names.len() as u64, names }
            }
            Request::SetBreakpoint { spec, .. } => {
                let at = spec.place.text();
                let line = at.rsplit(':').next().and_then(|l| l.parse().ok()).unwrap_or(43);
                let b = Breakpoint {
                    id: BreakpointId(self.next_id),
                    spec: spec.clone(),
                    at: vec![loc("main.(*Cart).Total", FILE, line)],
                    hits: 0,
                    reached: 0,
                    cost_ns: 0,
                    calls: Default::default(),
                    mechanism: adit::model::Mechanism::Int3,
                    problem: String::new(),
                };
                self.next_id += 1;
                self.breakpoints.push(b.clone());
                Reply::Breakpoint(Box::new(b))
            }
            Request::EditBreakpoint { id, spec } => match self.breakpoints.iter_mut().find(|b| b.id == *id) {
                Some(b) => {
                    b.spec = spec.clone();
                    Reply::Breakpoint(Box::new(b.clone()))
                }
                None => return (Err(Failure::new(FailureKind::BadRequest, "no such breakpoint")), notices),
            },
            Request::ClearBreakpoint(id) => {
                self.breakpoints.retain(|b| b.id != *id);
                Reply::Done
            }
            Request::Resume { kind, .. } => {
                self.epoch += 1;
                notices.push(Notice::Resumed { epoch: StopEpoch(self.epoch) });
                if *kind != ResumeKind::Continue {
                    self.steps += 1;
                    self.epoch += 1;
                    notices.push(Notice::Stopped(Box::new(self.stop())));
                }
                Reply::Done
            }
            Request::Pause => {
                self.epoch += 1;
                notices.push(Notice::Stopped(Box::new(Stop { reason: StopReason::Paused, ..self.stop() })));
                Reply::Done
            }
            Request::Refresh => {
                self.epoch += 1;
                Reply::Done
            }
            Request::Detach { .. } => {
                notices.push(Notice::Detached { reason: "as asked".into() });
                Reply::Done
            }
            Request::ResizePty { .. } | Request::Input(_) | Request::CancelStep => Reply::Done,
            other => return (not_in_script(other), notices),
        };
        (Ok(reply), notices)
    }
}

type At = (&'static str, &'static str, u32);

/// What a goroutine does, by its number.
fn kind(id: u64) -> (At, GoroutineState, Option<&'static str>, At) {
    use GoroutineState::*;
    let serve = ("net/http.(*Server).Serve", "/usr/local/go/src/net/http/server.go", 3454);
    let main = ("main.main", FILE, 57);
    let net = "/usr/local/go/src/net/net.go";
    match id {
        88 => return (("main.(*Store).Get", "/src/shop/store.go", 118), Waiting, Some("sync.Mutex.Lock"), serve),
        4127 => return (("main.(*Cache).Evict", "/src/shop/cache.go", 66), Waiting, Some("sync.Mutex.Lock"), main),
        201 => return (("main.(*Repo).Load", FILE, 71), Waiting, Some("IO wait"), serve),
        _ => {}
    }
    if id == 19 {
        return (("main.(*Cart).Total", FILE, 48), Running, None, serve);
    }
    match id % 9 {
        1 => (("main.(*Audit).Record.func1", "/src/shop/audit.go", 41), Waiting, Some("chan send"), main),
        2 => (("net.(*conn).Read", net, 196), Waiting, Some("IO wait"), serve),
        3 => (("main.(*Cart).Add", FILE, 24), Waiting, Some("sync.Mutex.Lock"), serve),
        4 => (("main.(*Bus).pump", "/src/shop/bus.go", 31), Waiting, Some("chan receive"), main),
        5 => (("main.(*API).watch", "/src/shop/api.go", 210), Waiting, Some("select"), main),
        6 => (("time.Sleep", "/usr/local/go/src/runtime/time.go", 363), Waiting, Some("sleep"), main),
        7 => (("syscall.Syscall6", "/usr/local/go/src/syscall/syscall_linux.go", 91), Syscall, None, serve),
        8 => (("main.(*Worker).loop", "/src/shop/worker.go", 77), Runnable, None, main),
        _ => (("main.(*Queue).Pop", "/src/shop/queue.go", 33), Waiting, Some("sync.Cond.Wait"), main),
    }
}

/// One goroutine, from its number alone.
pub fn goroutine(id: u64) -> Goroutine {
    let (at, state, reason, by) = kind(id);
    let user = loc(at.0, at.1, at.2);
    Goroutine {
        id: GoroutineId(id),
        g: LoadAddr(0xc000_0000 + id * 0x200),
        state,
        wait_reason: reason.map(Arc::from),
        wait_ns: (state == GoroutineState::Waiting).then_some((id % 500) * 1_000_000_000),
        thread: (id == 19).then_some(Tid(93)),
        at: user.clone(),
        user,
        created_by: Some(CreatedBy { at: loc(by.0, by.1, by.2), goroutine: GoroutineId(1) }),
        waits_on: if reason == Some("chan receive") {
            vec![WaitOn {
                kind: WaitKind::Chan,
                op: WaitOp::Receive,
                addr: Some(LoadAddr(0x00c0_001a_2060)),
                type_name: Some("chan main.Event".into()),
                name: Some("main.orders".into()),
                buffer: Some((0, 8)),
                ..WaitOn::default()
            }]
        } else {
            Vec::new()
        },
        ..Goroutine::default()
    }
}

fn rows(start: u64, count: u64, filter: &GoroutineFilter) -> (u64, Vec<Goroutine>) {
    if filter.text.is_empty() {
        return (MANY, (start..(start + count).min(MANY)).map(|i| goroutine(i + 1)).collect());
    }
    let hit = |g: &Goroutine| g.user.function.to_lowercase().contains(&filter.text) != filter.inverse;
    let all: Vec<u64> = (1..=MANY).filter(|i| hit(&goroutine(*i))).collect();
    let page = all.iter().skip(start as usize).take(count as usize).map(|i| goroutine(*i)).collect();
    (all.len() as u64, page)
}
