//! Where Go's register calling convention puts arguments and results: ABIInternal, as `src/cmd/compile/abi-internal.md` of the Go
//! source defines it (since 1.17, the same to 1.27).

use super::value::{Place, Reader, ValueRef};
use crate::arch::registers::dwarf_reg;
use crate::base::{FileAddr, LoadAddr};
use crate::model::{Unavailable, VarFlags};
use crate::symbols::dwarf::{Dwarf, GoType, TypeKind, Walk};
use std::sync::Arc;

/// Integer registers in order, by DWARF number: RAX, RBX, RCX, RDI, RSI, R8 to R11.
const INTEGER: [u16; 9] = [0, 3, 2, 5, 4, 8, 9, 10, 11];
/// Floating-point registers: X0 to X14.
const FLOATS: u16 = 15;
/// Nesting of types followed.
const DEPTH: u32 = 32;

/// Part of a value in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the value.
    pub offset: u64,
    /// Bytes, 8 at most.
    pub size: u64,
    /// DWARF number of the register.
    pub register: u16,
}

/// Where an argument or result is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// In registers; no pieces for a value of no size.
    Registers(Vec<Piece>),
    /// On the stack, so many bytes above the canonical frame address.
    Stack(u64),
}

/// An argument or result of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name, `~r0` for a result without one.
    pub name: String,
    /// Type.
    pub ty: Arc<GoType>,
    /// Where the caller puts it (or finds it).
    pub slot: Slot,
}

/// Arguments and results of a function.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Signature {
    /// Receiver and arguments.
    pub arguments: Vec<Parameter>,
    /// Results.
    pub results: Vec<Parameter>,
    /// Bytes of stack that the caller reserves: arguments, results and spill space.
    pub stack: u64,
}

#[derive(Default)]
struct Assigner {
    integers: usize,
    floats: u16,
}

impl Assigner {
    fn integer(&mut self, offset: u64, size: u64, out: &mut Vec<Piece>) -> bool {
        let Some(&register) = INTEGER.get(self.integers) else { return false };
        self.integers += 1;
        out.push(Piece { offset, size, register });
        true
    }
    fn float(&mut self, offset: u64, size: u64, out: &mut Vec<Piece>) -> bool {
        if self.floats >= FLOATS {
            return false;
        }
        out.push(Piece { offset, size, register: dwarf_reg::XMM0 + self.floats });
        self.floats += 1;
        true
    }
    fn value(&mut self, d: &Dwarf, t: &GoType, at: u64, out: &mut Vec<Piece>, depth: u32) -> bool {
        if depth > DEPTH {
            return false;
        }
        match &t.kind {
            TypeKind::Bool | TypeKind::Int | TypeKind::Uint => self.integer(at, t.size.min(8), out),
            TypeKind::Float => self.float(at, t.size, out),
            TypeKind::Complex => self.float(at, t.size / 2, out) && self.float(at + t.size / 2, t.size / 2, out),
            TypeKind::Pointer { .. }
            | TypeKind::UnsafePointer
            | TypeKind::Map { .. }
            | TypeKind::Chan { .. }
            | TypeKind::Func => self.integer(at, 8, out),
            TypeKind::String | TypeKind::Interface { .. } => self.integer(at, 8, out) && self.integer(at + 8, 8, out),
            TypeKind::Slice { .. } => (0..3).all(|i| self.integer(at + 8 * i, 8, out)),
            TypeKind::Struct { fields } => {
                fields.iter().all(|f| self.value(d, &d.go_type(f.ty), at + f.offset, out, depth + 1))
            }
            TypeKind::Array { count: 0, .. } => true,
            TypeKind::Array { elem, count: 1 } => self.value(d, &d.go_type(*elem), at, out, depth + 1),
            TypeKind::Array { .. } | TypeKind::Void => false,
        }
    }
}

/// Alignment of a type: that of its largest word.
fn align(d: &Dwarf, t: &GoType, depth: u32) -> u64 {
    match &t.kind {
        TypeKind::Struct { fields } if depth < DEPTH => {
            fields.iter().map(|f| align(d, &d.go_type(f.ty), depth + 1)).max().unwrap_or(1)
        }
        TypeKind::Array { elem, .. } if depth < DEPTH => align(d, &d.go_type(*elem), depth + 1),
        TypeKind::Complex => (t.size / 2).clamp(1, 8),
        TypeKind::Bool | TypeKind::Int | TypeKind::Uint | TypeKind::Float => t.size.clamp(1, 8),
        _ => 8,
    }
}

fn up(n: u64, to: u64) -> u64 {
    n.next_multiple_of(to.max(1))
}

/// Assigns a list of values; `stack` is where the next one on the stack goes, and afterwards where the list ends.
fn assign(d: &Dwarf, list: Vec<(String, Arc<GoType>)>, stack: &mut u64, spill: &mut u64) -> Vec<Parameter> {
    let mut a = Assigner::default();
    let mut out = Vec::new();
    for (name, ty) in list {
        let (integers, floats) = (a.integers, a.floats);
        let mut pieces = Vec::new();
        let slot = if ty.size > 0 && a.value(d, &ty, 0, &mut pieces, 0) {
            *spill = up(*spill, align(d, &ty, 0)) + ty.size;
            Slot::Registers(pieces)
        } else {
            (a.integers, a.floats) = (integers, floats);
            *stack = up(*stack, align(d, &ty, 0));
            let at = *stack;
            *stack += ty.size;
            Slot::Stack(at)
        };
        out.push(Parameter { name, ty, slot });
    }
    out
}

/// Arguments and results of the function at an entry, by its debug information; none without.
pub fn signature(d: &Dwarf, entry: FileAddr) -> Option<Signature> {
    let root = d.index().function_at(entry.0)?;
    let (mut arguments, mut results) = (Vec::new(), Vec::new());
    let mut known = true;
    let origin = d.die(root)?.reference(gimli::DW_AT_abstract_origin);
    // The concrete entry of a function that is also inlined lists parameters that were optimised away last or not at all.
    d.walk(origin.unwrap_or(root), |die| {
        if die.depth == 0 {
            return Walk::Into;
        }
        if die.tag() == gimli::DW_TAG_formal_parameter {
            let list = if die.flag(gimli::DW_AT_variable_parameter) { &mut results } else { &mut arguments };
            match die.type_ref() {
                Some(t) => list.push((die.name().unwrap_or("_").to_string(), d.go_type(t))),
                None => known = false,
            }
        }
        Walk::Over
    });
    if !known {
        return None;
    }
    let (mut stack, mut spill) = (0, 0);
    let arguments = assign(d, arguments, &mut stack, &mut spill);
    stack = up(stack, 8);
    let results = assign(d, results, &mut stack, &mut 0);
    stack = up(stack, 8) + up(spill, 8);
    Some(Signature { arguments, results, stack })
}

impl Parameter {
    /// It as a value, for people; see [`Parameter::bytes`].
    pub fn value(&self, r: &Reader<'_>, register: &dyn Fn(u16) -> Option<u64>, cfa: LoadAddr) -> ValueRef {
        let place = match (&self.slot, self.bytes(r, register, cfa)) {
            (Slot::Stack(off), _) => Place::at(cfa.add(*off)),
            (Slot::Registers(_), Some(b)) => Place::bytes(b.into()),
            (Slot::Registers(_), None) => Place::missing(Unavailable::Other("its register was not read".into())),
        };
        let flags = VarFlags { result: true, ..VarFlags::default() };
        ValueRef { name: self.name.clone(), ty: self.ty.clone(), place, flags, ..ValueRef::default() }
    }
    /// Its bytes, given how to read a register (low 64 bits, by DWARF number) and the canonical frame address.
    ///
    /// None if a register or the stack cannot be read.
    pub fn bytes(&self, r: &Reader<'_>, register: &dyn Fn(u16) -> Option<u64>, cfa: LoadAddr) -> Option<Vec<u8>> {
        match &self.slot {
            Slot::Stack(off) => r.mem.read_vec(cfa.add(*off), self.ty.size as usize).ok(),
            Slot::Registers(pieces) => {
                let mut out = vec![0; self.ty.size as usize];
                for p in pieces {
                    let v = register(p.register)?.to_le_bytes();
                    out.get_mut(p.offset as usize..(p.offset + p.size) as usize)?
                        .copy_from_slice(v.get(..p.size as usize)?);
                }
                Some(out)
            }
        }
    }
}
