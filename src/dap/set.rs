//! Assignments: to a variable shown, to an expression.

use super::evaluate::result_of;
use super::message::{Call, Trouble, id, sentence};
use super::present::How;
use super::session::Session;
use super::types::{Evaluate, SetVariable};
use crate::backend::protocol::*;
use crate::model::VarKind;
use serde_json::{Value, json};

const SUMMARY: &str = "Unable to set variable";

impl Session {
    pub async fn set_variable(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: SetVariable = c.args()?;
        let held = self.held(a.variables_reference);
        if held.is_none() {
            let why = format!("unknown reference {}", a.variables_reference);
            return Err(Trouble::new(id::SET, "Unable to lookup variable", why));
        }
        if held.is_some_and(|h| h.kind == super::children::HeldKind::Registers) {
            return self.set_register(&a).await;
        }
        let (frame, expression) = self
            .evaluate_name(a.variables_reference, &a.name)
            .await
            .map_err(|why| Trouble::new(id::SET, SUMMARY, why))?;
        self.assign(frame, &expression, &a.value).await
    }

    pub async fn set_expression(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Evaluate = c.args()?;
        let frame = self.frame(a.frame_id).unwrap_or_default();
        self.assign(frame, &a.expression, &a.value).await
    }

    async fn set_register(&mut self, a: &SetVariable) -> Result<Value, Trouble> {
        let frame = self.held(a.variables_reference).map_or_else(FrameRef::default, |h| h.frame);
        let name = a.name.trim().to_lowercase();
        let ask = Request::SetRegister { frame, name, value: a.value.clone() };
        self.ask(ask).await.map_err(|f| Trouble::of(id::SET, SUMMARY, &f))?;
        self.changed();
        Ok(json!({"value": a.value}))
    }

    /// Assigns, and shows what the variable then is.
    async fn assign(&mut self, frame: FrameRef, expression: &str, value: &str) -> Result<Value, Trouble> {
        let limits = self.limits();
        let before = self
            .tree(frame, expression, limits)
            .await
            .map_err(|why| Trouble::new(id::SET, "Unable to lookup variable", why))?;
        let set = Request::Set { frame, expression: expression.to_string(), value: value.to_string() };
        if let Err(f) = self.ask(set).await {
            // Text needs memory of the program's own: it has to allocate it. A call is for the program to make, too.
            let needs_call = before.kind == VarKind::String || value.contains('(');
            if !needs_call {
                return Err(Trouble::new(id::SET, SUMMARY, sentence(&f)));
            }
            let assignment = format!("{expression} = {value}");
            let results = self.call_function(&assignment, frame).await;
            let results = results.map_err(|why| Trouble::new(id::SET, SUMMARY, why))?;
            if !results.is_empty() {
                return Err(Trouble::new(id::SET, SUMMARY, "interrupted"));
            }
        }
        let shown = match self.tree(frame, expression, limits).await {
            Ok(t) => self.present(t, expression, How::default(), frame).await,
            Err(_it_went_out_of_sight) => super::present::Shown { value: value.to_string(), ..Default::default() },
        };
        self.changed();
        Ok(result_of(&shown, "value"))
    }

    /// What the editor shows may not be true any more.
    pub fn changed(&mut self) {
        if self.editor.supports_invalidated_event {
            self.out.event("invalidated", json!({"areas": ["variables"]}));
        }
    }
}
