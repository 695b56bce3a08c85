//! Processes of our own that live apart from whoever started them: hosts and guardians.

use super::sys;
use std::io;
use std::process::Command;

/// Starts one, in a session of its own. Its exit status is collected when it ends, so that it is no zombie beside a long-lived parent.
///
/// # Errors
/// It cannot be started.
pub fn start(command: &mut Command) -> io::Result<()> {
    sys::detach_from_session(command);
    let mut child = command.spawn()?;
    let reap = std::thread::Builder::new().name("exit".into());
    let _without_it_init_collects_it = reap.spawn(move || child.wait());
    Ok(())
}

/// Ignores what terminals send, in this process.
pub fn be_deaf() {
    for sig in [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGTSTP, libc::SIGTTOU, libc::SIGTTIN, libc::SIGQUIT] {
        sys::ignore_signal(sig);
    }
}
