//! Raw system calls. One of the two files with `unsafe`: nix lacks real-time signals in wait statuses and in
//! PTRACE_CONT (Go and libc use signals 32 to 34), PEEKSIGINFO, and on musl the register sets.
#![allow(unsafe_code)]

use crate::arch::Registers;
use crate::base::Tid;
use std::{io, mem, os::fd::RawFd, ptr};

/// What `wait4` said of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// Nothing new.
    None,
    /// Exited with a status.
    Exited(i32),
    /// Killed by a signal.
    Signaled(i32),
    /// Signal-delivery-stop.
    Signal(i32),
    /// A PTRACE_EVENT stop: event number and the signal beside it (SIGTRAP, or the stop signal of a group-stop).
    Event(i32, i32),
}

fn check(r: libc::c_long) -> io::Result<libc::c_long> {
    if r == -1 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

type Req = libc::c_uint;

fn ptrace(req: Req, tid: Tid, addr: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: the requests used with this helper take plain integers in `addr` and `data`, or pointers that the
    // callers below make from live, correctly sized values.
    check(unsafe { libc::ptrace(req as _, tid.0, addr as *mut libc::c_void, data as *mut libc::c_void) })
}

/// PTRACE_SEIZE with options: attaches without stopping.
pub fn seize(tid: Tid, options: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE as Req, tid, 0, options as usize).map(drop)
}
/// PTRACE_SETOPTIONS.
pub fn set_options(tid: Tid, options: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS as Req, tid, 0, options as usize).map(drop)
}
/// PTRACE_INTERRUPT: asks a seized thread to stop.
pub fn interrupt(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT as Req, tid, 0, 0).map(drop)
}
/// PTRACE_CONT, injecting `signal` unless 0.
pub fn cont(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT as Req, tid, 0, signal as usize).map(drop)
}
/// PTRACE_SINGLESTEP, injecting `signal` unless 0.
pub fn single_step(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SINGLESTEP as Req, tid, 0, signal as usize).map(drop)
}
/// PTRACE_LISTEN: leaves a group-stopped thread stopped while it stays ours.
pub fn listen(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_LISTEN as Req, tid, 0, 0).map(drop)
}
/// PTRACE_DETACH, injecting `signal` unless 0.
pub fn detach(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH as Req, tid, 0, signal as usize).map(drop)
}
/// PTRACE_GETEVENTMSG: new thread or process id, or exit status.
pub fn event_message(tid: Tid) -> io::Result<u64> {
    let mut msg: libc::c_ulong = 0;
    ptrace(libc::PTRACE_GETEVENTMSG as Req, tid, 0, &raw mut msg as usize)?;
    Ok(msg)
}

/// `si_signo` and `si_code` of the current signal-delivery-stop.
pub fn signal_code(tid: Tid) -> io::Result<(i32, i32)> {
    // SAFETY: siginfo_t is plain data; all zeroes is a valid value.
    let mut si: libc::siginfo_t = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETSIGINFO as Req, tid, 0, &raw mut si as usize)?;
    Ok((si.si_signo, si.si_code))
}

/// Is a SIGTRAP queued for this thread, not yet reported? (PTRACE_PEEKSIGINFO on the thread's own queue.)
pub fn trap_pending(tid: Tid) -> io::Result<bool> {
    #[repr(C)]
    struct Args {
        off: u64,
        flags: u32,
        nr: i32,
    }
    const PEEKSIGINFO: Req = 0x4209;
    let args = Args { off: 0, flags: 0, nr: 16 };
    // SAFETY: siginfo_t is plain data; all zeroes is a valid value.
    let mut buf: [libc::siginfo_t; 16] = unsafe { mem::zeroed() };
    let n = ptrace(PEEKSIGINFO, tid, &raw const args as usize, buf.as_mut_ptr() as usize)?;
    Ok(buf.iter().take(n as usize).any(|s| s.si_signo == libc::SIGTRAP))
}

#[cfg(target_arch = "x86_64")]
fn from_user(r: &libc::user_regs_struct) -> Registers {
    Registers {
        gp: [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14,
            r.r15, r.rip,
        ],
        flags: r.eflags,
        fs_base: r.fs_base,
        xmm: None,
    }
}

#[cfg(target_arch = "x86_64")]
fn raw_registers(tid: Tid) -> io::Result<libc::user_regs_struct> {
    // SAFETY: user_regs_struct is plain data; all zeroes is a valid value.
    let mut r: libc::user_regs_struct = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS as Req, tid, 0, &raw mut r as usize)?;
    Ok(r)
}

/// General registers of a stopped thread.
#[cfg(target_arch = "x86_64")]
pub fn registers(tid: Tid) -> io::Result<Registers> {
    raw_registers(tid).map(|r| from_user(&r))
}

/// General and vector registers of a stopped thread.
#[cfg(target_arch = "x86_64")]
pub fn registers_with_vectors(tid: Tid) -> io::Result<Registers> {
    let mut regs = registers(tid)?;
    // SAFETY: user_fpregs_struct is plain data; all zeroes is a valid value.
    let mut fp: libc::user_fpregs_struct = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETFPREGS as Req, tid, 0, &raw mut fp as usize)?;
    let mut xmm = [0u128; 16];
    for (x, w) in xmm.iter_mut().zip(fp.xmm_space.chunks_exact(4)) {
        *x = w.iter().rev().fold(0, |a, v| a << 32 | u128::from(*v));
    }
    regs.xmm = Some(xmm);
    Ok(regs)
}

/// Writes the general registers and flags of a stopped thread; everything else keeps its value.
#[cfg(target_arch = "x86_64")]
pub fn set_registers(tid: Tid, regs: &Registers) -> io::Result<()> {
    let mut r = raw_registers(tid)?;
    let g = &regs.gp;
    (r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp) = (g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]);
    (r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip) =
        (g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15], g[16]);
    r.eflags = regs.flags;
    ptrace(libc::PTRACE_SETREGS as Req, tid, 0, &raw mut r as usize).map(drop)
}

/// Note type of the XSAVE area (linux/elf.h).
const NT_X86_XSTATE: usize = 0x202;

/// Offset of a debug register in the kernel's `struct user`, by which PEEKUSER and POKEUSER know it.
#[cfg(target_arch = "x86_64")]
fn debug_offset(register: usize) -> usize {
    mem::offset_of!(libc::user, u_debugreg) + 8 * register
}

/// A debug register (0 to 7) of a stopped thread.
#[cfg(target_arch = "x86_64")]
pub fn peek_debug(tid: Tid, register: usize) -> io::Result<u64> {
    let mut word: libc::c_ulong = 0;
    // SAFETY: the system call (unlike libc's function) stores the word at the address given, which is that of a live value.
    check(unsafe {
        libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKUSER, tid.0, debug_offset(register), &raw mut word)
    })?;
    Ok(word)
}

/// Writes a debug register (0 to 7) of a stopped thread.
#[cfg(target_arch = "x86_64")]
pub fn poke_debug(tid: Tid, register: usize, value: u64) -> io::Result<()> {
    ptrace(libc::PTRACE_POKEUSER as Req, tid, debug_offset(register), value as usize).map(drop)
}

/// The extended state (x87, SSE, AVX) of a stopped thread, as the kernel keeps it.
#[cfg(target_arch = "x86_64")]
pub fn extended_state(tid: Tid) -> io::Result<Vec<u8>> {
    let mut buf = vec![0u8; 16 << 10];
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    ptrace(libc::PTRACE_GETREGSET as Req, tid, NT_X86_XSTATE, &raw mut iov as usize)?;
    buf.truncate(iov.iov_len);
    Ok(buf)
}

/// Gives a stopped thread the extended state that [`extended_state`] brought.
#[cfg(target_arch = "x86_64")]
pub fn set_extended_state(tid: Tid, state: &mut [u8]) -> io::Result<()> {
    let mut iov = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
    ptrace(libc::PTRACE_SETREGSET as Req, tid, NT_X86_XSTATE, &raw mut iov as usize).map(drop)
}

/// Writes the low 64 bits of vector registers (number, value) of a stopped thread; the upper ones become 0.
#[cfg(target_arch = "x86_64")]
pub fn set_vectors(tid: Tid, values: &[(usize, u64)]) -> io::Result<()> {
    // SAFETY: user_fpregs_struct is plain data; all zeroes is a valid value.
    let mut fp: libc::user_fpregs_struct = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETFPREGS as Req, tid, 0, &raw mut fp as usize)?;
    for (n, v) in values {
        if let Some(words) = fp.xmm_space.get_mut(4 * n..4 * n + 4) {
            words.copy_from_slice(&[*v as u32, (*v >> 32) as u32, 0, 0]);
        }
    }
    ptrace(libc::PTRACE_SETFPREGS as Req, tid, 0, &raw mut fp as usize).map(drop)
}

/// `wait4` on one thread, of any kind of child. With `block`, waits for the next change.
pub fn wait(tid: Tid, block: bool) -> io::Result<WaitStatus> {
    let mut status = 0;
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: `status` outlives the call; no rusage is asked for.
        let r = unsafe { libc::wait4(tid.0, &raw mut status, flags, ptr::null_mut()) };
        if r == -1 {
            let e = io::Error::last_os_error();
            if e.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(e);
        }
        if r == 0 {
            return Ok(WaitStatus::None);
        }
        break;
    }
    Ok(if libc::WIFEXITED(status) {
        WaitStatus::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        WaitStatus::Signaled(libc::WTERMSIG(status))
    } else {
        let event = status >> 16;
        let sig = libc::WSTOPSIG(status);
        if event != 0 { WaitStatus::Event(event, sig) } else { WaitStatus::Signal(sig) }
    })
}

/// `process_vm_readv`: bytes read before the first unreadable range. At most 1024 ranges.
pub fn read_ranges(pid: i32, ops: &mut [(u64, &mut [u8])]) -> io::Result<usize> {
    let mut local: smallvec::SmallVec<[libc::iovec; 16]> = smallvec::SmallVec::with_capacity(ops.len());
    let mut remote: smallvec::SmallVec<[libc::iovec; 16]> = smallvec::SmallVec::with_capacity(ops.len());
    for (addr, buf) in ops.iter_mut() {
        local.push(libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() });
        remote.push(libc::iovec { iov_base: *addr as *mut libc::c_void, iov_len: buf.len() });
    }
    // SAFETY: each local iovec is a live exclusive slice; the remote ones are only addresses for the kernel to check.
    let n = unsafe {
        libc::process_vm_readv(
            pid,
            local.as_ptr(),
            local.len() as libc::c_ulong,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    check(n as libc::c_long).map(|n| n as usize)
}

/// In a child between fork and exec: a session of its own with fd 0 as controlling terminal if `ctty`, default signals, its
/// pid written to `pid_out`, then waits for one byte on `go`, so that the parent can seize it first.
pub fn child_setup(command: &mut std::process::Command, ctty: bool, go: RawFd, pid_out: RawFd) {
    use std::os::unix::process::CommandExt;
    // SAFETY: only async-signal-safe calls are made in the closure: setsid, ioctl, signal mask, write, read.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() == -1 {
                return Err(io::Error::last_os_error());
            }
            if ctty && libc::ioctl(0, libc::TIOCSCTTY as _, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            let mut none: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            for sig in [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGTSTP, libc::SIGTERM, libc::SIGQUIT] {
                libc::signal(sig, libc::SIG_DFL);
            }
            let pid = libc::getpid();
            if libc::write(pid_out, (&raw const pid).cast(), 4) != 4 {
                return Err(io::Error::last_os_error());
            }
            let mut b = 0u8;
            if libc::read(go, (&raw mut b).cast(), 1) != 1 {
                return Err(io::Error::from_raw_os_error(libc::ECANCELED));
            }
            Ok(())
        });
    }
}

/// A new session for the calling process; it must not be a group leader.
pub fn detach_from_session(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: setsid is async-signal-safe.
    unsafe {
        command.pre_exec(|| if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) });
    }
}

/// Sends a signal to one thread; -1 with errno on failure.
pub fn tgkill(pid: i32, tid: Tid, sig: i32) -> i32 {
    // SAFETY: plain integers.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, tid.0, sig) as i32 }
}

/// SIGKILL to a process.
pub fn kill_process(pid: i32) {
    // SAFETY: plain integers.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
    }
}

/// Ignores a signal in this process.
pub fn ignore_signal(sig: i32) {
    // SAFETY: SIG_IGN installs no handler code.
    unsafe {
        libc::signal(sig, libc::SIG_IGN);
    }
}

/// Gives the calling thread a niceness and a time slice (ns; the scheduler holds it between 0.1 and 100 ms) under
/// SCHED_OTHER. Linux reads the slice from 6.12 on, older kernels ignore it. With `own`, what the thread starts does not inherit them.
///
/// `Unsupported` for a thread under another policy: whoever started us with one (`chrt`) is not overruled.
pub fn set_schedule(niceness: i32, slice_ns: u64, own: bool) -> io::Result<()> {
    // SAFETY: plain integers; 0 is this thread. (The call, and not libc's function: musl's refuses.)
    let policy = check(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) })?;
    if policy != libc::c_long::from(libc::SCHED_OTHER) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let attr = libc::sched_attr {
        size: mem::size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: if own { libc::SCHED_FLAG_RESET_ON_FORK as u64 } else { 0 },
        sched_nice: niceness,
        sched_priority: 0,
        sched_runtime: slice_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: `attr` is a valid sched_attr of the size it states, for the duration of the call; 0 is this thread.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// Sets the size of a terminal.
pub fn set_window_size(fd: RawFd, cols: u16, rows: u16) -> io::Result<()> {
    let ws = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `ws` is a valid winsize for the duration of the call.
    check(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ as _, &raw const ws) }.into()).map(drop)
}

/// Opens a pseudo-terminal; both ends are closed on exec.
pub fn open_pty() -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    use std::os::fd::FromRawFd;
    let (mut master, mut slave) = (0, 0);
    // SAFETY: both out-pointers are valid; name, termios and size are left to defaults.
    check(
        unsafe { libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) }
            .into(),
    )?;
    for fd in [master, slave] {
        // SAFETY: the descriptor was just opened by us.
        check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    }
    // SAFETY: both descriptors were just opened and nobody else owns them.
    Ok(unsafe { (std::os::fd::OwnedFd::from_raw_fd(master), std::os::fd::OwnedFd::from_raw_fd(slave)) })
}

/// Real time for the calling thread: it goes before all others, where that is permitted (CAP_SYS_NICE). For a few microseconds of work.
pub fn set_real_time() -> io::Result<()> {
    set_policy(libc::SCHED_FIFO, 1)
}

/// The calling thread runs when nobody else wants to.
pub fn set_idle() -> io::Result<()> {
    set_policy(libc::SCHED_IDLE, 0)
}

fn set_policy(policy: i32, priority: i32) -> io::Result<()> {
    let p = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters live as long as the call. (The call, and not libc's function: musl's refuses.)
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const p) }).map(drop)
}

/// Locks in memory that processes share, whose owner's death the kernel notices: before a thread that dies by whatever signal lets go
/// of what it traces, it marks the robust locks that the thread holds and wakes who waits for one (Documentation/locking/robust-futexes.rst).
/// Lock 0 is the one that is waited for. The others, each on a page that must be faulted in first, come after it in the dying thread's
/// list, and give the one who was woken a few milliseconds.
pub struct RobustLocks {
    map: memmap2::MmapRaw,
}

/// Locks in [`RobustLocks`]; the kernel looks at 2,048 at most (ROBUST_LIST_LIMIT).
const LOCKS: usize = 2000;
const LOCK_PAGE: usize = 4096;

impl RobustLocks {
    /// Size of the file that they are in, bytes.
    pub const SIZE: u64 = (LOCKS * LOCK_PAGE) as u64;

    /// Maps them from a file of that size.
    pub fn map(file: &std::fs::File) -> io::Result<RobustLocks> {
        if file.metadata()?.len() < RobustLocks::SIZE {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(RobustLocks { map: memmap2::MmapOptions::new().len(RobustLocks::SIZE as usize).map_raw(file)? })
    }

    fn at(&self, lock: usize) -> *mut libc::pthread_mutex_t {
        assert!(lock < LOCKS);
        self.map.as_mut_ptr().wrapping_add(lock * LOCK_PAGE).cast()
    }

    /// Makes all of them and takes them, for the calling thread.
    pub fn take_all(&self) -> io::Result<()> {
        let ok = |r: libc::c_int| if r == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(r)) };
        // SAFETY: the attributes are initialised before use; each lock lies within the mapping, page-aligned, and nobody uses it yet. The
        // mapping outlives them: it is unmapped only by `drop`, after `give_back`.
        unsafe {
            let mut attr: libc::pthread_mutexattr_t = mem::zeroed();
            ok(libc::pthread_mutexattr_init(&mut attr))?;
            ok(libc::pthread_mutexattr_setpshared(&mut attr, libc::PTHREAD_PROCESS_SHARED))?;
            ok(libc::pthread_mutexattr_setrobust(&mut attr, libc::PTHREAD_MUTEX_ROBUST))?;
            for i in (0..LOCKS).rev() {
                ok(libc::pthread_mutex_init(self.at(i), &attr))?;
                ok(libc::pthread_mutex_lock(self.at(i)))?;
            }
            ok(libc::pthread_mutexattr_destroy(&mut attr))?;
            // From here on each page but the first is a fault for whoever looks at it; what is in it stays.
            let rest = self.map.as_mut_ptr().wrapping_add(2 * LOCK_PAGE);
            check(libc::madvise(rest.cast(), (LOCKS - 2) * LOCK_PAGE, libc::MADV_DONTNEED).into()).map(drop)
        }
    }

    /// Gives all back, by the thread that took them.
    pub fn give_back(&self) {
        for i in 0..LOCKS {
            // SAFETY: a lock of ours; another thread's unlock of it is refused by the library.
            unsafe { libc::pthread_mutex_unlock(self.at(i)) };
        }
    }

    /// Waits for lock 0; true when its owner died.
    pub fn wait(&self) -> io::Result<bool> {
        // SAFETY: the owner initialised it before it let anybody know of the file.
        match unsafe { libc::pthread_mutex_lock(self.at(0)) } {
            0 => Ok(false),
            libc::EOWNERDEAD => Ok(true),
            e => Err(io::Error::from_raw_os_error(e)),
        }
    }
}
