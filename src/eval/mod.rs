//! Floor 4: the expression language: the subset of Go that Delve's `print` knows.
//!
//! `lex` and `parse` make a tree of the text, `compile` finds names and types once, `run` computes it at a stop, as
//! often as a breakpoint is hit. Nothing here calls functions of the target or writes to it; `set` only says which
//! bytes would have to be written where.

mod call;
mod compile;
mod constant;
mod convert;
mod error;
mod lex;
mod ops;
mod parse;
mod run;
mod select;
mod set;
pub mod template;
mod types;

pub use call::{Argument, CallPlan, Plan, plan_call};
pub use compile::{Compiled, compile};
pub use constant::Const;
pub use error::EvalError;
pub use run::{Context, EvalValue};
pub use set::{Assignment, assign};
pub use template::{Template, check_template};

use crate::goruntime::value::Limits;
use crate::model::Variable;

/// Is it an expression at all? Names are not looked up.
pub fn check_syntax(expression: &str) -> Result<(), EvalError> {
    parse::parse(expression).map(drop)
}

/// Evaluates an expression once, as a row to show.
pub fn evaluate(cx: &Context<'_>, expression: &str, limits: Limits) -> Result<(EvalValue, Variable), EvalError> {
    let compiled = compile(&cx.reader, &cx.scope, expression)?;
    let value = compiled.run(cx)?;
    let variable = value.variable(&cx.reader, expression, limits);
    Ok((value, variable))
}
