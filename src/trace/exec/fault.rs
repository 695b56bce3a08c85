//! What is wrong with a trace: where, and in what words. The words are those of Go's reader, where it has some.

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The header is none.
    #[error("not a Go execution trace")]
    NotATrace,
    /// A header with a number that nobody knows.
    #[error("unknown or unsupported trace version go 1.{0}")]
    Version(u32),
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(String),
    /// Bytes that are not what has to be there.
    #[error("{0}")]
    Form(String),
    /// The file ends in the middle of something.
    #[error("incomplete generation found; trace likely truncated")]
    Truncated,
    /// Events that cannot have happened in any order.
    #[error("broken trace: {0}")]
    Order(String),
    /// No thread's next event can come next.
    #[error("broken trace: failed to advance: {0}")]
    Stuck(String),
    /// More of something than we take.
    #[error("too many {what}: {limit} at most")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
}

/// Where and what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}{}: {trouble}", generation.map(|g| format!(", generation {g}")).unwrap_or_default())]
pub struct Fault {
    /// Offset in the file, bytes.
    pub at: u64,
    /// In which generation.
    pub generation: Option<u64>,
    /// What.
    pub trouble: Trouble,
}

impl Trouble {
    /// Bytes that are not what has to be there.
    pub(super) fn form(what: impl Into<String>) -> Trouble {
        Trouble::Form(what.into())
    }
    /// Events that cannot have happened.
    pub(super) fn order(what: impl Into<String>) -> Trouble {
        Trouble::Order(what.into())
    }
    /// With the place.
    pub fn at(self, at: u64, generation: Option<u64>) -> Fault {
        Fault { at, generation, trouble: self }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(e: std::io::Error) -> Trouble {
        Trouble::Io(e.to_string())
    }
}
