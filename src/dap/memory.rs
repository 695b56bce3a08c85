//! Raw memory by reference, and addresses in general.

use super::message::{Call, Trouble, id, sentence};
use super::session::{Session, failed, unexpected};
use super::types::Memory;
use crate::backend::protocol::*;
use crate::base::LoadAddr;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Bytes of one answer.
const MAX_READ: i64 = 1 << 20;

/// `0x…` or decimal.
pub(super) fn address(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Session {
    pub async fn read_memory(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Unable to read memory";
        let a: Memory = c.args()?;
        let no = |why: &str| Err(Trouble::new(id::READ_MEMORY, SUMMARY, why));
        if a.count < 0 {
            return no("negative count");
        }
        let Some(base) = address(&a.memory_reference) else { return no("unknown memoryReference") };
        let at = base.wrapping_add_signed(a.offset.unwrap_or(0));
        let shown = format!("{at:#x}");
        if a.count == 0 {
            return Ok(json!({"address": shown, "data": "", "unreadableBytes": 0}));
        }
        let len = a.count.min(MAX_READ) as u32;
        let bytes = match self.ask(Request::Memory { addr: LoadAddr(at), len }).await {
            Ok(Reply::Memory { bytes, .. }) => bytes,
            Ok(_) => return Err(unexpected(SUMMARY)),
            // Nothing of it can be read: the protocol has a place for that.
            Err(f) if f.kind == FailureKind::Unavailable => Vec::new(),
            Err(f) => return Err(Trouble::new(id::READ_MEMORY, SUMMARY, sentence(&f))),
        };
        let missing = if bytes.len() as i64 == i64::from(len) { 0 } else { a.count - bytes.len() as i64 };
        Ok(json!({"address": shown, "data": STANDARD.encode(&bytes), "unreadableBytes": missing}))
    }

    pub async fn write_memory(&mut self, c: &Call) -> Result<(), Trouble> {
        const SUMMARY: &str = "Unable to write memory";
        let a: Memory = c.args()?;
        let no = |why: &str| Err(Trouble::new(id::WRITE_MEMORY, SUMMARY, why));
        if a.data.is_empty() {
            return no("empty data");
        }
        let Some(base) = address(&a.memory_reference) else { return no("unknown memoryReference") };
        let Ok(bytes) = STANDARD.decode(&a.data) else { return no("the data are not base64") };
        let at = base.wrapping_add_signed(a.offset.unwrap_or(0));
        let len = bytes.len();
        self.ask(Request::SetMemory { addr: LoadAddr(at), bytes }).await.map_err(failed(id::WRITE_MEMORY, SUMMARY))?;
        self.out.respond(c, json!({"bytesWritten": len}));
        if self.editor.supports_memory_event {
            self.out.event(
                "memory",
                json!({"memoryReference": a.memory_reference, "offset": a.offset.unwrap_or(0), "count": len}),
            );
        }
        self.changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn addresses() {
        assert_eq!((address("0x10"), address("16"), address("x")), (Some(16), Some(16), None));
    }
}
