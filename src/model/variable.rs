//! Values, one level at a time: children are asked for by handle when somebody looks.

use crate::base::LoadAddr;
use serde::{Deserialize, Serialize};

/// Go's kinds, as `reflect.Kind` names them, grouped as screens need them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum VarKind {
    Bool,
    Int,
    Uint,
    Float,
    Complex,
    String,
    Pointer,
    UnsafePointer,
    Struct,
    Array,
    Slice,
    Map,
    Chan,
    Func,
    Interface,
    /// A type (`print int`), a package, a register.
    #[default]
    Other,
}

/// Facts about a variable beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct VarFlags {
    /// A function argument.
    pub argument: bool,
    /// A result (`~r0`, named results).
    pub result: bool,
    /// Another variable of the same name in an inner scope hides it.
    pub shadowed: bool,
    /// Lives on the heap (`&x` in DWARF).
    pub escaped: bool,
    /// Value differs from the one at the last stop in the same frame.
    pub changed: bool,
    /// A constant or literal, not in memory.
    pub constant: bool,
    /// An argument that optimised code no longer keeps: this is what its slot on the stack still holds, as it was passed or last stored.
    #[serde(default)]
    pub from_slot: bool,
    /// It looks like a secret: its text says so, and not what it is.
    #[serde(default)]
    pub redacted: bool,
}

/// Why a value cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unavailable {
    /// The compiler kept it nowhere at this PC.
    OptimisedOut {
        /// The PC.
        pc: LoadAddr,
        /// Why, in words: where it was last, from which line on it is there, what held it.
        #[serde(default)]
        why: String,
    },
    /// The page cannot be read.
    Unreadable {
        /// Where.
        addr: LoadAddr,
    },
    /// No type information for it (stripped, or made by reflect).
    NoType,
    /// Anything else, in words.
    Other(String),
}

/// A value as one row of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Variable {
    /// Variable, field, index (`[3]`) or key (`["a"]`) as shown.
    pub name: String,
    /// An expression that evaluates to this value in the same frame, where one exists.
    pub expression: String,
    /// Go type, `map[string]*main.T`.
    pub type_name: String,
    /// Kind.
    pub kind: VarKind,
    /// The value in one line as Delve prints it, escaped and capped: `42`, `"abc"`, `main.T {a: 1, b: 2}`, `[]int len: 3, cap: 4, [1,2,3]`.
    pub value: String,
    /// Where it is; nil when in registers or constant.
    pub addr: LoadAddr,
    /// For string, slice, array, map, chan: its length.
    pub len: Option<u64>,
    /// For slice, chan: its capacity.
    pub cap: Option<u64>,
    /// How many children there are (fields, elements, entries); 0 for a leaf.
    pub children: u64,
    /// Handle for asking for children; valid for the epoch in which it was given. 0 = none.
    pub handle: u64,
    /// Facts.
    pub flags: VarFlags,
    /// Present when there is no value, and why; `value` then holds the same in words (`<optimised out at 0x4a1f36>`).
    pub unavailable: Option<Unavailable>,
}
