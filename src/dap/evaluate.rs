//! Expressions, `call` and `dlv` commands typed or hovered over.

use super::children::{Held, HeldKind};
use super::message::{Call, Trouble, id, sentence};
use super::present::{How, Shown};
use super::session::{Session, unexpected};
use super::types::Evaluate;
use crate::backend::protocol::*;
use crate::model::{ValueTree, VarKind, Variable};
use serde_json::{Value, json};

/// A single string is shown up to here, bytes.
const SINGLE_STRING: u32 = 4 << 10;
/// Strings in results of calls.
const RESULT_STRING: u32 = 1 << 10;

const SUMMARY: &str = "Unable to evaluate expression";

impl Session {
    pub async fn evaluate(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Evaluate = c.args()?;
        let context = a.context.as_deref().unwrap_or("");
        // What is typed or watched shows its error in its place.
        let quiet = matches!(context, "watch" | "repl" | "hover");
        let fail = |n: i64, summary: &str, why: String| {
            let t = Trouble::new(n, summary, why);
            if quiet { t } else { t.shown() }
        };
        let frame = self.frame(a.frame_id).unwrap_or_default();
        let text = a.expression.trim_start();
        if let Some(command) = command_of(text, "dlv") {
            let done = self.command_line(command, frame).await;
            return match done {
                Ok(result) => Ok(json!({"result": result, "variablesReference": 0})),
                Err(why) => Err(fail(id::COMMAND, "Unable to run dlv command", why)),
            };
        }
        if let Some(expression) = command_of(text, "call") {
            return self.call(expression, frame).await.map_err(|why| fail(id::EVALUATE, SUMMARY, why));
        }
        let mut limits = self.limits();
        let tree = self.tree(frame, &a.expression, limits).await.map_err(|why| fail(id::EVALUATE, SUMMARY, why))?;
        let cut = tree.kind == VarKind::String && tree.unreadable.is_none() && tree.len > tree.value.len() as i64;
        let tree = if cut && matches!(context, "repl" | "variables" | "hover" | "clipboard") {
            limits.string = limits.string.max(SINGLE_STRING);
            self.tree(frame, &a.expression, limits).await.unwrap_or(tree)
        } else {
            tree
        };
        let how = How { alone: false, full: matches!(context, "clipboard" | "variables") };
        let at = tree.base;
        let text = matches!(tree.kind, VarKind::String | VarKind::Slice) && !at.is_nil();
        let shown = self.present(tree, &format!("({})", a.expression), how, frame).await;
        let mut body = result_of(&shown, "result");
        if text {
            body["memoryReference"] = json!(format!("{:#x}", at.0));
        }
        Ok(body)
    }

    /// What an expression comes to.
    pub async fn tree(&mut self, frame: FrameRef, expression: &str, limits: LoadLimits) -> Result<ValueTree, String> {
        let of = ValuesOf::Expression { frame, expression: expression.to_string() };
        match self.ask(Request::Values { of, limits }).await {
            Ok(Reply::Values { mut values, .. }) if !values.is_empty() => Ok(values.remove(0)),
            Ok(_) => Err(unexpected(SUMMARY).details),
            Err(f) => Err(sentence(&f)),
        }
    }

    /// Calls a function of the program.
    async fn call(&mut self, expression: &str, frame: FrameRef) -> Result<Value, String> {
        let values = self.call_function(expression, frame).await?;
        if values.is_empty() {
            return Ok(json!({"result": "", "variablesReference": 0}));
        }
        let how = How { alone: true, full: false };
        let mut line = Vec::new();
        for v in &values {
            line.push(self.present(v.clone(), "", how, frame).await.value);
        }
        let tree = ValueTree { children: values, exists: true, ..ValueTree::default() };
        let held = Held { tree, expression: String::new(), kind: HeldKind::Results, start: 0, frame };
        let reference = self.hold(held);
        Ok(json!({"result": line.join(", "), "variablesReference": reference}))
    }

    /// Results of a call. Another stop may come in between: then there are none.
    pub async fn call_function(&mut self, expression: &str, frame: FrameRef) -> Result<Vec<ValueTree>, String> {
        if frame.frame > 0 {
            return Err("call is only supported with topmost stack frame".into());
        }
        let limits = LoadLimits { string: RESULT_STRING, ..self.limits() };
        let ask = Request::Call { frame, expression: expression.to_string(), limits };
        let reply = self.ask_long(ask, true).await;
        // The stop at which the call ended is the present one; another one in between has been told.
        let pending: Vec<Notice> = self.news.drain(..).collect();
        for n in pending {
            self.hear(n).await;
        }
        let (values, panicked) = match reply {
            Ok(Reply::Called { values, panicked, .. }) => (values, panicked),
            Ok(_) => return Err(unexpected(SUMMARY).details),
            Err(f) => return Err(sentence(&f)),
        };
        if let Some(p) = panicked {
            return Err(format!("the function panicked: {}", p.value));
        }
        let mut out = Vec::new();
        for v in values {
            out.push(self.tree_of(v, limits).await);
        }
        Ok(out)
    }

    /// A result with what is in it, while it can be read.
    pub async fn tree_of(&mut self, v: Variable, limits: LoadLimits) -> ValueTree {
        if v.handle != 0 {
            let ask = Request::Values { of: ValuesOf::Given(v.handle), limits };
            if let Ok(Reply::Values { mut values, .. }) = self.ask(ask).await
                && !values.is_empty()
            {
                return ValueTree { name: v.name, flags: v.flags, ..values.remove(0) };
            }
        }
        ValueTree {
            name: v.name,
            type_name: v.type_name,
            // Its text is all there is.
            kind: if v.kind == VarKind::Uint { VarKind::Uint } else { VarKind::Other },
            value: v.value.into_bytes(),
            exists: true,
            flags: v.flags,
            ..ValueTree::default()
        }
    }
}

/// What stands behind a leading word, if it is there with something behind it.
fn command_of<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let trimmed = rest.trim_start();
    (trimmed.len() < rest.len() && !trimmed.is_empty()).then_some(trimmed)
}

/// A presented value as a response's body.
pub(super) fn result_of(s: &Shown, field: &str) -> Value {
    let mut v = json!({field: s.value, "variablesReference": s.reference});
    if !s.type_name.is_empty() {
        v["type"] = json!(s.type_name);
    }
    if s.indexed > 0 {
        v["indexedVariables"] = json!(s.indexed);
    }
    if s.named > 0 {
        v["namedVariables"] = json!(s.named);
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn words() {
        assert_eq!(command_of("dlv help", "dlv"), Some("help"));
        assert_eq!(command_of("call  f(1)", "call"), Some("f(1)"));
        for not in ["dlv", "dlv ", "dlvx y", "callee.x", "x call y"] {
            assert_eq!((command_of(not, "dlv"), command_of(not, "call")), (None, None), "{not}");
        }
    }
}
