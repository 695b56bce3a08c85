//! A running Go program whose memory is read through `/proc/PID/mem`.

use adit::base::{LoadAddr, LoadBias, Memory, MemoryError, ReadOp, mmap::FileBytes};
use adit::symbols::Symbols;
use nix::unistd::Pid;
use std::fs::File;
use std::io::IoSliceMut;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Memory of a process.
pub struct ProcMem(File, i32);

impl Memory for ProcMem {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        self.0.read_exact_at(buf, addr.0).map_err(|_| MemoryError::Unreadable { addr, len: buf.len() })
    }
    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        use nix::sys::uio::{RemoteIoVec, process_vm_readv};
        let mut at = 0;
        while at < ops.len() {
            let end = (at + 512).min(ops.len());
            let remote: Vec<RemoteIoVec> =
                ops[at..end].iter().map(|o| RemoteIoVec { base: o.addr.0 as usize, len: o.buf.len() }).collect();
            let mut local: Vec<IoSliceMut<'_>> = ops[at..end].iter_mut().map(|o| IoSliceMut::new(o.buf)).collect();
            let mut got = process_vm_readv(Pid::from_raw(self.1), &mut local, &remote).unwrap_or(0);
            let mut done = 0;
            for o in &mut ops[at..end] {
                o.ok = got >= o.buf.len();
                if !o.ok {
                    break;
                }
                got -= o.buf.len();
                done += 1;
            }
            at += done;
            if at < end {
                ops[at].ok = self.read(ops[at].addr, ops[at].buf).is_ok();
                at += 1;
            }
        }
        Ok(())
    }
}

/// A child process that is killed with its owner.
pub struct Live {
    pub child: Option<Child>,
    pub mem: ProcMem,
    pub symbols: Arc<Symbols>,
    pub bias: LoadBias,
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a program and waits until it says `ready`.
pub fn start(exe: &Path, args: &[&str], env: &[(&str, &str)]) -> Live {
    let mut child =
        Command::new(exe).args(args).envs(env.iter().copied()).stdout(Stdio::piped()).spawn().expect("the program");
    let mut out = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    while line.split_whitespace().next() != Some("ready") {
        line.clear();
        assert!(out.read_line(&mut line).expect("a line") > 0, "the program ended");
    }
    std::mem::forget(out); // keep the pipe open
    let mut p = attach(child.id(), exe);
    p.child = Some(child);
    p
}

/// Reads a process that runs already.
pub fn attach(pid: u32, exe: &Path) -> Live {
    let symbols = Symbols::load(FileBytes::open(exe).expect("the file")).expect("symbols");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let name = exe.to_string_lossy();
    let first = maps.lines().find(|l| l.ends_with(&*name)).expect("a mapping");
    let base = u64::from_str_radix(first.split('-').next().expect("an address"), 16).expect("hex");
    let bias = if symbols.image().is_pie() { LoadBias(base - symbols.image().lowest_addr().0) } else { LoadBias(0) };
    let mem = ProcMem(File::open(format!("/proc/{pid}/mem")).expect("mem"), pid as i32);
    Live { child: None, mem, symbols: Arc::new(symbols), bias }
}
