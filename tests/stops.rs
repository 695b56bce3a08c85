//! Threads of a busy program, stopped at random places: every one of them must unwind to the end.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::arch::Registers;
use adit::goruntime::{GoRuntime, ListOptions, StackStart};
use adit::model::GoroutineState;
use goprog::live::start;
use goprog::{DEBUG, build};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Threads under our control; ends the process and collects them, else nobody can wait for it.
struct Seized(i32, Vec<i32>);

impl Drop for Seized {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(Pid::from_raw(self.0), nix::sys::signal::Signal::SIGKILL);
        for t in self.1.iter().filter(|t| **t != self.0) {
            while let Ok(s) = waitpid(Pid::from_raw(*t), Some(WaitPidFlag::__WALL)) {
                if matches!(s, WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {
                    break;
                }
            }
        }
    }
}

/// Seizes and stops every thread; those that begin meanwhile are found by looking again.
fn stop_all(pid: i32, seized: &mut Vec<i32>) -> HashMap<i32, Registers> {
    let mut out = HashMap::new();
    loop {
        let tids: Vec<i32> = std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse().ok())
            .filter(|t| !out.contains_key(t))
            .collect();
        if tids.is_empty() {
            return out;
        }
        for t in tids {
            if !seized.contains(&t) {
                if ptrace::seize(Pid::from_raw(t), ptrace::Options::empty()).is_err() {
                    continue;
                }
                seized.push(t);
            }
            ptrace::interrupt(Pid::from_raw(t)).unwrap();
            loop {
                match waitpid(Pid::from_raw(t), Some(WaitPidFlag::__WALL)).unwrap() {
                    WaitStatus::PtraceEvent(..) => break,
                    // A signal came first; hand it on and wait for our stop.
                    WaitStatus::Stopped(_, sig) => ptrace::cont(Pid::from_raw(t), sig).unwrap(),
                    s => panic!("{s:?}"),
                }
            }
            let r = ptrace::getregs(Pid::from_raw(t)).unwrap();
            out.insert(
                t,
                Registers {
                    gp: [
                        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
                        r.r14, r.r15, r.rip,
                    ],
                    flags: r.eflags,
                    fs_base: r.fs_base,
                    xmm: None,
                },
            );
        }
    }
}

fn check(tool: &str, flags: &[&str], rounds: usize) {
    let p = start(&build("busy", tool, flags), &[], &[]);
    let pid = p.child.as_ref().unwrap().id() as i32;
    let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
    let mut seized = Seized(pid, Vec::new());
    let mut tops: BTreeMap<String, usize> = BTreeMap::new();
    let mut bad = Vec::new();
    let (mut system, mut running) = (0, 0);
    for _ in 0..rounds {
        let threads = stop_all(pid, &mut seized.1);
        for (tid, regs) in &threads {
            let s = rt.stack(&p.mem, StackStart::Registers(regs), 2000, true).unwrap().stack;
            let last = s.frames.last().map_or("", |f| f.at.function.as_str()).to_string();
            let first = s.frames.first().map_or("", |f| f.at.function.as_str());
            system += usize::from(s.frames.first().is_some_and(|f| f.system_stack));
            // A thread that is being made or ended has no goroutine; one in mcall has just let go of its own.
            let good = matches!(
                last.as_str(),
                "runtime.goexit"
                    | "runtime.mstart"
                    | "runtime.rt0_go"
                    | "runtime.mcall"
                    | "runtime.clone"
                    | "runtime.gogo"
                    | "gogo" // its second half, a static symbol: between two stacks
                    | "runtime.sigreturn__sigaction"
                    | "runtime.morestack"
                    | "runtime.systemstack" // it switches: the stack pointer is the system stack's already, with nothing on it
            ) && s.problems.is_empty();
            if !good {
                let frames: Vec<_> = s.frames.iter().map(|f| format!("{} {}", f.at.pc, f.at.function)).collect();
                bad.push(format!("{tid} pc {:#x} {:?} {frames:?}", regs.pc(), s.problems));
            }
            *tops.entry(format!("{first} … {last}")).or_default() += 1;
        }
        let l = rt.list(&p.mem, &threads, 0, ListOptions { stopped: true }).unwrap();
        for g in (0..l.len()).filter_map(|i| l.row(i)).filter(|g| g.state == GoroutineState::Running) {
            running += 1;
            assert!(!g.at.function.is_empty() && g.thread.is_some(), "{g:?}");
        }
        for t in threads.keys() {
            ptrace::cont(Pid::from_raw(*t), None).unwrap();
        }
        std::thread::sleep(Duration::from_micros(700));
    }
    assert!(bad.is_empty(), "{tool} {flags:?}: {} bad\n{}", bad.len(), bad[..bad.len().min(10)].join("\n"));
    assert!(running > 0 && system > 0);
    if std::env::var("ADIT_SHOW").is_ok() {
        println!("{tops:#?}");
    }
}

#[test]
fn busy_threads_unwind() {
    check("", &[], 60);
    check("", DEBUG, 30);
}

/// A panic that was recovered: until the goroutine goes on, what is saved of it is the place of a call, not where one returns to.
#[test]
fn a_recovered_goroutine_goes_on_at_its_deferreturn() {
    for tool in ["", "go1.22.10", "go1.24.11", "go1.27.3"] {
        let p = start(&build("busy", tool, &[]), &[], &[]);
        let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
        let s = &p.symbols;
        let f = s.find_function("main.panics.func1").unwrap();
        let at = s.function_flags(f).deferreturn.expect("it defers");
        let frame = s.sp_delta_in(f, at).and_then(|d| u32::try_from(d).ok());
        assert!(frame > Some(0), "{tool}: {frame:?}");
        // Right before it is a RET, or the test would test nothing.
        assert_eq!(s.sp_delta_in(f, at.offset(-1)), Some(0), "{tool}");
        let seen = rt.pcs().get(p.bias.to_load(at), false).unwrap();
        assert_eq!(seen.delta, frame, "{tool}");
    }
}

#[test]
fn busy_threads_of_other_releases() {
    for tool in ["go1.21.13", "go1.22.10", "go1.24.11", "go1.25.5", "go1.27.3"] {
        check(tool, &["-ldflags=-s -w"], 20);
    }
}

#[test]
fn c_code_between() {
    if std::process::Command::new("gcc").arg("--version").output().is_err() {
        return; // cgo needs a C compiler
    }
    for tool in ["go1.21.13", "go1.22.10", "go1.25.5", ""] {
        let p = start(&build("cgo", tool, &[]), &[], &[]);
        let pid = p.child.as_ref().unwrap().id() as i32;
        let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
        let mut seized = Seized(pid, Vec::new());
        let threads = stop_all(pid, &mut seized.1);
        let names = |s: &adit::model::Stack| s.frames.iter().map(|f| f.at.function.clone()).collect::<Vec<_>>();
        let stacks: Vec<Vec<String>> = threads
            .values()
            .map(|r| names(&rt.stack(&p.mem, StackStart::Registers(r), 200, false).unwrap().stack))
            .collect();
        let nap = stacks.iter().find(|s| s.iter().any(|f| f == "main.napper"));
        let nap = nap.unwrap_or_else(|| panic!("{tool}: {stacks:#?}"));
        assert_eq!(nap.last().unwrap(), "runtime.goexit", "{tool} {nap:?}");
        let l = rt.list(&p.mem, &threads, 0, ListOptions { stopped: true }).unwrap();
        let g = (0..l.len()).filter_map(|i| l.row(i)).find(|g| g.user.function == "main.wait").unwrap();
        let s = names(&rt.stack(&p.mem, StackStart::Parked(g.g), 200, false).unwrap().stack);
        for f in ["main.goCallback", "runtime.cgocallback", "main.back", "runtime.goexit"] {
            assert!(s.iter().any(|x| x == f), "{tool}: no {f} in {s:?}");
        }
    }
}
