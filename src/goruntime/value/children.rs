//! One level below a value, a page at a time.

use super::{Limits, Place, Problem, Reader, ValueRef, print};
use crate::base::LoadAddr;
use crate::model::Variable;
use crate::symbols::dwarf::{GoType, TypeKind};
use std::sync::Arc;

/// Children given at once, whatever is asked for.
const MAX_PAGE: u64 = 10_000;

impl Reader<'_> {
    /// How many children a value has.
    pub fn child_count(&self, v: &ValueRef) -> u64 {
        match &v.ty.kind {
            TypeKind::Struct { fields } => fields.len() as u64,
            TypeKind::Array { count, .. } => *count,
            TypeKind::Slice { .. } => {
                let word = |o| self.word(&v.place, o).unwrap_or(0);
                if word(0) == 0 || word(8) > i64::MAX as u64 { 0 } else { word(8) }
            }
            TypeKind::Pointer { elem: Some(e) } => {
                let to = LoadAddr(self.word(&v.place, 0).unwrap_or(0));
                let t = self.dwarf.go_type(*e);
                match (&t.kind, to.is_nil()) {
                    (_, true) | (TypeKind::Void, _) => 0,
                    (TypeKind::Struct { fields }, _) => fields.len() as u64,
                    _ => 1,
                }
            }
            TypeKind::Map { .. } => {
                let base = LoadAddr(self.word(&v.place, 0).unwrap_or(0));
                if base.is_nil() { 0 } else { self.map_len(&v.ty, base).unwrap_or(0) }
            }
            TypeKind::Chan { .. } => {
                let base = LoadAddr(self.word(&v.place, 0).unwrap_or(0));
                if base.is_nil() {
                    return 0;
                }
                self.mem.read_u64(base.add(self.rt.layout().hchan.qcount)).unwrap_or(0)
            }
            TypeKind::Interface { methods } => {
                u64::from(matches!(self.interface_data(&v.place, *methods), Ok(Some(_))))
            }
            TypeKind::Func => self.captures(v).len() as u64,
            _ => 0,
        }
    }

    /// Children `start..start + count`.
    pub fn children(&self, v: &ValueRef, start: u64, count: u64) -> Result<Vec<ValueRef>, Problem> {
        let all = self.children_of(v, start, count)?;
        Ok(match self.rt.redaction() {
            Some(_) => {
                let before = self.each_before(v, start, all.len() as u64);
                let marked = all.into_iter().zip(before).map(|(c, b)| ValueRef { hide: b.max(c.hide), ..c });
                self.all_below(v, marked.collect())
            }
            None => all,
        })
    }

    pub(super) fn children_of(&self, v: &ValueRef, start: u64, count: u64) -> Result<Vec<ValueRef>, Problem> {
        let count = count.min(MAX_PAGE);
        Ok(match &v.ty.kind {
            TypeKind::Struct { .. } => self.fields(v, &v.ty, &v.place, start, count),
            TypeKind::Array { elem, count: n } => {
                self.indexed(v, &v.place, &self.dwarf.go_type(*elem), *n, start, count)
            }
            TypeKind::Slice { elem } => {
                let base = Place::at(LoadAddr(self.word(&v.place, 0)?));
                let n = self.word(&v.place, 8)?;
                self.indexed(v, &base, &self.dwarf.go_type(*elem), n, start, count)
            }
            TypeKind::Pointer { elem: Some(e) } => {
                let to = LoadAddr(self.word(&v.place, 0)?);
                let t = self.dwarf.go_type(*e);
                if to.is_nil() {
                    return Ok(Vec::new());
                }
                match t.kind {
                    TypeKind::Struct { .. } => self.fields(v, &t, &Place::at(to), start, count),
                    _ => one(
                        start,
                        count,
                        ValueRef {
                            name: format!("*{}", v.name),
                            expression: prefixed("*", &v.expression),
                            ty: t,
                            place: Place::at(to),
                            ..ValueRef::default()
                        },
                    ),
                }
            }
            TypeKind::Interface { methods } => match self.interface_data(&v.place, *methods)? {
                Some(mut d) => {
                    d.expression = suffixed(&v.expression, ".(data)");
                    one(start, count, d)
                }
                None => Vec::new(),
            },
            TypeKind::Map { .. } => self.map_children(v, start, count)?,
            TypeKind::Chan { elem, .. } => self.buffered(v, &self.dwarf.go_type(*elem), start, count)?,
            TypeKind::Func => {
                let all = self.captures(v).into_iter();
                all.skip(start as usize).take(count as usize).collect()
            }
            _ => Vec::new(),
        })
    }

    /// Children as rows of a tree.
    pub fn child_variables(
        &self,
        v: &ValueRef,
        start: u64,
        count: u64,
        limits: Limits,
    ) -> Result<Vec<(ValueRef, Variable)>, Problem> {
        let all = self.children(v, start, count)?;
        Ok(all.into_iter().map(|c| (c.clone(), self.variable(&c, limits))).collect())
    }

    fn fields(&self, v: &ValueRef, t: &GoType, place: &Place, start: u64, count: u64) -> Vec<ValueRef> {
        let place = self.prefetch(place, t.size);
        let all = t.fields().iter().skip(start as usize).take(count as usize);
        all.map(|f| ValueRef {
            name: f.name.clone(),
            expression: match f.name.as_str() {
                "_" => String::new(),
                n => suffixed(&v.expression, &format!(".{n}")),
            },
            ty: self.dwarf.go_type(f.ty),
            place: place.part(f.offset),
            hide: self.tag_hides(f),
            ..ValueRef::default()
        })
        .collect()
    }

    fn indexed(&self, v: &ValueRef, base: &Place, elem: &Arc<GoType>, n: u64, start: u64, count: u64) -> Vec<ValueRef> {
        let end = n.min(start.saturating_add(count));
        let (Some(from), Some(len)) = (start.checked_mul(elem.size), end.saturating_sub(start).checked_mul(elem.size))
        else {
            return Vec::new();
        };
        let page = self.prefetch(&base.part(from), len);
        (start..end)
            .map(|i| ValueRef {
                name: format!("[{i}]"),
                expression: suffixed(&v.expression, &format!("[{i}]")),
                ty: elem.clone(),
                place: page.part((i - start) * elem.size),
                ..ValueRef::default()
            })
            .collect()
    }

    fn map_children(&self, v: &ValueRef, start: u64, count: u64) -> Result<Vec<ValueRef>, Problem> {
        let base = LoadAddr(self.word(&v.place, 0)?);
        let TypeKind::Map { key, elem, .. } = v.ty.kind else { return Ok(Vec::new()) };
        if base.is_nil() {
            return Ok(Vec::new());
        }
        let (kt, vt) = (self.dwarf.go_type(key), self.dwarf.go_type(elem));
        let literal = matches!(kt.kind, TypeKind::Bool | TypeKind::Int | TypeKind::Uint | TypeKind::String);
        let entries = self.map_entries(&v.ty, base, start, count)?;
        Ok(entries
            .into_iter()
            .map(|(k, e)| {
                let k = ValueRef { ty: kt.clone(), place: k, ..ValueRef::default() };
                let loaded = self.load(&k, Limits::default());
                let whole = loaded.unreadable.is_none()
                    && loaded.redacted.is_none()
                    && (kt.kind != TypeKind::String || loaded.value.len() as i64 == loaded.len);
                let text = print::single_line(&loaded);
                let plain = match text.rsplit_once(" (") {
                    Some((_, n)) if kt.kind != TypeKind::String => n.trim_end_matches(')').to_string(),
                    _ => text.clone(),
                };
                ValueRef {
                    name: format!("[{text}]"),
                    expression: match literal && whole {
                        true => suffixed(&v.expression, &format!("[{plain}]")),
                        false => String::new(),
                    },
                    ty: vt.clone(),
                    place: e,
                    ..ValueRef::default()
                }
            })
            .collect())
    }

    /// Elements in a channel's buffer, the next to be received first.
    fn buffered(&self, v: &ValueRef, elem: &Arc<GoType>, start: u64, count: u64) -> Result<Vec<ValueRef>, Problem> {
        let base = LoadAddr(self.word(&v.place, 0)?);
        if base.is_nil() {
            return Ok(Vec::new());
        }
        let l = &self.rt.layout().hchan;
        let word = |o: u64| self.mem.read_u64(base.add(o)).map_err(|e| super::problem(&e));
        let (n, cap, buf, first) = (word(l.qcount)?, word(l.dataqsiz)?, word(l.buf)?, word(l.recvx)?);
        if cap == 0 {
            return Ok(Vec::new());
        }
        let end = n.min(cap).min(start.saturating_add(count));
        Ok((start..end)
            .map(|i| ValueRef {
                name: format!("[{i}]"),
                ty: elem.clone(),
                place: Place::at(LoadAddr(buf).add((first.wrapping_add(i) % cap).wrapping_mul(elem.size))),
                ..ValueRef::default()
            })
            .collect())
    }
}

fn one(start: u64, count: u64, v: ValueRef) -> Vec<ValueRef> {
    if start == 0 && count > 0 { vec![v] } else { Vec::new() }
}

/// `x` and `.f` to `x.f`; with parentheses where `x` is more than a name.
fn suffixed(x: &str, suffix: &str) -> String {
    match x {
        "" => String::new(),
        x if x.starts_with(['*', '&', '-', '!', '^']) => format!("({x}){suffix}"),
        x => format!("{x}{suffix}"),
    }
}

fn prefixed(prefix: &str, x: &str) -> String {
    if x.is_empty() { String::new() } else { format!("{prefix}{x}") }
}
