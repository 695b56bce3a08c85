//! Arguments where DWARF says nothing of them: the words that the runtime's tracebacks print, each made as much of as its
//! contents prove. An interface carries its type, a channel that of its elements, a func value its code; what could be a string is
//! marked as a guess (`string?`), and all else stays a number.

use super::scope::ScopeVariable;
use super::{FrameScope, Place, Reader, ValueRef};
use crate::base::{FileAddr, LoadAddr};
use crate::model::{Unavailable, VarFlags};
use crate::symbols::Function;
use crate::symbols::arguments::{ArgumentPart, LiveArguments};
use crate::symbols::descriptors::{ARGUMENTS, string_type, word_type};
use crate::symbols::dwarf::types::Field;
use crate::symbols::dwarf::{DieOff, GoType, TypeKind};
use std::sync::Arc;

/// Longest text that two words are taken for, bytes.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes of it that must be text.
const LOOKED_AT: u64 = 64;
/// Largest element of a channel (`maxElemSize`, go/src/runtime/chan.go).
const MAX_ELEM: u64 = 1 << 16;
/// Addresses below are not of memory.
const FIRST_PAGE: u64 = 4096;

/// The arguments of one frame.
struct Arguments<'a> {
    function: Function,
    cfa: LoadAddr,
    live: LiveArguments<'a>,
    /// Set where execution stands before the arguments were put into their slots: register of each.
    arriving: Option<Vec<(u8, u16)>>,
}

/// What a part consists of, flattened.
struct Word {
    off: u8,
    size: u8,
    place: Place,
}

impl<'a> Reader<'a> {
    /// Entries for the arguments of a frame without DWARF: `arg0`, `arg1`…
    pub(super) fn argument_entries(&self, s: &FrameScope) -> Vec<ScopeVariable> {
        let symbols = self.rt.symbols();
        let parts = symbols.function_at(s.lookup).and_then(|f| symbols.argument_words(f)).unwrap_or_default();
        let named = parts.iter().enumerate().filter(|(_, p)| !matches!(p, ArgumentPart::AndSoOn));
        named
            .map(|(i, _)| ScopeVariable {
                off: DieOff(ARGUMENTS + i as u32),
                depth: 1,
                decl_line: 0,
                name: format!("arg{i}"),
                flags: VarFlags { argument: true, ..VarFlags::default() },
                captured: None,
            })
            .collect()
    }

    /// The argument that an entry of [`Reader::argument_entries`] stands for; none for entries of DWARF.
    pub(super) fn argument(&self, s: &FrameScope, entry: &ScopeVariable) -> Option<ValueRef> {
        let i = entry.off.0.checked_sub(ARGUMENTS)?;
        let symbols = self.rt.symbols();
        let function = symbols.function_at(s.lookup)?;
        let part = symbols.argument_words(function)?.into_iter().nth(i as usize)?;
        let before = s.regs.is_some() && s.lookup <= symbols.pc_after_prologue(function);
        let frame = Arguments {
            function,
            cfa: s.cfa,
            live: symbols.live_arguments(function, s.lookup),
            arriving: before.then(|| symbols.argument_registers(function)),
        };
        let (ty, place) = self.part(s, &frame, &part);
        let flags = entry.flags;
        Some(ValueRef {
            name: entry.name.clone(),
            expression: entry.name.clone(),
            ty,
            place,
            flags,
            ..ValueRef::default()
        })
    }

    /// Memory of argument number `n` of `of`, of `size` bytes, if it came in registers and every word of it has been stored.
    pub(super) fn stored_argument(&self, s: &FrameScope, f: Function, n: usize, of: usize, size: u64) -> Option<Place> {
        let symbols = self.rt.symbols();
        let parts = symbols.argument_words(f)?;
        if parts.len() != of || (s.regs.is_some() && s.lookup <= symbols.pc_after_prologue(f)) {
            return None;
        }
        let frame = Arguments { function: f, cfa: s.cfa, live: symbols.live_arguments(f, s.lookup), arriving: None };
        if !frame.live.known() {
            return None;
        }
        let mut words = Vec::new();
        self.flatten(s, &frame, &parts[n..=n], &mut words);
        let (first, last) = (words.first()?, words.last()?);
        let whole = u64::from(last.off - first.off) + u64::from(last.size) == size;
        (whole && words.iter().all(|w| w.place.missing.is_none())).then(|| first.place.clone())
    }

    fn part(&self, s: &FrameScope, a: &Arguments<'_>, part: &ArgumentPart) -> (Arc<GoType>, Place) {
        match part {
            ArgumentPart::Word { off, size, slot } => {
                let place = self.word_place(s, a, *off, *size, *slot);
                let ty = match size {
                    8 => self.word(&place, 0).ok().and_then(|w| self.type_of_word(w)),
                    _ => None,
                };
                (ty.unwrap_or_else(|| self.dwarf.go_type(word_type(u64::from(*size)))), place)
            }
            ArgumentPart::Group(parts) => {
                let mut words = Vec::new();
                self.flatten(s, a, parts, &mut words);
                self.group(parts, &words)
            }
            _ => {
                let why = Unavailable::Other("too far from the frame for the function's own table to say".into());
                (Arc::default(), Place::missing(why))
            }
        }
    }

    fn word_place(&self, s: &FrameScope, a: &Arguments<'_>, off: u8, size: u8, slot: Option<u8>) -> Place {
        if slot.is_some()
            && let Some(arriving) = &a.arriving
        {
            let Some(reg) = arriving.iter().find(|r| r.0 == off) else {
                let why = "still in a register, and the function has no code that tells in which";
                return Place::missing(Unavailable::Other(why.into()));
            };
            let value = s.regs.as_ref().and_then(|r| r.by_dwarf(reg.1).or_else(|| r.xmm_low(reg.1)));
            return match value {
                Some(v) => Place::bytes(v.to_le_bytes()[..usize::from(size)].into()),
                None => Place::missing(Unavailable::Other("in a register that was not fetched".into())),
            };
        }
        if !a.live.has(slot) {
            let name = self.rt.symbols().function_name(a.function);
            let why = format!(
                "{name} keeps this argument in a register or no longer needs it; its slot holds something else"
            );
            return Place::missing(Unavailable::Other(why));
        }
        Place::at(a.cfa.add(u64::from(off)))
    }

    fn flatten(&self, s: &FrameScope, a: &Arguments<'_>, parts: &[ArgumentPart], out: &mut Vec<Word>) {
        for p in parts {
            match p {
                ArgumentPart::Word { off, size, slot } => {
                    out.push(Word { off: *off, size: *size, place: self.word_place(s, a, *off, *size, *slot) });
                }
                ArgumentPart::Group(parts) => self.flatten(s, a, parts, out),
                _ => {}
            }
        }
    }

    /// Several words that belong together.
    fn group(&self, parts: &[ArgumentPart], words: &[Word]) -> (Arc<GoType>, Place) {
        let missing = words.iter().find_map(|w| w.place.missing.clone());
        let first = words.first().map_or(0, |w| w.off);
        let size = words.last().map_or(0, |w| u64::from(w.off - first) + u64::from(w.size));
        let place = match words.first() {
            _ if missing.is_some() => Place::missing(missing.unwrap_or(Unavailable::NoType)),
            Some(w) if w.place.in_memory() => w.place.clone(),
            _ => {
                let mut bytes = vec![0; size as usize];
                for w in words {
                    let at = usize::from(w.off - first);
                    let b = self.read(&w.place, 0, usize::from(w.size)).unwrap_or_default();
                    bytes[at..at + b.len()].copy_from_slice(&b);
                }
                Place::bytes(bytes.into())
            }
        };
        let flat = parts.iter().all(|p| matches!(p, ArgumentPart::Word { size: 8, .. }));
        if flat
            && words.len() == 2
            && let (Ok(a), Ok(b)) = (self.word(&place, 0), self.word(&place, 8))
            && let Some(ty) = self.interface_of(a).or_else(|| self.text_of(a, b))
        {
            return (ty, place);
        }
        let fields = words.iter().enumerate().map(|(i, w)| Field {
            name: format!("w{i}"),
            offset: u64::from(w.off - first),
            ty: word_type(u64::from(w.size)),
            embedded: false,
            tag: Box::default(),
        });
        let kind = TypeKind::Struct { fields: fields.collect() };
        (Arc::new(GoType { name: "words".into(), size, kind, ..GoType::default() }), place)
    }

    /// The interface type whose first word this is: a type descriptor, or a table that begins with two.
    fn interface_of(&self, word: u64) -> Option<Arc<GoType>> {
        let descriptor = |a: LoadAddr| self.descriptor(a);
        let made = |name: &str, methods| {
            let kind = TypeKind::Interface { methods };
            Arc::new(GoType { name: name.into(), size: 16, kind, ..GoType::default() })
        };
        if descriptor(LoadAddr(word)).is_some() {
            return Some(made("interface {}", false));
        }
        if word < FIRST_PAGE {
            return None;
        }
        let interface = self.mem.read_ptr(LoadAddr(word)).ok()?;
        descriptor(self.mem.read_ptr(LoadAddr(word).add(8)).ok()?)?;
        let ty = self.dwarf.go_type(descriptor(interface)?);
        matches!(ty.kind, TypeKind::Interface { methods: true }).then(|| made(&ty.name, true))
    }

    /// Text at an address, of a length.
    fn text_of(&self, at: u64, len: u64) -> Option<Arc<GoType>> {
        if at < FIRST_PAGE || len == 0 || len > MAX_TEXT {
            return None;
        }
        let bytes = self.mem.read_vec(LoadAddr(at), len.min(LOOKED_AT) as usize).ok()?;
        self.mem.read_vec(LoadAddr(at).add(len - 1), 1).ok()?;
        let whole = match std::str::from_utf8(&bytes) {
            Ok(s) => s,
            Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => {
                std::str::from_utf8(&bytes[..e.valid_up_to()]).ok()?
            }
            Err(_) => return None,
        };
        let fits = whole.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r' | '\x1b'));
        let t = self.dwarf.go_type(string_type());
        fits.then(|| Arc::new(GoType { name: "string?".into(), off: DieOff::default(), ..(*t).clone() }))
    }

    /// What a single word proves to be: a channel, a func value, the address of something.
    fn type_of_word(&self, word: u64) -> Option<Arc<GoType>> {
        if word < FIRST_PAGE || word >> 47 != 0 {
            return None;
        }
        let at = LoadAddr(word);
        let first = self.mem.read_u64(at).ok()?;
        let made = |name: String, kind| Some(Arc::new(GoType { name, size: 8, kind, ..GoType::default() }));
        if let Some(elem) = self.channel_elem(at) {
            let name = format!("chan {}", self.dwarf.go_type(elem).name);
            return made(name, TypeKind::Chan { elem, inner: None });
        }
        let code: FileAddr = self.rt.bias().to_file(LoadAddr(first));
        if self.rt.symbols().function_at(code).is_some_and(|f| f.entry == code) {
            return made("func?".into(), TypeKind::Func);
        }
        made("unsafe.Pointer".into(), TypeKind::UnsafePointer)
    }

    /// Element type of the channel at an address, if its counts, sizes and type agree that it is one.
    fn channel_elem(&self, at: LoadAddr) -> Option<DieOff> {
        let l = &self.rt.layout().hchan;
        let word = |o: u64| self.mem.read_u64(at.add(o)).ok();
        let elem = self.descriptor(LoadAddr(word(l.elemtype)?))?;
        let size = self.dwarf.go_type(elem).size;
        let (n, cap) = (word(l.qcount)?, word(l.dataqsiz)?);
        let sized = word(l.elemsize)? & 0xffff == size && size < MAX_ELEM;
        (sized && n <= cap && word(l.recvx)? < cap.max(1) && word(l.buf)? >= FIRST_PAGE).then_some(elem)
    }
}
