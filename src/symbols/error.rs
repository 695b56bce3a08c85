//! What can be wrong with a file of which symbols are wanted, in words for a person.

/// Why a file gives no symbols at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolsError {
    /// The magic bytes are not ELF's.
    #[error("not an ELF executable")]
    NotElf,
    /// ELF, but of another machine or word size.
    #[error("not an amd64 executable (ELF machine {machine}, {bits}-bit)")]
    WrongMachine {
        /// `e_machine`.
        machine: u16,
        /// 32 or 64.
        bits: u8,
    },
    /// Headers point past the end of the file.
    #[error("the executable is truncated or damaged: {0}")]
    Damaged(String),
    /// No Go build info and no pclntab.
    #[error("not a Go executable: it has no Go function table (pclntab)")]
    NotGo,
}
