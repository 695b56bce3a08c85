//! A file without memory as a target (a goroutine dump, a trace, a profile): everything is answered from what it says.

use super::protocol::{Failure, Reply, Request};

/// Such a target.
pub trait Offline {
    /// What was opened, and what can be done with it.
    fn opened(&self) -> Reply;
    /// Answers a question. What the file cannot tell is `Unavailable`, and says so.
    fn answer(&mut self, r: Request) -> Result<Reply, Failure>;
}
