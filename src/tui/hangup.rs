//! A terminal that is gone.
//!
//! SIGHUP says so, but not to a process without a controlling terminal, and the reader of keys, which finds an endless end-of-file, may
//! keep the loop from hearing of it. A client that stays then would keep its target under control for nobody.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// Time for the loop to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Ends this process, for whom there is nobody left to restore a terminal for, when its terminal is gone and the loop does not.
pub fn watch() {
    let wait = || {
        let stdin = std::io::stdin();
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Err(_) => return,
                Ok(_) => break,
            }
        }
        std::thread::sleep(GRACE);
        // The host sees our end of the line close, and lets the target go.
        std::process::exit(128 + nix::libc::SIGHUP);
    };
    let _then_a_signal_has_to_do = std::thread::Builder::new().name("hangup".into()).spawn(wait);
}
