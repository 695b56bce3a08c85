//! What a backend can do; what is absent is greyed out on screens.

use serde::{Deserialize, Serialize};

/// Abilities of a backend on its present target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// Read goroutines without stopping.
    pub observe: bool,
    /// Stop, continue, step, break.
    pub control: bool,
    /// Variables and expressions (DWARF is there).
    pub variables: bool,
    /// Write variables.
    pub set: bool,
    /// Restart the program (we launched it).
    pub restart: bool,
    /// Rebuild and restart (we built it).
    pub rebuild: bool,
    /// There is memory to read: heap, objects, disassembly (a goroutine dump has none).
    pub memory: bool,
    /// A consistent copy can be taken of the running target.
    pub snapshot: bool,
    /// The program's output comes through us.
    pub output: bool,
    /// There is a profile to look at, or one may be fetched.
    pub profiles: bool,
}
