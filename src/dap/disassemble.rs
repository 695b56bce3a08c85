//! Disassembly around an address, in exactly as many rows as the editor asks for.

use super::message::{Call, Trouble, id};
use super::session::{Session, failed, unexpected};
use super::types::Disassemble;
use crate::backend::protocol::*;
use crate::base::LoadAddr;
use crate::base::text::hex;
use serde_json::{Value, json};

/// Rows of one answer.
const MAX_ROWS: i64 = 10_000;

fn nothing(address: String) -> Value {
    json!({"address": address, "instruction": "invalid instruction", "presentationHint": "invalid"})
}

impl Session {
    pub async fn disassemble(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Unable to disassemble";
        let a: Disassemble = c.args()?;
        let no = |why: String| Err(Trouble::new(id::DISASSEMBLE, SUMMARY, why));
        let Some(base) = super::memory::address(&a.memory_reference) else {
            return no(format!("{:?} is not an address", a.memory_reference));
        };
        let rows = a.instruction_count;
        if !(0..=MAX_ROWS).contains(&rows) {
            return no(format!("{rows} instructions: at most {MAX_ROWS} are given at once"));
        }
        // Editors scroll beyond the ends of memory, at which our own answers put them.
        if base == 0 || base == u64::MAX {
            let all: Vec<Value> = (0..rows).map(|_| nothing(a.memory_reference.clone())).collect();
            return Ok(json!({"instructions": all}));
        }
        let addr = LoadAddr(base.wrapping_add_signed(a.offset.unwrap_or(0)));
        let skip = a.instruction_offset.unwrap_or(0).clamp(-MAX_ROWS, MAX_ROWS);
        let before = (-skip).max(0);
        let count = (rows + skip).max(0);
        // One instruction at the address at least, or nobody knows where it is in what comes.
        let ask = Request::Code { addr, before: before as u32, count: (count as u32).max(1) };
        let lines = match self.ask(ask).await.map_err(failed(id::DISASSEMBLE, SUMMARY))? {
            Reply::Code(lines) => lines,
            _ => return Err(unexpected(SUMMARY)),
        };
        let here = lines.iter().position(|l| l.instruction.pc == addr).unwrap_or(0) as i64;
        let first = here + skip;
        let mut out = Vec::with_capacity(rows as usize);
        let mut last = (String::new(), 0);
        for row in first..first + rows {
            let line = usize::try_from(row).ok().and_then(|i| lines.get(i));
            let Some(l) = line else {
                out.push(nothing(if row < 0 { "0x0".into() } else { format!("{:#x}", u64::MAX) }));
                continue;
            };
            let i = &l.instruction;
            let bytes = hex(&i.bytes);
            let mut v = json!({"address": format!("{:#x}", i.pc.0), "instructionBytes": bytes, "instruction": i.text});
            if a.resolve_symbols && !l.function.is_empty() {
                v["symbol"] = json!(l.function);
            }
            if i.line > 0 && (l.file.as_str(), i.line) != (last.0.as_str(), last.1) {
                let path = self.editor_path(&l.file);
                v["location"] = json!({"name": path.rsplit('/').next().unwrap_or(""), "path": path});
                v["line"] = json!(i.line);
                last = (l.file.clone(), i.line);
            }
            out.push(v);
        }
        Ok(json!({"instructions": out}))
    }
}
