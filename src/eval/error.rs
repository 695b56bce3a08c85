//! What can be wrong with an expression, in Delve's words where it has some.

use crate::goruntime::value::unavailable_text;
use crate::model::Unavailable;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The text is no expression.
    #[error("1:{at}: {what}")]
    Syntax {
        /// Byte, from 1.
        at: usize,
        /// What is wrong.
        what: String,
    },
    /// No such name.
    #[error("could not find symbol value for {0}")]
    NoSymbol(String),
    /// No such field.
    #[error("{0} has no member {1}")]
    NoMember(String, String),
    /// Operation on nil.
    #[error("{0} is nil")]
    IsNil(String),
    /// Operands do not fit.
    #[error("mismatched types \"{0}\" and \"{1}\"")]
    Mismatch(String, String),
    /// The value is not there.
    #[error("{}", unavailable_text(.0))]
    Unavailable(Unavailable),
    /// The value is not to be shown, and this would tell a part of it.
    #[error("this would tell a part of a redacted value; `reveal REASON` shows such values")]
    Hidden,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<Unavailable> for EvalError {
    fn from(u: Unavailable) -> Self {
        EvalError::Unavailable(u)
    }
}

/// An error in so many words.
pub(super) fn other<T>(s: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Other(s.into()))
}
