//! Variables that a frame can see: arguments, results, locals in scope at its line, captured variables.

use super::{Place, Reader, ValueRef};
use crate::arch::Registers;
use crate::arch::registers::{NAMES, dwarf_reg};
use crate::base::{FileAddr, LoadAddr};
use crate::goruntime::{GoRuntime, WalkedStack};
use crate::model::{Unavailable, VarFlags};
use crate::symbols::descriptors::{NOTHING, WORDS_ONLY};
use crate::symbols::dwarf::location::{FrameContext, Location, Part};
use crate::symbols::dwarf::{Die, DieOff, Dwarf, GoType, TypeKind, Walk, go_attr};
use std::ops::Range;
use std::sync::Arc;

/// Name of the parameter that points to a generic function's dictionary.
const DICTIONARY: &str = ".dict";
/// Largest value put together from registers.
const MAX_PIECES: u64 = 4096;

/// A place in the program with what is needed to find variables: made from a walked stack, or by hand for a condition.
#[derive(Clone, Debug)]
pub struct FrameScope {
    /// Entry of the function (or of the inlined call) in `.debug_info`.
    pub root: DieOff,
    /// PC as shown.
    pub pc: LoadAddr,
    /// PC by which scopes are chosen: inside the call for outer frames.
    pub lookup: FileAddr,
    /// Line by which declared variables are chosen.
    pub line: u32,
    /// Canonical frame address.
    pub cfa: LoadAddr,
    /// Registers; only frames that were not left by a call have them.
    pub regs: Option<Registers>,
    /// Full function name.
    pub function: String,
}

/// A variable's entry with what decides whether it is seen.
#[derive(Clone, Debug)]
pub struct ScopeVariable {
    /// Its entry.
    pub off: DieOff,
    /// Nesting of lexical blocks.
    pub depth: usize,
    /// Line of its declaration.
    pub decl_line: u32,
    /// Name without `&`.
    pub name: String,
    /// Facts.
    pub flags: VarFlags,
    /// Captured by a closure: where it is in the closure object.
    pub captured: Option<u64>,
}

impl GoRuntime {
    /// Scope of a shown frame; none outside Go functions. `regs` are the thread's the walk began with.
    pub fn frame_scope(&self, s: &WalkedStack, frame: usize, regs: Option<&Registers>) -> Option<FrameScope> {
        let &(p, n) = s.origin.get(frame)?;
        let raw = s.raw.get(p as usize)?;
        let logical = raw.info.frames.get(n as usize)?;
        let at_entry = raw.exact || raw.info.at_entry;
        let file_pc = self.bias().to_file(raw.pc);
        let lookup = if at_entry { file_pc } else { FileAddr(file_pc.0.wrapping_sub(1)) };
        let inlined_from_outside = raw.info.frames.len() - 1 - n as usize;
        let described = |d| scope_root(d, raw.info.function.entry, lookup, inlined_from_outside);
        let root = match self.symbols().dwarf() {
            Some(d) if !self.symbols().is_in_module(raw.info.function) => described(d)?,
            _ if inlined_from_outside == 0 => WORDS_ONLY,
            _ => NOTHING,
        };
        Some(FrameScope {
            root,
            pc: raw.pc,
            lookup,
            line: logical.at.line,
            cfa: raw.cfa,
            regs: s.registers(frame, regs),
            function: logical.at.function.clone(),
        })
    }
}

impl GoRuntime {
    /// The scope of no frame: what package-level expressions need, as seen from `main.main`. None without DWARF.
    pub fn package_scope(&self) -> Option<FrameScope> {
        let f = self.symbols().find_function("main.main")?;
        let root = self.symbols().dwarf()?.index().function_at(f.entry.0)?;
        Some(FrameScope {
            root,
            pc: self.bias().to_load(f.entry),
            lookup: f.entry,
            line: 0,
            cfa: LoadAddr(0),
            regs: None,
            function: "main.main".into(),
        })
    }
}

/// The function's entry, or that of the inlined call `level` deep at `pc`.
pub fn scope_root(d: &Dwarf, entry: FileAddr, pc: FileAddr, level: usize) -> Option<DieOff> {
    let root = d.index().function_at(entry.0)?;
    if level == 0 {
        return Some(root);
    }
    let mut chain = Vec::new();
    d.walk(root, |die| match die.tag() {
        gimli::DW_TAG_inlined_subroutine if contains(&die, pc) => {
            chain.push(die.off());
            Walk::Into
        }
        gimli::DW_TAG_inlined_subroutine => Walk::Over,
        gimli::DW_TAG_lexical_block if !contains(&die, pc) => Walk::Over,
        _ => Walk::Into,
    });
    chain.get(level.min(chain.len()).checked_sub(1)?).copied()
}

fn contains(d: &Die<'_>, pc: FileAddr) -> bool {
    d.ranges().iter().any(|r| r.0 <= pc.0 && pc.0 < r.1)
}

/// Helpers of the compiler that no program names.
fn is_hidden(name: &str) -> bool {
    let bare = name.strip_prefix('&').unwrap_or(name);
    // `~r0.len` is a part of a result that optimisation took apart.
    let part = bare.starts_with('~') && bare.contains('.');
    bare.is_empty() || bare == "_" || bare.starts_with(['.', '#']) || bare.starts_with("~b") || part
}

/// Entries of the variables that are in scope, in the order of the source.
pub fn visible(d: &Dwarf, root: DieOff, pc: FileAddr, line: u32) -> Vec<ScopeVariable> {
    let mut out = Vec::new();
    d.walk(root, |die| {
        let tag = die.tag();
        match tag {
            _ if die.depth == 0 => return Walk::Into,
            gimli::DW_TAG_lexical_block => return if contains(&die, pc) { Walk::Into } else { Walk::Over },
            gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {}
            _ => return Walk::Over,
        }
        let origin = die.reference(gimli::DW_AT_abstract_origin).and_then(|o| d.die(o));
        let from = |at| die.u64(at).or_else(|| origin.as_ref().and_then(|o| o.u64(at)));
        let name = die.name().or_else(|| origin.as_ref().and_then(|o| o.name())).unwrap_or("");
        let decl_line = from(gimli::DW_AT_decl_line).unwrap_or(0) as u32;
        let parameter = tag == gimli::DW_TAG_formal_parameter;
        let captured = from(go_attr::CLOSURE_OFFSET).filter(|_| !parameter);
        // A local is seen from the line after its declaration on, a captured one from the line of the closure.
        let seen = parameter || decl_line == 0 || line >= decl_line + u32::from(captured.is_none());
        if is_hidden(name) || !seen {
            return Walk::Over;
        }
        let result = parameter
            && (die.flag(gimli::DW_AT_variable_parameter)
                || origin.as_ref().is_some_and(|o| o.flag(gimli::DW_AT_variable_parameter)));
        out.push(ScopeVariable {
            off: die.off(),
            depth: die.depth,
            decl_line,
            name: name.strip_prefix('&').unwrap_or(name).to_string(),
            flags: VarFlags {
                argument: parameter && !result,
                result,
                escaped: name.starts_with('&'),
                ..VarFlags::default()
            },
            captured,
        });
        Walk::Over
    });
    let rank = |v: &ScopeVariable| !(v.flags.argument || v.flags.result);
    out.sort_by_key(|v| (rank(v), if rank(v) { (v.depth, v.decl_line) } else { (0, 0) }));
    let names: Vec<String> = out.iter().map(|v| v.name.clone()).collect();
    for (i, v) in out.iter_mut().enumerate() {
        v.flags.shadowed = names[i + 1..].contains(&v.name);
    }
    out
}

impl Reader<'_> {
    /// Entries of what is in scope, as [`visible`] gives them; where there is no DWARF, the arguments as words.
    pub fn visible(&self, s: &FrameScope) -> Vec<ScopeVariable> {
        match s.root {
            WORDS_ONLY => self.argument_entries(s),
            root => visible(self.dwarf, root, s.lookup, s.line),
        }
    }

    /// Everything in scope: arguments and results first, then locals.
    pub fn scope(&self, s: &FrameScope) -> Vec<ValueRef> {
        let dict = self.dictionary(s);
        let all = self.visible(s);
        all.iter().map(|v| self.variable_of(s, v, dict)).collect()
    }

    /// The innermost variable of this name in scope.
    pub fn local(&self, s: &FrameScope, name: &str) -> Option<ValueRef> {
        let all = self.visible(s);
        let v = all.iter().rev().find(|v| v.name == name && !v.flags.shadowed)?;
        Some(self.variable_of(s, v, self.dictionary(s)))
    }

    /// A variable found before.
    pub fn variable_of(&self, s: &FrameScope, v: &ScopeVariable, dict: Option<LoadAddr>) -> ValueRef {
        if let Some(argument) = self.argument(s, v) {
            return argument;
        }
        let mut out = ValueRef { name: v.name.clone(), flags: v.flags, ..ValueRef::default() };
        if !v.flags.shadowed && !v.name.starts_with('~') {
            out.expression = v.name.clone();
        }
        let Some(die) = self.dwarf.die(v.off) else {
            out.place = Place::missing(Unavailable::NoType);
            return out;
        };
        let origin = die.reference(gimli::DW_AT_abstract_origin).and_then(|o| self.dwarf.die(o));
        let ty = die.type_ref().or_else(|| origin.as_ref().and_then(|o| o.type_ref()));
        let Some(ty) = ty else {
            out.place = Place::missing(Unavailable::NoType);
            return out;
        };
        out.ty = self.instantiated(ty, dict);
        out.place = match self.closure_at_entry(s, v) {
            Some(p) => p,
            None => self.place(s, &die, &out.ty),
        };
        let gone = matches!(out.place.missing, Some(Unavailable::OptimisedOut { .. }));
        if gone
            && v.flags.argument
            && !v.flags.escaped
            && let Some(slot) = self.argument_slot(s, v.off, out.ty.size)
        {
            out.place = slot;
            out.flags.from_slot = true;
        }
        if v.flags.escaped
            && let TypeKind::Pointer { elem: Some(e) } = out.ty.kind
        {
            out.ty = self.instantiated(e, dict);
            if out.place.missing.is_none() {
                out.place = match self.word(&out.place, 0) {
                    Ok(a) => Place::at(LoadAddr(a)),
                    Err(e) => Place::missing(e),
                };
            }
        }
        out
    }

    /// The slot of an argument that came in registers, if it was stored there and DWARF and the argument table agree on what is what.
    fn argument_slot(&self, s: &FrameScope, entry: DieOff, size: u64) -> Option<Place> {
        let symbols = self.rt.symbols();
        let f = symbols.function_at(s.lookup)?;
        if symbols.is_in_module(f) || self.dwarf.index().function_at(f.entry.0) != Some(s.root) {
            return None;
        }
        let mut parameters = Vec::new();
        self.dwarf.children(s.root, |die| {
            let origin = die.reference(gimli::DW_AT_abstract_origin).and_then(|o| self.dwarf.die(o));
            let result = |d: &Die<'_>| d.flag(gimli::DW_AT_variable_parameter);
            if die.tag() == gimli::DW_TAG_formal_parameter && !result(&die) && !origin.as_ref().is_some_and(result) {
                parameters.push(die.off());
            }
        });
        let place = parameters.iter().position(|p| *p == entry)?;
        self.stored_argument(s, f, place, parameters.len(), size)
    }

    /// Until the prologue is done, a captured variable is only in the closure object, to which DX points.
    fn closure_at_entry(&self, s: &FrameScope, v: &ScopeVariable) -> Option<Place> {
        let off = v.captured.filter(|_| v.decl_line == s.line)?;
        let context = s.regs.as_ref()?.by_dwarf(dwarf_reg::RDX)?;
        let symbols = self.rt.symbols();
        let f = symbols.function_at(s.lookup)?;
        (s.lookup <= symbols.pc_after_prologue(f)).then(|| Place::at(LoadAddr(context).add(off)))
    }

    fn place(&self, s: &FrameScope, die: &Die<'_>, ty: &GoType) -> Place {
        let gone = |why: String| Place::missing(Unavailable::OptimisedOut { pc: s.pc, why });
        let register = |n: u16| s.regs.as_ref().and_then(|r| r.by_dwarf(n));
        let cx = FrameContext { cfa: s.cfa, register: &register, mem: self.mem, bias: self.rt.bias() };
        let Some(loc) = self.dwarf.variable_location(die, s.lookup, &cx) else { return gone(self.why_gone(s, die)) };
        let parts = match loc {
            Location::Whole(Part::Memory(a)) => return Place::at(a),
            Location::Whole(p) => vec![(p, ty.size.min(16))],
            Location::Pieces(p) => p,
        };
        // Pieces that lie side by side in memory are a value in memory.
        if let Some((Part::Memory(first), _)) = parts.first() {
            let mut next = *first;
            let together = parts.iter().all(|(p, n)| {
                let ok = *p == Part::Memory(next);
                next = next.add(*n);
                ok
            });
            if together {
                return Place::at(*first);
            }
        }
        let mut bytes = Vec::new();
        let mut holes = Vec::new();
        let mut why = None;
        let size = ty.size.max(parts.iter().map(|p| p.1).sum());
        if size > MAX_PIECES {
            return gone(format!("{size} bytes in pieces"));
        }
        for (p, n) in parts {
            let piece = match p {
                Part::Memory(a) => self.mem.read_vec(a, n as usize).map_err(|_| format!("{a} cannot be read")),
                Part::Register(r) => {
                    let known = s.regs.as_ref().and_then(|regs| register_bytes(regs, r, n as usize));
                    known.ok_or_else(|| lost_register(s, r))
                }
                Part::Value(v) => Ok(fit(&v.to_le_bytes(), n as usize)),
                Part::Gone => Err("this part is kept nowhere here".to_string()),
            };
            let start = bytes.len();
            match piece {
                Ok(p) => bytes.extend(p),
                Err(e) => {
                    bytes.resize(start + n as usize, 0);
                    holes.push(start..bytes.len());
                    why.get_or_insert(e);
                }
            }
        }
        match why {
            None => Place::bytes(bytes.into()),
            Some(why) if holes.iter().map(Range::len).sum::<usize>() >= bytes.len() => gone(why),
            Some(why) => Place::in_part(bytes.into(), holes, Unavailable::OptimisedOut { pc: s.pc, why }),
        }
    }

    /// Why a variable is nowhere at a place, from where else it is.
    fn why_gone(&self, s: &FrameScope, die: &Die<'_>) -> String {
        let mut ranges = self.dwarf.location_ranges(die);
        if ranges.is_empty() {
            return "the compiler kept it nowhere in this function".into();
        }
        ranges.sort_unstable();
        let line = |pc: u64| self.rt.symbols().location(FileAddr(pc)).map_or(0, |l| l.line);
        let before = ranges.iter().rfind(|r| r.1 <= s.lookup.0);
        let after = ranges.iter().find(|r| r.0 > s.lookup.0);
        match (before, after) {
            (Some(b), None) => format!("no longer needed, last kept on line {}", line(b.1 - 1)),
            (None, Some(a)) => format!("not there yet, kept from line {} on", line(a.0)),
            (Some(b), Some(a)) => {
                format!(
                    "not kept at this instruction, only up to line {} and again from line {}",
                    line(b.1 - 1),
                    line(a.0)
                )
            }
            (None, None) => "its place cannot be computed in this frame".into(),
        }
    }

    /// Address of the dictionary of a generic function's frame.
    pub fn dictionary(&self, s: &FrameScope) -> Option<LoadAddr> {
        if !s.function.contains('[') {
            return None;
        }
        let mut found = None;
        self.dwarf.walk(s.root, |die| {
            if die.depth == 0 {
                return Walk::Into;
            }
            if die.name() == Some(DICTIONARY) {
                found = Some(die);
                return Walk::Stop;
            }
            Walk::Over
        });
        let die = found?;
        let place = self.place(s, &die, &GoType { size: 8, ..GoType::default() });
        self.word(&place, 0).ok().map(LoadAddr).filter(|a| !a.is_nil())
    }

    /// The real type behind a type parameter, which the dictionary knows.
    fn instantiated(&self, ty: DieOff, dict: Option<LoadAddr>) -> Arc<GoType> {
        let Some(die) = self.dwarf.die(ty) else { return Arc::default() };
        let Some(index) = die.u64(go_attr::DICT_INDEX) else { return self.dwarf.go_type(ty) };
        let real = || {
            let rtype = self.mem.read_ptr(dict?.add(index.checked_mul(8)?)).ok()?;
            self.dwarf_type(rtype)
        };
        // Without the dictionary only the shape is known.
        real().unwrap_or_else(|| self.dwarf.go_type(die.type_ref().unwrap_or(ty)))
    }

    /// A package variable by its full name.
    pub fn package_variable(&self, name: &str) -> Option<ValueRef> {
        self.global(name, self.dwarf.variable_by_name(name)?)
    }

    /// A package variable by its entry.
    pub fn global(&self, name: &str, off: DieOff) -> Option<ValueRef> {
        let die = self.dwarf.die(off)?;
        let ty = self.dwarf.go_type(die.type_ref()?);
        let cx = FrameContext { cfa: LoadAddr(0), register: &|_| None, mem: self.mem, bias: self.rt.bias() };
        let Location::Whole(Part::Memory(a)) = self.dwarf.variable_location(&die, FileAddr(0), &cx)? else {
            return None;
        };
        let expression = match name.rsplit_once('/') {
            // A path with slashes is written in quotes: "net/http".DefaultClient.
            Some(_) => name.rfind('.').map_or(String::new(), |d| format!("\"{}\"{}", &name[..d], &name[d..])),
            None => name.to_string(),
        };
        Some(ValueRef { name: name.to_string(), expression, ty, place: Place::at(a), ..ValueRef::default() })
    }

    /// Package variables whose full name matches, by name.
    pub fn package_variables(&self, re: &regex::Regex) -> Vec<ValueRef> {
        let mut v: Vec<ValueRef> = self
            .dwarf
            .variables()
            .filter(|(n, _)| re.is_match(n) && !n.contains(".."))
            .filter_map(|(n, off)| self.global(n, off))
            .collect();
        v.sort_by(|a, b| a.name.cmp(&b.name));
        v.dedup_by(|a, b| a.name == b.name);
        v
    }

    /// Variables captured by a func value, where the compiler says where they are (since 1.23).
    pub(super) fn captures(&self, v: &ValueRef) -> Vec<ValueRef> {
        self.word(&v.place, 0).map_or_else(|_| Vec::new(), |closure| self.captures_at(LoadAddr(closure)))
    }

    /// Variables captured by the func value {code, captured…} at an address.
    pub fn captures_at(&self, closure: LoadAddr) -> Vec<ValueRef> {
        let read = || -> Option<Vec<ValueRef>> {
            let code = self.mem.read_ptr(closure).ok()?;
            let f = self.rt.symbols().function_at(self.rt.bias().to_file(code))?;
            let root = self.dwarf.index().function_at(f.entry.0)?;
            let mut out = Vec::new();
            self.dwarf.children(root, |die| {
                let (Some(off), Some(name), Some(ty)) = (die.u64(go_attr::CLOSURE_OFFSET), die.name(), die.type_ref())
                else {
                    return;
                };
                let mut c = ValueRef {
                    name: name.to_string(),
                    ty: self.dwarf.go_type(ty),
                    place: Place::at(closure.add(off)),
                    ..ValueRef::default()
                };
                if let Some(bare) = name.strip_prefix('&') {
                    let elem = match c.ty.kind {
                        TypeKind::Pointer { elem } => elem,
                        _ => None,
                    };
                    if let (Ok(a), Some(e)) = (self.word(&c.place, 0), elem) {
                        c.place = Place::at(LoadAddr(a));
                        c.ty = self.dwarf.go_type(e);
                    }
                    c.name = bare.to_string();
                    c.flags.escaped = true;
                }
                if !is_hidden(&c.name) {
                    out.push(c);
                }
            });
            Some(out)
        };
        read().unwrap_or_default()
    }
}

/// A register of a frame that a call has left.
fn lost_register(s: &FrameScope, n: u16) -> String {
    let name = match n.checked_sub(dwarf_reg::XMM0) {
        Some(i) => format!("xmm{i}"),
        None => NAMES.get(usize::from(n)).map_or_else(|| format!("register {n}"), |n| (*n).to_string()),
    };
    match s.regs {
        Some(_) => format!("in {name}, which was not saved"),
        None => format!("in {name}, which the call on line {} did not preserve", s.line),
    }
}

fn fit(b: &[u8], n: usize) -> Vec<u8> {
    let mut v = b.to_vec();
    v.resize(n, 0);
    v
}

fn register_bytes(regs: &Registers, n: u16, len: usize) -> Option<Vec<u8>> {
    if n >= dwarf_reg::XMM0 {
        let v = regs.xmm.as_ref()?.get(usize::from(n - dwarf_reg::XMM0))?;
        return Some(fit(&v.to_le_bytes(), len));
    }
    Some(fit(&regs.by_dwarf(n)?.to_le_bytes(), len))
}
