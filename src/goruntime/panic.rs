//! Panics under way on a goroutine.

use super::rtype::kind;
use super::{G, GoRuntime};
use crate::base::redact::Hide;
use crate::base::{LoadAddr, Memory, text};
use crate::model::PanicRecord;

/// Panics can nest; this many are shown.
const MAX_PANICS: usize = 32;
/// Text shown of an argument.
const MAX_TEXT: u64 = 512;

impl GoRuntime {
    /// Innermost first.
    pub fn panics(&self, mem: &dyn Memory, g: &G) -> Vec<PanicRecord> {
        let l = &self.layout().panic;
        let mut out = Vec::new();
        let mut at = g.panics;
        while !at.is_nil() && out.len() < MAX_PANICS {
            let flag = |o: u64| mem.read_u8(at.add(o)).is_ok_and(|b| b != 0);
            out.push(PanicRecord {
                value: self.panic_value(mem, at.add(l.arg)).unwrap_or_else(|| "<unreadable>".into()),
                recovered: flag(l.recovered),
                goexit: flag(l.goexit),
                recovered_by: None,
            });
            let Ok(next) = mem.read_ptr(at.add(l.link)) else { break };
            at = next;
        }
        out
    }

    /// Text of the `any` at `eface`, as far as it can be told without running code.
    pub fn panic_value(&self, mem: &dyn Memory, eface: LoadAddr) -> Option<String> {
        let mut text = self.panic_text(mem, eface)?;
        if let Some(x) = self.redaction() {
            let typ = self.runtime_type(mem, mem.read_ptr(eface).ok()?);
            match typ.filter(|t| x.type_name(&t.name) > Hide::No) {
                Some(_) => text = x.mark_text(&text),
                None => x.clean(&mut text),
            }
        }
        Some(text)
    }

    fn panic_text(&self, mem: &dyn Memory, eface: LoadAddr) -> Option<String> {
        let typ = mem.read_ptr(eface).ok()?;
        let data = mem.read_ptr(eface.add(8)).ok()?;
        if typ.is_nil() {
            return Some("nil".into());
        }
        let t = self.runtime_type(mem, typ)?;
        let named = |s: String| if t.name.contains('.') { format!("{}({s})", t.name) } else { s };
        let int = |signed: bool| {
            let v = mem.read_vec(data, (t.size as usize).clamp(1, 8)).ok()?;
            let mut b = [0u8; 8];
            b[..v.len()].copy_from_slice(&v);
            let u = u64::from_le_bytes(b);
            let shift = 64 - 8 * v.len() as u32;
            Some(if signed { (((u << shift) as i64) >> shift).to_string() } else { u.to_string() })
        };
        Some(match t.kind {
            kind::STRING => named(string(mem, data)?),
            kind::INT..=kind::INT64 => named(int(true)?),
            kind::UINT..=kind::UINTPTR => named(int(false)?),
            kind::BOOL => named((mem.read_u8(data).ok()? != 0).to_string()),
            kind::POINTER => {
                // Most errors are pointers to a struct that begins with the message.
                let inner = self.runtime_elem(mem, &t).and_then(|e| self.runtime_type(mem, e));
                let message = inner.filter(|i| i.kind == kind::STRUCT && i.size >= 16).and_then(|_| string(mem, data));
                match message.filter(|m| !m.is_empty()) {
                    Some(m) => m,
                    None => format!("({}) {data}", t.name),
                }
            }
            _ => format!("({}) {data}", t.name),
        })
    }
}

fn string(mem: &dyn Memory, at: LoadAddr) -> Option<String> {
    let ptr = mem.read_ptr(at).ok()?;
    let len = mem.read_u64(at.add(8)).ok()?;
    if len == 0 {
        return Some(String::new());
    }
    if len > 1 << 40 {
        return None;
    }
    let bytes = mem.read_vec(ptr, len.min(MAX_TEXT) as usize).ok()?;
    Some(text::printable(&bytes, MAX_TEXT as usize))
}
