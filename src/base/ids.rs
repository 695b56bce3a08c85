//! Ids as types, so that a goroutine id is never taken for a thread id.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$m:meta])* $t:ident($n:ty)) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $t(pub $n);
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}
id!(
    /// `runtime.g.goid`. 0 means a thread without a user goroutine (g0).
    GoroutineId(u64)
);
id!(
    /// A kernel thread id.
    Tid(i32)
);
id!(
    /// A logical breakpoint, numbered from 1; negative ids are the debugger's own (-1 unrecovered panic, -2 fatal error).
    BreakpointId(i32)
);
id!(
    /// Counts the moments at which what was read of the target became old: each stop, resume or observed read.
    StopEpoch(u64)
);
