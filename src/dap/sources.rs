//! Sources: their text, which there are, and the module that they belong to.

use super::message::{Call, Trouble, id, sentence};
use super::session::{Session, failed};
use super::types::SourceText;
use crate::backend::protocol::*;
use crate::base::LoadAddr;
use serde_json::{Value, json};

/// Sources listed at most.
const MOST: u32 = 100_000;
/// Instructions shown of a function without a source.
const INSTRUCTIONS: u32 = 2_000;

impl Session {
    /// A source that is no file: the editor gets disassembly for it.
    pub fn made_up_source(&mut self, function: &str, pc: u64) -> Value {
        let name = if function.is_empty() { format!("{pc:#x}") } else { function.to_string() };
        let known = self.sources.iter().position(|s| s.0 == name);
        let n = known.unwrap_or_else(|| {
            self.sources.push((name.clone(), pc));
            self.sources.len() - 1
        });
        json!({
            "name": format!("{name} (disassembly)"), "sourceReference": n + 1, "presentationHint": "deemphasize",
            "origin": "no source: made by the compiler, or by no Go code",
        })
    }

    pub async fn source(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Unable to get source";
        let a: SourceText = c.args()?;
        let source = a.source.unwrap_or_default();
        let reference = source.source_reference.filter(|r| *r > 0).unwrap_or(a.source_reference);
        if reference > 0 {
            let known = usize::try_from(reference - 1).ok().and_then(|n| self.sources.get(n)).cloned();
            let Some((name, pc)) = known else {
                return Err(Trouble::new(id::SOURCE, SUMMARY, format!("unknown sourceReference {reference}")));
            };
            let text = self.disassembly(&name, pc).await;
            return Ok(json!({"content": text, "mimeType": "text/x-asm"}));
        }
        let Some(path) = source.path.filter(|p| !p.is_empty()) else {
            return Err(Trouble::new(id::SOURCE, SUMMARY, "neither a path nor a sourceReference"));
        };
        let file = self.program_path(&path);
        match self.ask(Request::Source { file }).await.map_err(failed(id::SOURCE, SUMMARY))? {
            Reply::Source { text, .. } => Ok(json!({"content": text, "mimeType": "text/x-go"})),
            _ => Err(super::session::unexpected(SUMMARY)),
        }
    }

    /// What a function without a source does; or why that cannot be shown.
    async fn disassembly(&mut self, name: &str, pc: u64) -> String {
        let ask = Request::Code { addr: LoadAddr(pc), before: INSTRUCTIONS, count: INSTRUCTIONS };
        match self.ask(ask).await {
            Ok(Reply::Code(lines)) => {
                let own = lines.iter().filter(|l| l.function == name || lines.len() == 1);
                let row = |l: &CodeLine| format!("{:#x}\t{}\n", l.instruction.pc.0, l.instruction.text);
                format!("// {name}: there is no source\n\n{}", own.map(row).collect::<String>())
            }
            Ok(_) => format!("// {name}: there is no source\n"),
            Err(f) => format!("// {name}: there is no source, and no code: {}\n", sentence(&f)),
        }
    }

    pub async fn loaded_sources(&mut self) -> Result<Value, Trouble> {
        let ask = Request::Symbols { kind: SymbolKind::Sources, filter: String::new(), count: MOST };
        let names = match self.ask(ask).await.map_err(failed(id::SOURCE, "Unable to list sources"))? {
            Reply::Symbols { names, .. } => names,
            _ => Vec::new(),
        };
        let one = |f: &String| {
            let path = self.editor_path(f);
            json!({"name": path.rsplit('/').next().unwrap_or(""), "path": path})
        };
        let files = names.iter().filter(|n| !n.starts_with('<')).map(one);
        Ok(json!({"sources": files.collect::<Vec<_>>()}))
    }

    pub fn modules(&self) -> Value {
        let t = &self.target.info;
        let symbols = if t.stripped { "Symbols not found." } else { "Symbols loaded." };
        let module = json!({
            "id": 0, "name": t.exe.rsplit('/').next().unwrap_or(""), "path": t.exe, "version": t.go,
            "isOptimized": t.optimised, "isUserCode": true, "symbolStatus": symbols,
        });
        json!({"modules": [module], "totalModules": 1})
    }
}
