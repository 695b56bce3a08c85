//! Two kinds of address that must not be mixed: as linked, and as loaded.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An address as the linker wrote it into the file (ELF virtual address, DWARF, pclntab).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct FileAddr(pub u64);

/// An address in the memory of a process, a core or a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LoadAddr(pub u64);

/// What the kernel added to every file address of an image: 0 for a fixed executable, the base for PIE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LoadBias(pub u64);

impl LoadBias {
    /// File address to memory address.
    pub fn to_load(self, a: FileAddr) -> LoadAddr {
        LoadAddr(a.0.wrapping_add(self.0))
    }
    /// Memory address to file address.
    pub fn to_file(self, a: LoadAddr) -> FileAddr {
        FileAddr(a.0.wrapping_sub(self.0))
    }
}

macro_rules! addr_common {
    ($t:ident) => {
        impl $t {
            /// This address plus `n` bytes, wrapping.
            #[allow(clippy::should_implement_trait)]
            pub fn add(self, n: u64) -> Self {
                $t(self.0.wrapping_add(n))
            }
            /// This address plus a signed displacement, wrapping.
            pub fn offset(self, n: i64) -> Self {
                $t(self.0.wrapping_add_signed(n))
            }
            /// Distance in bytes from `base`, wrapping below it.
            pub fn since(self, base: Self) -> u64 {
                self.0.wrapping_sub(base.0)
            }
            /// Is it the nil pointer?
            pub fn is_nil(self) -> bool {
                self.0 == 0
            }
        }
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:#x})", stringify!($t), self.0)
            }
        }
    };
}
addr_common!(FileAddr);
addr_common!(LoadAddr);

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn bias_round_trips() {
        let b = LoadBias(0x5555_5555_4000);
        let a = FileAddr(0x1040);
        assert_eq!(b.to_file(b.to_load(a)), a);
        assert_eq!(b.to_load(a).to_string(), "0x555555555040");
    }
}
