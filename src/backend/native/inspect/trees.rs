//! Values as trees: read as deep as asked for, with handles for reading on.

use super::Worker;
use super::data::{MAX_PACKAGE_VARIABLES, Values, bad_expression, limits, problem};
use crate::backend::protocol::*;
use crate::base::LoadAddr;
use crate::base::redact::COMPUTED;
use crate::engine::StopState;
use crate::eval;
use crate::goruntime::value::{Limits, Loaded, Place, Reader, ValueRef, unavailable_text, var_kind};
use crate::model::{ValueTree, VarKind};
use crate::symbols::dwarf::TypeKind;
use std::sync::Arc;

impl Worker {
    pub(super) fn trees(&mut self, state: &Arc<StopState>, of: ValuesOf, l: LoadLimits) -> Result<Reply, Failure> {
        let l = limits(l);
        let mut values = std::mem::take(&mut self.values);
        let found = self.find_trees(state, of, l, &mut values);
        self.values = values;
        Ok(Reply::Values { epoch: state.epoch, values: found? })
    }

    fn find_trees(
        &self,
        state: &Arc<StopState>,
        of: ValuesOf,
        l: Limits,
        values: &mut Values,
    ) -> Result<Vec<ValueTree>, Failure> {
        match of {
            ValuesOf::Scope(frame) => {
                let scope = self.frame_scope(state, frame)?;
                let r = self.reader()?;
                let mut maker = Maker { r, l, values };
                Ok(r.scope(&scope).iter().map(|v| maker.whole(v)).collect())
            }
            ValuesOf::Package(filter) => {
                let re = regex::Regex::new(&filter).map_err(|e| {
                    Failure::new(FailureKind::BadRequest, format!("bad regular expression: {e}").replace('\n', " "))
                })?;
                let r = self.reader()?;
                let mut maker = Maker { r, l, values };
                Ok(r.package_variables(&re).iter().take(MAX_PACKAGE_VARIABLES).map(|v| maker.whole(v)).collect())
            }
            ValuesOf::Expression { frame, expression } => {
                let cx = self.context(state, frame)?;
                let (value, row) = eval::evaluate(&cx, &expression, l).map_err(|e| bad_expression(&e))?;
                let mut tree = match value.value_ref() {
                    Some(v) => Maker { r: self.reader()?, l, values }.whole(v),
                    None => constant(&value, &row),
                };
                tree.name = expression;
                Ok(vec![tree])
            }
            ValuesOf::Given(handle) => {
                let v = values.given(handle)?;
                Ok(vec![Maker { r: self.reader()?, l, values }.whole(&v)])
            }
            ValuesOf::Part { handle, start, count } => {
                let v = values.given(handle)?;
                Ok(vec![Maker { r: self.reader()?, l, values }.part(&v, start, count)?])
            }
        }
    }
}

/// A constant has no memory to read; its text says all.
fn constant(value: &eval::EvalValue, row: &crate::model::Variable) -> ValueTree {
    let hidden = row.value == COMPUTED;
    let value = match value {
        eval::EvalValue::Const(eval::Const::Str(s), _) if !hidden => s.to_vec(),
        _ => row.value.clone().into_bytes(),
    };
    ValueTree {
        name: row.name.clone(),
        type_name: row.type_name.clone(),
        kind: row.kind,
        len: row.len.map_or(value.len() as i64, |n| n as i64),
        value,
        redacted: hidden.then(|| row.value.clone()),
        exists: true,
        unreadable: row.unavailable.as_ref().map(words),
        flags: row.flags,
        ..ValueTree::default()
    }
}

fn words(u: &crate::model::Unavailable) -> String {
    let text = unavailable_text(u);
    match text.strip_prefix("(unreadable ").and_then(|t| t.strip_suffix(')')) {
        Some(inner) => inner.to_string(),
        None => text.trim_matches(['<', '>']).to_string(),
    }
}

/// Turns what was read into trees.
struct Maker<'a, 'v> {
    r: Reader<'a>,
    l: Limits,
    values: &'v mut Values,
}

impl Maker<'_, '_> {
    fn whole(&mut self, v: &ValueRef) -> ValueTree {
        let loaded = self.r.load(v, self.l);
        let mut t = self.tree(loaded, Some(v), 0);
        t.name = v.name.clone();
        t.flags = v.flags;
        t
    }

    fn below(&mut self, v: &ValueRef, level: u32) -> ValueTree {
        let loaded = self.r.load_below(v, self.l, level);
        let mut t = self.tree(loaded, Some(v), level);
        t.name = v.name.clone();
        t.flags = v.flags;
        t
    }

    /// Elements `start..start + count`, as children of the value.
    fn part(&mut self, v: &ValueRef, start: u64, count: u64) -> Result<ValueTree, Failure> {
        let none = Limits { elements: 0, ..self.l };
        let mut t = self.tree(self.r.load(v, none), Some(v), 0);
        t.name = v.name.clone();
        t.children = match v.ty.kind {
            TypeKind::Map { key, elem, .. } => {
                let (kt, et) = (self.r.dwarf.go_type(key), self.r.dwarf.go_type(elem));
                let entries = self.r.map_entries(&v.ty, t.base, start, count).map_err(|p| problem(&p))?;
                let mut out = Vec::with_capacity(2 * entries.len());
                for (k, e) in entries {
                    let k = ValueRef { ty: kt.clone(), place: k, ..ValueRef::default() };
                    let hide = self.r.hides(v).max(self.r.key_hides(&k));
                    out.push(self.below(&k, 1));
                    out.push(self.below(&ValueRef { ty: et.clone(), place: e, hide, ..ValueRef::default() }, 1));
                }
                out
            }
            _ => {
                let all = self.r.children(v, start, count).map_err(|p| problem(&p))?;
                all.iter().map(|c| ValueTree { name: String::new(), ..self.below(c, 1) }).collect()
            }
        };
        Ok(t)
    }

    /// `level` is how deep below the value that was asked for.
    fn tree(&mut self, l: Loaded, from: Option<&ValueRef>, level: u32) -> ValueTree {
        let kind = var_kind(&l.ty.kind);
        let more = matches!(
            kind,
            VarKind::Struct
                | VarKind::Array
                | VarKind::Slice
                | VarKind::Map
                | VarKind::Pointer
                | VarKind::Interface
                | VarKind::Func
                | VarKind::Chan
        ) && l.exists
            && l.unreadable.is_none()
            && l.redacted.is_none();
        let here = || ValueRef { ty: l.ty.clone(), place: Place::at(l.addr), hide: l.hide, ..ValueRef::default() };
        let source = match from {
            Some(v) => Some(v.clone()),
            None if !l.addr.is_nil() => Some(here()),
            None => None,
        };
        let mut len = l.len;
        let mut children = match kind {
            VarKind::Func => {
                let held = self.captured(&l, source.as_ref());
                len = held.len() as i64;
                let deep = level > self.l.depth;
                let read = held.iter().filter(|_| !deep).map(|c| self.below(c, level + 1));
                read.collect()
            }
            VarKind::Chan => self.channel(&l, source.as_ref()),
            _ => Vec::new(),
        };
        let below = level + u32::from(!matches!(kind, VarKind::Interface | VarKind::Pointer));
        let handle = if more { source.map_or(0, |v| self.values.give(v)) } else { 0 };
        for c in l.children {
            let name = if kind == VarKind::Interface { "data".into() } else { c.name.clone() };
            children.push(ValueTree { name, ..self.tree(c, None, below) });
        }
        ValueTree {
            name: String::new(),
            type_name: l.ty.name.clone(),
            kind,
            size: l.ty.size,
            value: l.redacted.as_ref().map_or(l.value, |t| t.clone().into_bytes()),
            redacted: l.redacted,
            addr: l.addr,
            base: l.base,
            len,
            cap: l.cap,
            children,
            exists: l.exists,
            only_addr: l.only_addr,
            nil_interface: l.nil_interface,
            unreadable: l.unreadable.as_ref().map(words),
            flags: Default::default(),
            handle,
        }
    }

    /// What a closure captured.
    fn captured(&self, l: &Loaded, v: Option<&ValueRef>) -> Vec<ValueRef> {
        let Some(v) = v.filter(|_| l.unreadable.is_none() && !l.value.is_empty()) else { return Vec::new() };
        let at = self.r.word(&v.place, 0).map_or(LoadAddr(0), LoadAddr);
        if at.is_nil() { Vec::new() } else { self.r.captures_at(at) }
    }

    /// A channel: how many elements, of how many, and which, the next to be received first.
    fn channel(&mut self, l: &Loaded, v: Option<&ValueRef>) -> Vec<ValueTree> {
        let Some(v) = v.filter(|_| l.unreadable.is_none() && !l.base.is_nil()) else { return Vec::new() };
        let number = |name: &str, n: i64| ValueTree {
            name: name.into(),
            type_name: "uint".into(),
            kind: VarKind::Uint,
            size: 8,
            value: n.to_string().into_bytes(),
            exists: true,
            ..ValueTree::default()
        };
        let held = self.r.children(v, 0, u64::from(self.l.elements)).unwrap_or_default();
        let elem = held.first().map_or_else(String::new, |c| c.ty.name.clone());
        let mut out = vec![number("qcount", l.len), number("dataqsiz", l.cap)];
        if !held.is_empty() {
            let children = held.iter().map(|c| ValueTree { name: String::new(), ..self.below(c, 1) }).collect();
            out.push(ValueTree {
                name: "buf".into(),
                type_name: format!("[{}]{elem}", l.len),
                kind: VarKind::Array,
                base: l.base,
                len: l.len,
                children,
                exists: true,
                handle: self.values.give(v.clone()),
                ..ValueTree::default()
            });
        }
        out
    }
}
