//! Text with expressions in braces, as log points have: `user {u.Name} has {len(u.items)}`; `{{` and `}}` stand for braces.

use super::compile::{Compiled, compile};
use super::error::{EvalError, other};
use super::parse::parse;
use super::run::Context;
use crate::goruntime::value::{FrameScope, Limits, Reader};

/// A piece of a template.
#[derive(Clone, Debug)]
pub enum Part<E> {
    /// Text as it is.
    Text(String),
    /// What is replaced by its value.
    Expression(E),
}

/// A template whose expressions were compiled for a place.
#[derive(Clone, Debug, Default)]
pub struct Template {
    parts: Vec<Part<Result<Compiled, EvalError>>>,
}

/// Takes a template apart.
pub fn split(text: &str) -> Result<Vec<Part<String>>, EvalError> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                plain.push(c);
            }
            '{' => {
                let (mut depth, mut expression) = (1, String::new());
                for c in chars.by_ref() {
                    depth += match c {
                        '{' => 1,
                        '}' => -1,
                        _ => 0,
                    };
                    if depth == 0 {
                        break;
                    }
                    expression.push(c);
                }
                if depth > 0 {
                    return other(format!("no }} for the {{ before `{expression}`"));
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Expression(expression));
            }
            c => plain.push(c),
        }
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// Is it a template, and are its expressions ones? Names are not looked up.
pub fn check_template(text: &str) -> Result<(), EvalError> {
    split(text)?.into_iter().try_for_each(|p| match p {
        Part::Text(_) => Ok(()),
        Part::Expression(e) => parse(&e).map(drop),
    })
}

impl Template {
    /// Compiles a template for a scope. An expression that does not compile says why in the text that comes out.
    pub fn compile(reader: &Reader<'_>, scope: &FrameScope, text: &str) -> Result<Template, EvalError> {
        let parts = split(text)?
            .into_iter()
            .map(|p| match p {
                Part::Text(t) => Part::Text(t),
                Part::Expression(e) => Part::Expression(compile(reader, scope, &e)),
            })
            .collect();
        Ok(Template { parts })
    }

    /// The text, expressions replaced by their values.
    pub fn run(&self, cx: &Context<'_>, limits: Limits) -> String {
        let mut out = String::new();
        for p in &self.parts {
            match p {
                Part::Text(t) => out.push_str(t),
                Part::Expression(e) => match e.as_ref().map_err(Clone::clone).and_then(|c| c.run(cx)) {
                    Ok(v) => out.push_str(&v.variable(&cx.reader, "", limits).value),
                    Err(e) => out.push_str(&format!("<{e}>")),
                },
            }
        }
        out
    }

    /// See [`Compiled::is_of_frame`].
    pub fn is_of_frame(&self) -> bool {
        self.parts.iter().all(|p| matches!(p, Part::Text(_)) || matches!(p, Part::Expression(Ok(c)) if c.is_of_frame()))
    }

    /// Does it ask for the goroutine?
    pub fn uses_goroutine(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Expression(Ok(c)) if c.uses_goroutine()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces() {
        let show = |t: &str| {
            split(t).map(|v| {
                v.into_iter()
                    .map(|p| match p {
                        Part::Text(t) => t,
                        Part::Expression(e) => format!("<{e}>"),
                    })
                    .collect::<String>()
            })
        };
        assert_eq!(show("a {b} {{c}} {m[T{1}]}").expect("a template"), "a <b> {c} <m[T{1}]>");
        assert!(show("a {b").is_err());
        assert!(check_template("{a +}").is_err() && check_template("x {a.b[3]}").is_ok());
    }
}
