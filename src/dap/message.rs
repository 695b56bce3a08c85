//! What goes over the wire: requests as they come in, failures as they are told.

use crate::backend::protocol::Failure;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A request of the editor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Its number.
    pub seq: i64,
    /// What.
    pub command: String,
    /// With what; null for nothing.
    pub arguments: Value,
}

/// What the reading thread says.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A request.
    Call(Call),
    /// A message that is none, its number as far as known.
    Bad(i64, String),
    /// The editor is gone, or does not speak the protocol.
    End(Option<String>),
}

impl Call {
    /// The arguments, typed. Absent ones are an empty object.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        let value = match &self.arguments {
            Value::Null => Value::Object(serde_json::Map::new()),
            v => v.clone(),
        };
        serde_json::from_value(value)
            .map_err(|e| Trouble::new(id::INTERNAL, "Internal Error", format!("arguments of {}: {e}", self.command)))
    }
}

/// Takes a message's body apart.
pub(super) fn parse(body: &[u8]) -> Incoming {
    let value: Value = match serde_json::from_slice(body) {
        Ok(v) => v,
        Err(e) => return Incoming::Bad(0, format!("not JSON: {e}")),
    };
    let seq = value.get("seq").and_then(Value::as_i64).unwrap_or(0);
    match value.get("type").and_then(Value::as_str) {
        Some("request") => {}
        // Answers to requests of ours: there are none that need one.
        Some("response" | "event") => return Incoming::Bad(seq, "only requests are expected here".into()),
        _ => return Incoming::Bad(seq, "a message without a type".into()),
    }
    match value.get("command").and_then(Value::as_str) {
        Some(c) => Incoming::Call(Call {
            seq,
            command: c.to_string(),
            arguments: value.get("arguments").cloned().unwrap_or_default(),
        }),
        None => Incoming::Bad(seq, "a request without a command".into()),
    }
}

/// Numbers of errors, as Delve gives them (`service/dap/error_ids.go`).
pub(super) mod id {
    pub const UNSUPPORTED: i64 = 9999;
    pub const INTERNAL: i64 = 8888;
    pub const LAUNCH: i64 = 3000;
    pub const ATTACH: i64 = 3001;
    pub const INITIALIZE: i64 = 3002;
    pub const BREAKPOINTS: i64 = 2002;
    pub const STACK: i64 = 2004;
    pub const LOCALS: i64 = 2005;
    pub const GLOBALS: i64 = 2007;
    pub const VARIABLE: i64 = 2008;
    pub const EVALUATE: i64 = 2009;
    pub const HALT: i64 = 2010;
    pub const EXCEPTION: i64 = 2011;
    pub const SET: i64 = 2012;
    pub const DISASSEMBLE: i64 = 2013;
    pub const REGISTERS: i64 = 2014;
    pub const COMMAND: i64 = 2015;
    pub const READ_MEMORY: i64 = 2016;
    pub const DATA_INFO: i64 = 2017;
    pub const WRITE_MEMORY: i64 = 2018;
    pub const GOTO: i64 = 2019;
    pub const SOURCE: i64 = 2020;
    pub const NOT_STARTED: i64 = 3000;
    pub const RUNNING: i64 = 4000;
    pub const DISCONNECT: i64 = 5000;
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Number of the error.
    pub id: i64,
    /// What did not work.
    pub summary: String,
    /// Why.
    pub details: String,
    /// The editor should show it in a window of its own.
    pub show: bool,
}

impl Trouble {
    pub fn new(id: i64, summary: &str, details: impl Into<String>) -> Trouble {
        Trouble { id, summary: summary.into(), details: details.into(), show: false }
    }
    /// The cause and the fix in one line.
    pub fn of(id: i64, summary: &str, f: &Failure) -> Trouble {
        Trouble::new(id, summary, sentence(f))
    }
    /// To be shown.
    pub fn shown(mut self) -> Trouble {
        self.show = true;
        self
    }
}

/// Cause and fix.
pub(super) fn sentence(f: &Failure) -> String {
    match &f.fix {
        Some(fix) => format!("{} ({fix})", f.message),
        None => f.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_requests_are_requests() {
        let bad = |s: &str| match parse(s.as_bytes()) {
            Incoming::Bad(seq, why) => (seq, why),
            other => panic!("{s}: {other:?}"),
        };
        assert_eq!(bad("{").0, 0);
        assert_eq!(bad(r#"{"seq":4}"#).0, 4);
        assert_eq!(bad(r#"{"seq":4,"type":"request"}"#), (4, "a request without a command".into()));
        assert_eq!(bad(r#"{"seq":4,"type":"response","command":"x"}"#).0, 4);
        assert!(matches!(bad("[1,2]"), (0, _)));
        let Incoming::Call(c) = parse(br#"{"seq":7,"type":"request","command":"next","arguments":{"threadId":1}}"#)
        else {
            panic!("a request");
        };
        assert_eq!((c.seq, c.command.as_str(), c.arguments["threadId"].as_i64()), (7, "next", Some(1)));
    }
}
