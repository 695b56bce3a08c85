//! Linux: ptrace with PTRACE_SEIZE, /proc, process_vm_readv, ptys.

pub mod awake;
pub mod copy;
pub mod credentials;
pub mod debugreg;
pub mod detached;
pub mod doctor;
pub mod memory;
pub mod perf;
pub mod polite;
pub mod procfs;
pub mod schedstat;
pub mod spawn;
pub mod sys;
pub mod tracer;
pub mod uprobe;
pub mod wake;
