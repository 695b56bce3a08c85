//! What wakes the engine thread: children (SIGCHLD), a request to end (SIGTERM), and the doorbell that requests ring.

use crate::target::TargetError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Rings the engine thread from any thread.
#[derive(Clone)]
pub struct Doorbell(Arc<EventFd>);

impl Doorbell {
    /// Wakes the engine's `poll`.
    pub fn ring(&self) {
        let _full_means_rung_already = self.0.write(1);
    }
}

/// Sources of wake-ups, in one `poll`.
pub struct Wake {
    signals: SignalFd,
    bell: Doorbell,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// A child changed state.
    pub child: bool,
    /// SIGTERM arrived: let everything go and end.
    pub terminate: bool,
}

impl Wake {
    /// Blocks SIGCHLD and SIGTERM for the calling thread and reads them from a descriptor instead. Call it before other
    /// threads start, so that they inherit the mask and the signals come here.
    pub fn new() -> Result<Wake, TargetError> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        set.add(Signal::SIGTERM);
        set.thread_block().map_err(|e| TargetError::os("block SIGCHLD", e))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|e| TargetError::os("signalfd", e))?;
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|e| TargetError::os("eventfd", e))?;
        Ok(Wake { signals, bell: Doorbell(Arc::new(bell)) })
    }

    /// The doorbell, for other threads.
    pub fn doorbell(&self) -> Doorbell {
        self.bell.clone()
    }

    /// Sleeps until something happens, or `timeout_ms` (-1: no limit).
    pub fn wait(&self, timeout_ms: i32) -> Woken {
        let timeout = PollTimeout::try_from(timeout_ms).unwrap_or(PollTimeout::NONE);
        let mut fds =
            [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.bell.0.as_fd(), PollFlags::POLLIN)];
        let _interrupted_is_a_wake_up = poll(&mut fds, timeout);
        let mut woken = Woken::default();
        while let Ok(Some(info)) = self.signals.read_signal() {
            match info.ssi_signo as i32 {
                libc::SIGCHLD => woken.child = true,
                libc::SIGTERM => woken.terminate = true,
                _ => {}
            }
        }
        let _was_silent = self.bell.0.read();
        woken
    }
}
