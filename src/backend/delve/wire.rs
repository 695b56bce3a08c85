//! What Delve's API version 2 says, as far as it is used here (`service/api/types.go` and `service/rpc2/server.go` of go-delve/delve).
//!
//! Every field may be missing or `null`: servers of different releases send different ones, and a hostile one anything at all.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A field that is missing or `null` has its default value.
fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// One answer, its result not looked into yet.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// Number of the call.
    pub id: Option<u64>,
    /// What came of it.
    pub result: Option<Box<RawValue>>,
    /// Why nothing came of it: a text, or `null`.
    #[serde(default)]
    pub error: serde_json::Value,
}

/// A call.
#[derive(Debug, Serialize)]
pub struct Call<'a, P> {
    /// `RPCServer.State`.
    pub method: &'a str,
    /// The one argument.
    pub params: [P; 1],
    /// Its number.
    pub id: u64,
}

macro_rules! api {
    ($($(#[$m:meta])* $name:ident { $($(#[$f:meta])* $field:ident: $t:ty = $key:literal,)* })*) => { $(
        $(#[$m])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default)]
        #[allow(missing_docs)] // Delve's names, which its own documentation explains
        pub struct $name { $($(#[$f])* #[serde(rename = $key, deserialize_with = "lenient")] pub $field: $t,)* }
    )* };
}

api! {
    /// `GetVersion`.
    Version {
        delve: String = "DelveVersion",
        api: i64 = "APIVersion",
        backend: String = "Backend",
        go: String = "TargetGoVersion",
    }
    /// `IsMulticlient`.
    Multiclient { yes: bool = "IsMulticlient", }
    /// `AttachedToExistingProcess`.
    Attached { yes: bool = "Answer", }
    /// A function.
    Function {
        name: String = "name",
        entry: u64 = "value",
        optimised: bool = "optimized",
    }
    /// A place.
    Place {
        pc: u64 = "pc",
        file: String = "file",
        line: i64 = "line",
        function: Option<Function> = "function",
        pcs: Vec<u64> = "pcs",
    }
    /// What a breakpoint recorded.
    BreakpointInfo {
        stack: Vec<Frame> = "stacktrace",
        variables: Vec<Variable> = "variables",
        arguments: Vec<Variable> = "arguments",
    }
    /// A thread.
    Thread {
        id: i32 = "id",
        pc: u64 = "pc",
        file: String = "file",
        line: i64 = "line",
        function: Option<Function> = "function",
        goroutine: i64 = "goroutineID",
        breakpoint: Option<Breakpoint> = "breakPoint",
        info: Option<BreakpointInfo> = "breakPointInfo",
        returned: Vec<Variable> = "ReturnValues",
        call_return: bool = "CallReturn",
    }
    /// The state of the target.
    State {
        pid: i32 = "Pid",
        command_line: String = "TargetCommandLine",
        running: bool = "Running",
        recording: bool = "Recording",
        dumping: bool = "CoreDumping",
        thread: Option<Thread> = "currentThread",
        goroutine: Option<Goroutine> = "currentGoroutine",
        threads: Vec<Thread> = "Threads",
        step_in_progress: bool = "NextInProgress",
        watch_ended: Vec<Breakpoint> = "WatchOutOfScope",
        exited: bool = "exited",
        exit_status: i32 = "exitStatus",
        reason: String = "stopReason",
    }
    /// `State`, `Command`, `SetExecutionPoint`.
    StateOut { state: Option<State> = "State", }
    /// A frame.
    Frame {
        pc: u64 = "pc",
        file: String = "file",
        line: i64 = "line",
        function: Option<Function> = "function",
        offset: i64 = "FrameOffset",
        pointer_offset: i64 = "FramePointerOffset",
        defers: Vec<Defer> = "Defers",
        bottom: bool = "Bottom",
        error: String = "Err",
    }
    /// A deferred call.
    Defer {
        function: Place = "DeferredLoc",
        statement: Place = "DeferLoc",
        unreadable: String = "Unreadable",
    }
    /// `Stacktrace`.
    Stack { frames: Vec<Frame> = "Locations", }
    /// A goroutine.
    Goroutine {
        id: i64 = "id",
        current: Place = "currentLoc",
        user: Place = "userCurrentLoc",
        statement: Place = "goStatementLoc",
        start: Place = "startLoc",
        thread: i32 = "threadID",
        status: u64 = "status",
        wait_since: i64 = "waitSince",
        wait_reason: i64 = "waitReason",
        unreadable: String = "unreadable",
        labels: std::collections::BTreeMap<String, String> = "labels",
    }
    /// `ListGoroutines`.
    Goroutines {
        goroutines: Vec<Goroutine> = "Goroutines",
        next: i64 = "Nextg",
    }
    /// A value.
    Variable {
        name: String = "name",
        addr: u64 = "addr",
        only_addr: bool = "onlyAddr",
        ty: String = "type",
        real_type: String = "realType",
        flags: u16 = "flags",
        kind: u64 = "kind",
        value: String = "value",
        /// Base64 of a string that is no UTF-8; since 1.25 or so.
        bytes: String = "StringValueBytes",
        len: i64 = "len",
        cap: i64 = "cap",
        children: Vec<Variable> = "children",
        base: u64 = "base",
        unreadable: String = "unreadable",
    }
    /// `ListFunctionArgs`.
    Arguments { list: Vec<Variable> = "Args", }
    /// `ListLocalVars`, `ListPackageVars`.
    Variables { list: Vec<Variable> = "Variables", }
    /// `Eval`.
    Evaluated { variable: Option<Variable> = "Variable", }
    /// A breakpoint as it is.
    Breakpoint {
        id: i32 = "id",
        name: String = "name",
        addr: u64 = "addr",
        addrs: Vec<u64> = "addrs",
        file: String = "file",
        line: i64 = "line",
        function: String = "functionName",
        expression: String = "ExprString",
        condition: String = "Cond",
        hit_condition: String = "HitCond",
        per_goroutine: bool = "HitCondPerG",
        tracepoint: bool = "continue",
        trace_return: bool = "traceReturn",
        stack: i64 = "stacktrace",
        variables: Vec<String> = "variables",
        watch: String = "WatchExpr",
        watch_type: u8 = "WatchType",
        hits: u64 = "totalHitCount",
        disabled: bool = "disabled",
    }
    /// `CreateBreakpoint`.
    Created { breakpoint: Option<Breakpoint> = "Breakpoint", }
    /// `ListBreakpoints`.
    Breakpoints { list: Vec<Breakpoint> = "Breakpoints", }
    /// `FindLocation`.
    Locations {
        list: Vec<Place> = "Locations",
        instead: String = "SubstituteLocExpr",
    }
    /// `FunctionReturnLocations`.
    Returns { addrs: Vec<u64> = "Addrs", }
    /// A register.
    Register {
        name: String = "Name",
        value: String = "Value",
    }
    /// `ListRegisters`.
    Registers { list: Vec<Register> = "Regs", }
    /// `ListThreads`.
    Threads { list: Vec<Thread> = "Threads", }
    /// An instruction.
    Instruction {
        at: Place = "Loc",
        to: Option<Place> = "DestLoc",
        text: String = "Text",
        /// Base64.
        bytes: String = "Bytes",
        breakpoint: bool = "Breakpoint",
        current: bool = "AtPC",
    }
    /// `Disassemble`.
    Code { list: Vec<Instruction> = "Disassemble", }
    /// `ListFunctions`.
    Functions { list: Vec<String> = "Funcs", }
    /// `ListSources`.
    Sources { list: Vec<String> = "Sources", }
    /// `ListTypes`.
    Types { list: Vec<String> = "Types", }
    /// `ExamineMemory`.
    Memory {
        /// Base64.
        bytes: String = "Mem",
    }
    /// `Restart`.
    Restarted { discarded: Vec<Discarded> = "DiscardedBreakpoints", }
    /// A breakpoint that has no place any more.
    Discarded {
        breakpoint: Option<Breakpoint> = "Breakpoint",
        reason: String = "Reason",
    }
}

/// Where names are looked up. Goroutine -1 is the selected one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Scope {
    /// Its id.
    #[serde(rename = "GoroutineID")]
    pub goroutine: i64,
    /// Index of the frame.
    #[serde(rename = "Frame")]
    pub frame: u32,
}

/// How much is loaded of values.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // Delve's words
pub struct LoadConfig {
    #[serde(rename = "FollowPointers")]
    pub follow: bool,
    #[serde(rename = "MaxVariableRecurse")]
    pub depth: i64,
    #[serde(rename = "MaxStringLen")]
    pub string: i64,
    #[serde(rename = "MaxArrayValues")]
    pub elements: i64,
    #[serde(rename = "MaxStructFields")]
    pub fields: i64,
}

/// A breakpoint as it shall be.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)] // Delve's words
pub struct NewBreakpoint {
    pub id: i32,
    pub name: String,
    pub addr: u64,
    pub addrs: Vec<u64>,
    pub file: String,
    pub line: i64,
    #[serde(rename = "functionName")]
    pub function: String,
    #[serde(rename = "ExprString")]
    pub expression: String,
    #[serde(rename = "Cond")]
    pub condition: String,
    #[serde(rename = "HitCond")]
    pub hit_condition: String,
    #[serde(rename = "HitCondPerG")]
    pub per_goroutine: bool,
    #[serde(rename = "continue")]
    pub tracepoint: bool,
    #[serde(rename = "traceReturn")]
    pub trace_return: bool,
    pub stacktrace: u32,
    pub variables: Vec<String>,
    #[serde(rename = "LoadArgs")]
    pub arguments: Option<LoadConfig>,
    pub disabled: bool,
}

/// A resuming command.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // Delve's words
pub struct Command {
    pub name: &'static str,
    #[serde(rename = "goroutineID", skip_serializing_if = "is_zero")]
    pub goroutine: i64,
    #[serde(rename = "ReturnInfoLoadConfig")]
    pub returned: Option<LoadConfig>,
    #[serde(rename = "expr", skip_serializing_if = "String::is_empty")]
    pub expression: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_gaps_and_unknown_fields_are_taken() {
        let s: State =
            serde_json::from_str(r#"{"Pid":7,"Threads":null,"currentThread":null,"Novel":[1]}"#).expect("taken");
        assert!(s.pid == 7 && s.threads.is_empty() && s.thread.is_none());
        assert!(serde_json::from_str::<State>(r#"{"Pid":"seven"}"#).is_err());
        let v: Variable = serde_json::from_str(r#"{"children":[{"name":"x","children":null}]}"#).expect("taken");
        assert_eq!(v.children[0].name, "x");
    }
}
