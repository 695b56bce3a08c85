//! Tokens to a tree.

use super::EvalError;
use super::lex::{Token, syntax, tokens};

/// Deepest nesting of an expression.
const MAX_DEPTH: u32 = 100;

/// An expression as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Ident(String),
    Int(i128),
    Float(f64),
    Imaginary(f64),
    Char(char),
    Str(Vec<u8>),
    /// `x.name`; the operand may be a package.
    Select(Box<Expr>, String),
    Index(Box<Expr>, Vec<Expr>),
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// `x.(T)`; none for `x.(data)`.
    Assert(Box<Expr>, Option<Box<Expr>>),
    Call(Box<Expr>, Vec<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// A type that cannot be read as an expression: `[]byte`, `map[string]int`.
    Type(String),
}

impl std::fmt::Display for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expr::Ident(s) | Expr::Type(s) => f.write_str(s),
            Expr::Int(i) => write!(f, "{i}"),
            Expr::Float(x) => write!(f, "{x}"),
            Expr::Imaginary(x) => write!(f, "{x}i"),
            Expr::Char(c) => write!(f, "{c:?}"),
            Expr::Str(s) => f.write_str(&crate::base::text::quoted(s, 200)),
            Expr::Select(x, n) => write!(f, "{x}.{n}"),
            Expr::Index(x, i) => {
                let i: Vec<String> = i.iter().map(ToString::to_string).collect();
                write!(f, "{x}[{}]", i.join(","))
            }
            Expr::Slice(x, a, b) => {
                let s = |e: &Option<Box<Expr>>| e.as_ref().map_or_else(String::new, ToString::to_string);
                write!(f, "{x}[{}:{}]", s(a), s(b))
            }
            Expr::Assert(x, Some(t)) => write!(f, "{x}.({t})"),
            Expr::Assert(x, None) => write!(f, "{x}.(data)"),
            Expr::Call(x, a) => {
                let a: Vec<String> = a.iter().map(ToString::to_string).collect();
                match **x {
                    Expr::Unary(..) => write!(f, "({x})({})", a.join(", ")),
                    _ => write!(f, "{x}({})", a.join(", ")),
                }
            }
            Expr::Unary(o, x) => write!(f, "{o}{x}"),
            Expr::Binary(o, a, b) => write!(f, "{a} {o} {b}"),
        }
    }
}

struct Parser {
    t: Vec<(Token, usize)>,
    i: usize,
    depth: u32,
}

/// Binary operators by binding strength.
fn strength(op: &str) -> u8 {
    match op {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
        "+" | "-" | "|" | "^" => 4,
        "*" | "/" | "%" | "<<" | ">>" | "&" | "&^" => 5,
        _ => 0,
    }
}

/// Parses a whole expression.
pub(super) fn parse(s: &str) -> Result<Expr, EvalError> {
    let mut p = Parser { t: tokens(s)?, i: 0, depth: 0 };
    let e = p.expr(1)?;
    match p.peek() {
        Token::End => Ok(e),
        _ => Err(p.unexpected("end of expression")),
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        self.t.get(self.i).map_or(&Token::End, |t| &t.0)
    }
    fn op(&self) -> &'static str {
        match self.peek() {
            Token::Op(o) => o,
            _ => "",
        }
    }
    fn next(&mut self) -> Token {
        let t = self.peek().clone();
        self.i += 1;
        t
    }
    fn eat(&mut self, op: &str) -> bool {
        let hit = self.op() == op && !op.is_empty();
        self.i += usize::from(hit);
        hit
    }
    fn need(&mut self, op: &str) -> Result<(), EvalError> {
        if self.eat(op) { Ok(()) } else { Err(self.unexpected(&format!("'{op}'"))) }
    }
    fn unexpected(&self, wanted: &str) -> EvalError {
        let at = self.t.get(self.i).map_or(0, |t| t.1);
        let found = match self.peek() {
            Token::End => "'EOF'".to_string(),
            Token::Op(o) => format!("'{o}'"),
            Token::Ident(s) => s.clone(),
            _ => "literal".to_string(),
        };
        syntax(at, &format!("expected {wanted}, found {found}"))
    }

    fn expr(&mut self, min: u8) -> Result<Expr, EvalError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("a simpler expression"));
        }
        let mut left = self.unary()?;
        loop {
            let op = self.op();
            let s = strength(op);
            if s == 0 || s < min {
                break;
            }
            self.i += 1;
            let right = self.expr(s + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, EvalError> {
        let op = self.op();
        if matches!(op, "+" | "-" | "!" | "^" | "*" | "&") {
            self.i += 1;
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.unexpected("a simpler expression"));
            }
            let x = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::Unary(op, Box::new(x)));
        }
        let x = self.operand()?;
        self.suffixes(x)
    }

    fn operand(&mut self) -> Result<Expr, EvalError> {
        if matches!(self.op(), "[") || matches!(self.peek(), Token::Ident(s) if is_type_word(s)) {
            return Ok(Expr::Type(self.type_text()?));
        }
        match self.next() {
            Token::Ident(s) => Ok(Expr::Ident(s)),
            Token::Int(i) => Ok(Expr::Int(i)),
            Token::Float(x) => Ok(Expr::Float(x)),
            Token::Imaginary(x) => Ok(Expr::Imaginary(x)),
            Token::Char(c) => Ok(Expr::Char(c)),
            Token::Str(s) => Ok(Expr::Str(s)),
            Token::Op("(") => {
                let e = self.expr(1)?;
                self.need(")")?;
                Ok(e)
            }
            _ => {
                self.i -= 1;
                Err(self.unexpected("operand"))
            }
        }
    }

    fn suffixes(&mut self, mut x: Expr) -> Result<Expr, EvalError> {
        loop {
            if self.eat(".") {
                if self.eat("(") {
                    let t = match self.peek() {
                        Token::Ident(s) if s == "data" => {
                            self.i += 1;
                            None
                        }
                        _ => Some(Box::new(self.unary()?)),
                    };
                    self.need(")")?;
                    x = Expr::Assert(Box::new(x), t);
                    continue;
                }
                match self.next() {
                    Token::Ident(n) => x = Expr::Select(Box::new(x), n),
                    _ => {
                        self.i -= 1;
                        return Err(self.unexpected("selector"));
                    }
                }
            } else if self.eat("[") {
                x = self.index(x)?;
            } else if self.eat("(") {
                let mut args = Vec::new();
                while self.op() != ")" {
                    args.push(self.expr(1)?);
                    if !self.eat(",") {
                        break;
                    }
                }
                self.need(")")?;
                x = Expr::Call(Box::new(x), args);
            } else {
                return Ok(x);
            }
        }
    }

    fn index(&mut self, x: Expr) -> Result<Expr, EvalError> {
        let low = if self.op() == ":" { None } else { Some(self.expr(1)?) };
        if self.eat(":") {
            let high = if self.op() == "]" { None } else { Some(Box::new(self.expr(1)?)) };
            if self.op() == ":" {
                return Err(self.unexpected("']' (3-index slices are not supported)"));
            }
            self.need("]")?;
            return Ok(Expr::Slice(Box::new(x), low.map(Box::new), high));
        }
        let mut all: Vec<Expr> = low.into_iter().collect();
        while self.eat(",") {
            all.push(self.expr(1)?);
        }
        self.need("]")?;
        Ok(Expr::Index(Box::new(x), all))
    }

    /// A type in the words of DWARF.
    fn type_text(&mut self) -> Result<String, EvalError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("a simpler type"));
        }
        let t = if self.eat("[") {
            let n = match self.next() {
                Token::Op("]") => String::new(),
                Token::Int(n) => {
                    self.need("]")?;
                    n.to_string()
                }
                _ => {
                    self.i -= 1;
                    return Err(self.unexpected("a length or ']'"));
                }
            };
            format!("[{n}]{}", self.type_text()?)
        } else if self.eat("*") {
            format!("*{}", self.type_text()?)
        } else if self.eat("(") {
            let t = self.type_text()?;
            self.need(")")?;
            t
        } else {
            match self.next() {
                Token::Str(s) => String::from_utf8_lossy(&s).into_owned(),
                Token::Ident(s) if s == "map" => {
                    self.need("[")?;
                    let k = self.type_text()?;
                    self.need("]")?;
                    format!("map[{k}]{}", self.type_text()?)
                }
                Token::Ident(s) if s == "chan" => format!("chan {}", self.type_text()?),
                Token::Ident(s) if matches!(s.as_str(), "interface" | "struct") => {
                    self.need("{")?;
                    self.need("}")?;
                    format!("{s} {{}}")
                }
                Token::Ident(s) if s == "func" => {
                    self.need("(")?;
                    self.need(")")?;
                    "func()".into()
                }
                Token::Ident(mut s) => {
                    if self.eat(".") {
                        match self.next() {
                            Token::Ident(n) => s = format!("{s}.{n}"),
                            _ => return Err(self.unexpected("a type")),
                        }
                    }
                    s
                }
                _ => {
                    self.i -= 1;
                    return Err(self.unexpected("a type"));
                }
            }
        };
        self.depth -= 1;
        Ok(t)
    }
}

fn is_type_word(s: &str) -> bool {
    matches!(s, "map" | "chan" | "interface" | "struct" | "func")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn shapes() {
        let p = |s: &str| parse(s).map_or_else(|e| e.to_string(), |e| e.to_string());
        for s in ["a.b[1].c", "a + b * c", "*p.x", "(*T)(0xc0)", "a[1:]", "x.(data)", "m[\"a\"]", "len(a) > 3 && !b"] {
            assert_eq!(p(s), s.replace("0xc0", "192"), "{s}");
        }
        assert_eq!(p("[]byte(s)"), "[]byte(s)");
        assert!(p("a +").contains("expected operand"));
        assert!(p("a b").contains("expected end"));
        assert!(p(&"(".repeat(5000)).contains("expected"));
        assert!(p(&"-".repeat(5000)).contains("expected"));
    }
}
