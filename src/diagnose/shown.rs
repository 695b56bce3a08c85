//! Objects as people know them: names of package variables, fields and locals, and their state in words.

use crate::base::{LoadAddr, Memory};
use crate::goruntime::value::{FrameScope, Reader, ValueRef};
use crate::goruntime::{GoRuntime, StackStart};
use crate::model::{WaitKind, WaitObject, WaitOn};
use crate::symbols::dwarf::{GoType, TypeKind};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;

/// Frames whose variables are looked through.
const FRAMES: usize = 12;
/// Nested fields.
const DEPTH: u32 = 4;

/// An object with its state.
pub fn object(on: &WaitOn, name: Option<String>) -> WaitObject {
    let state = match (&on.detail, on.buffer) {
        (Some(d), Some((n, cap))) if cap > 0 => format!("buffered {n} of {cap}, {d}"),
        (Some(d), _) => d.clone(),
        (None, Some((_, 0))) => "unbuffered".into(),
        (None, Some((n, cap))) => format!("buffered {n} of {cap}"),
        (None, None) => String::new(),
    };
    let kind = if on.kind == WaitKind::Select && on.addr.is_some() { WaitKind::Chan } else { on.kind };
    WaitObject { kind, addr: on.addr, type_name: on.type_name.clone(), name: name.or_else(|| on.name.clone()), state }
}

/// `(*Store).mu`, or `chan int 0xc000123456`.
pub fn object_name(o: &WaitObject) -> String {
    let t = o.type_name.as_deref().unwrap_or("object");
    match (&o.name, o.addr) {
        (Some(n), _) => n.clone(),
        (None, Some(a)) => format!("{t} {a}"),
        (None, None) => t.to_string(),
    }
}

/// Finds names; only with DWARF.
pub struct Names<'a> {
    reader: Reader<'a>,
    words: OnceCell<FxHashMap<u64, LoadAddr>>,
}

impl<'a> Names<'a> {
    /// For one program.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory) -> Option<Names<'a>> {
        Reader::new(rt, mem).map(|reader| Names { reader, words: OnceCell::new() })
    }

    /// Name of what is at an address: a package variable (or a field of one), or what a variable in a frame of `g` leads to.
    pub fn of(&self, addr: LoadAddr, g: Option<LoadAddr>) -> Option<String> {
        self.global(addr).or_else(|| self.local(addr, g?))
    }

    /// A package variable that it is inside of, or that leads to it.
    fn global(&self, addr: LoadAddr) -> Option<String> {
        let rt = self.reader.rt;
        if let Some((v, off)) = rt.package_variable_at(addr) {
            return Some(format!("{}{}", v.name, self.path(&v.ty, off, 0)?)).filter(|n| !n.starts_with("runtime."));
        }
        let words = self.words.get_or_init(|| rt.package_words(self.reader.mem));
        let (v, off) = rt.package_variable_at(*words.get(&addr.0)?)?;
        Some(format!("{}{}", v.name, self.path(&v.ty, off, 0)?)).filter(|n| !n.starts_with("runtime."))
    }

    /// Path of fields from a value at `base` to `addr`, if it is inside.
    fn inside(&self, ty: &GoType, base: LoadAddr, addr: LoadAddr) -> Option<String> {
        let off = addr.0.checked_sub(base.0).filter(|o| *o < ty.size.max(1))?;
        self.path(ty, off, 0)
    }

    fn path(&self, ty: &GoType, off: u64, depth: u32) -> Option<String> {
        if let TypeKind::Array { elem, .. } = ty.kind
            && depth < DEPTH
        {
            let t = self.reader.dwarf.go_type(elem);
            let n = off / t.size.max(1);
            return Some(format!("[{n}]{}", self.path(&t, off - n * t.size, depth + 1)?));
        }
        if depth < DEPTH && !ty.name.starts_with("sync.") {
            for f in ty.fields() {
                let t = self.reader.dwarf.go_type(f.ty);
                if off >= f.offset && off < f.offset + t.size {
                    return Some(format!(".{}{}", f.name, self.path(&t, off - f.offset, depth + 1)?));
                }
            }
        }
        Some(String::new())
    }

    /// A value that is a pointer to `addr` or to a struct around it, or a struct with a field that is.
    fn leads(&self, v: &ValueRef, addr: LoadAddr) -> Option<String> {
        match &v.ty.kind {
            TypeKind::Chan { .. } | TypeKind::UnsafePointer => {
                (self.reader.word(&v.place, 0).ok()? == addr.0).then(String::new)
            }
            TypeKind::Pointer { elem } => {
                let to = LoadAddr(self.reader.word(&v.place, 0).ok()?);
                let t = self.reader.dwarf.go_type((*elem)?);
                if to.is_nil() {
                    return None;
                }
                // A pointer to the lock itself: the variable's name says more than the lock's fields.
                if to == addr && t.name.starts_with("sync.") {
                    return Some(String::new());
                }
                self.inside(&t, to, addr).or_else(|| self.field_leads(&t, to, addr))
            }
            TypeKind::Struct { .. } => self.field_leads(&v.ty, v.place.addr, addr),
            _ => None,
        }
    }

    fn field_leads(&self, t: &GoType, base: LoadAddr, addr: LoadAddr) -> Option<String> {
        if base.is_nil() {
            return None;
        }
        t.fields().iter().find_map(|f| {
            let ft = self.reader.dwarf.go_type(f.ty);
            let is = matches!(ft.kind, TypeKind::Chan { .. } | TypeKind::Pointer { .. });
            (is && self.reader.mem.read_ptr(base.add(f.offset)).ok()? == addr).then(|| format!(".{}", f.name))
        })
    }

    fn local(&self, addr: LoadAddr, g: LoadAddr) -> Option<String> {
        let rt = self.reader.rt;
        let walked = rt.stack(self.reader.mem, StackStart::Parked(g), 40, false).ok()?;
        let own = |i: &usize| {
            let f = &walked.stack.frames[*i];
            !f.hidden && !crate::goruntime::pcinfo::is_plumbing(&f.at.function)
        };
        let user = (0..walked.stack.frames.len()).filter(own).take(FRAMES);
        for i in user {
            let Some(scope) = rt.frame_scope(&walked, i, None) else { continue };
            if let Some(name) = self.in_scope(&scope, addr) {
                return Some(name);
            }
        }
        None
    }

    fn in_scope(&self, scope: &FrameScope, addr: LoadAddr) -> Option<String> {
        for v in self.reader.scope(scope) {
            // A captured or escaped variable is the object itself.
            if v.place.in_memory()
                && v.flags.escaped
                && let Some(path) = self.inside(&v.ty, v.place.addr, addr)
            {
                return Some(format!("{}{path}", v.name));
            }
            let Some(path) = self.leads(&v, addr) else { continue };
            if path.is_empty() {
                return Some(v.name);
            }
            // A field is known by its type: `(*Store).mu`.
            let TypeKind::Pointer { elem: Some(e) } = v.ty.kind else { return Some(format!("{}{path}", v.name)) };
            let t = self.reader.dwarf.go_type(e);
            let short = t.name.rsplit('/').next().unwrap_or(&t.name);
            // The program's own package goes without saying.
            let short = short.strip_prefix("main.").unwrap_or(short);
            return Some(if short.contains('{') { format!("{}{path}", v.name) } else { format!("(*{short}){path}") });
        }
        None
    }
}
