//! Memory of a live process: `process_vm_readv` in batches, `/proc/PID/mem` for text writes and as the way round.

use super::sys;
use crate::base::{LoadAddr, Memory, MemoryError, ReadOp};
use crate::target::TargetError;
use std::{fs::File, io, os::unix::fs::FileExt};

/// Ranges that one `process_vm_readv` takes. IOV_MAX is 1,024; a kernel without preemption gives the processor back only after each call, and a quarter
/// of that costs a list of 100,000 goroutines less than a hundredth more.
const BATCH: usize = 256;

/// A process's memory. Reading stops nothing and needs no ptrace attachment.
pub struct ProcessMemory {
    pid: i32,
    /// `/proc/PID/mem`; opened for writing where permitted.
    mem: File,
}

impl ProcessMemory {
    /// Opens it. Permission is that of ptrace (PTRACE_MODE_ATTACH).
    pub fn open(pid: i32) -> Result<ProcessMemory, TargetError> {
        let path = format!("/proc/{pid}/mem");
        let mem = File::options().read(true).write(true).open(&path).or_else(|_| File::open(&path));
        mem.map(|mem| ProcessMemory { pid, mem }).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => TargetError::NoProcess(pid),
            io::ErrorKind::PermissionDenied => {
                TargetError::Denied { pid, what: "read", why: super::doctor::why_denied(pid) }
            }
            _ => TargetError::os(format!("open {path}"), e),
        })
    }

    /// Writes, text included (the kernel makes a private copy of the page).
    pub fn write(&self, addr: LoadAddr, bytes: &[u8]) -> Result<(), MemoryError> {
        self.mem.write_all_at(bytes, addr.0).map_err(|e| to_memory_error(&e, addr, bytes.len()))
    }
}

fn to_memory_error(e: &io::Error, addr: LoadAddr, len: usize) -> MemoryError {
    match e.raw_os_error() {
        Some(libc::ESRCH) => MemoryError::Gone,
        Some(libc::EPERM) => MemoryError::Denied(e.to_string()),
        _ => MemoryError::Unreadable { addr, len },
    }
}

impl Memory for ProcessMemory {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        let len = buf.len();
        if len == 0 {
            return Ok(());
        }
        match sys::read_ranges(self.pid, &mut [(addr.0, buf)]) {
            Ok(n) if n == len => Ok(()),
            Ok(_) => Err(MemoryError::Unreadable { addr, len }),
            // Some containers forbid process_vm_readv and allow /proc/PID/mem.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                self.mem.read_exact_at(buf, addr.0).map_err(|e| to_memory_error(&e, addr, len))
            }
            Err(e) => Err(to_memory_error(&e, addr, len)),
        }
    }

    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        let mut at = 0;
        while at < ops.len() {
            let end = (at + BATCH).min(ops.len());
            let mut ranges: Vec<(u64, &mut [u8])> = ops[at..end].iter_mut().map(|o| (o.addr.0, &mut *o.buf)).collect();
            let lens: smallvec::SmallVec<[usize; 64]> = ranges.iter().map(|r| r.1.len()).collect();
            let mut got = match sys::read_ranges(self.pid, &mut ranges) {
                Ok(n) => n,
                Err(e) if e.raw_os_error() == Some(libc::EFAULT) => 0,
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    for op in &mut ops[at..] {
                        op.ok = self.read(op.addr, op.buf).is_ok();
                    }
                    return Ok(());
                }
                Err(e) => return Err(to_memory_error(&e, ops[at].addr, lens[0])),
            };
            let mut done = 0;
            for (op, len) in ops[at..end].iter_mut().zip(&lens) {
                op.ok = got >= *len;
                done += 1;
                if !op.ok {
                    break; // the kernel stopped here; go on behind it
                }
                got -= len;
            }
            at += done;
        }
        Ok(())
    }
}
