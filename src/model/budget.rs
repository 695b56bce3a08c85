//! How long the target was made to stand, and how long it may be.

use serde::{Deserialize, Serialize};

/// The account of a session. Times that are absent are not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetState {
    /// `prod`, `staging` or `dev`.
    pub profile: String,
    /// Stops so far.
    pub stops: u64,
    /// All of them together, microseconds.
    pub total_us: u64,
    /// The longest, microseconds.
    pub longest_us: u64,
    /// Longest stop that nobody holds.
    pub stop_ms: Option<u64>,
    /// All stops of a minute together.
    pub minute_ms: Option<u64>,
    /// What is left of that now.
    pub minute_left_ms: Option<u64>,
    /// The program is held: so long still.
    pub hold_left_ms: Option<u64>,
    /// The session lasts so long still.
    pub session_left_ms: Option<u64>,
}
