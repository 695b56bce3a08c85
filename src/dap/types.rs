//! Arguments of requests, as the protocol's specification names them. Only what is looked at is here.

use serde::Deserialize;

/// `initialize`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Initialize {
    pub client_name: String,
    pub path_format: String,
    pub lines_start_at1: bool,
    pub columns_start_at1: bool,
    pub supports_variable_type: bool,
    pub supports_variable_paging: bool,
    pub supports_invalidated_event: bool,
    pub supports_memory_event: bool,
}

impl Default for Initialize {
    fn default() -> Self {
        Initialize {
            client_name: String::new(),
            path_format: "path".into(),
            lines_start_at1: true,
            columns_start_at1: true,
            supports_variable_type: false,
            supports_variable_paging: false,
            supports_invalidated_event: false,
            supports_memory_event: false,
        }
    }
}

/// A source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Source {
    pub path: Option<String>,
    pub source_reference: Option<i64>,
}

/// One breakpoint of any kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WantedBreakpoint {
    pub line: i64,
    pub column: Option<i64>,
    pub name: String,
    pub instruction_reference: String,
    pub offset: Option<i64>,
    pub data_id: String,
    pub access_type: Option<String>,
    pub condition: Option<String>,
    pub hit_condition: Option<String>,
    pub log_message: Option<String>,
}

/// `setBreakpoints`, `setFunctionBreakpoints`, `setInstructionBreakpoints`, `setDataBreakpoints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SetBreakpoints {
    pub source: Source,
    pub breakpoints: Vec<WantedBreakpoint>,
    /// The old form.
    pub lines: Vec<i64>,
}

/// `setExceptionBreakpoints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SetExceptions {
    pub filters: Vec<String>,
    pub filter_options: Vec<FilterOption>,
}

/// A filter in its longer form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FilterOption {
    pub filter_id: String,
}

/// `dataBreakpointInfo`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DataInfo {
    pub variables_reference: Option<i64>,
    pub name: String,
    pub frame_id: Option<i64>,
}

/// `breakpointLocations`, `gotoTargets`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lines {
    pub source: Source,
    pub line: i64,
    pub end_line: Option<i64>,
}

/// `next`, `stepIn`, `stepOut`, `exceptionInfo`, `goto`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OnThread {
    pub thread_id: i64,
    pub granularity: Option<String>,
    pub target_id: Option<i64>,
}

/// `stackTrace`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StackTrace {
    pub thread_id: i64,
    pub start_frame: Option<i64>,
    pub levels: Option<i64>,
}

/// `scopes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OnFrame {
    pub frame_id: i64,
}

/// `variables`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Variables {
    pub variables_reference: i64,
    pub filter: Option<String>,
    pub start: Option<i64>,
    pub count: Option<i64>,
}

/// `setVariable`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SetVariable {
    pub variables_reference: i64,
    pub name: String,
    pub value: String,
}

/// `evaluate`, `setExpression`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Evaluate {
    pub expression: String,
    pub frame_id: Option<i64>,
    pub context: Option<String>,
    /// What to assign.
    pub value: String,
}

/// `completions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Completions {
    pub frame_id: Option<i64>,
    pub text: String,
    pub column: i64,
}

/// `readMemory`, `writeMemory`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Memory {
    pub memory_reference: String,
    pub offset: Option<i64>,
    pub count: i64,
    pub data: String,
    pub allow_partial: bool,
}

/// `disassemble`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Disassemble {
    pub memory_reference: String,
    pub offset: Option<i64>,
    pub instruction_offset: Option<i64>,
    pub instruction_count: i64,
    pub resolve_symbols: bool,
}

/// `source`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SourceText {
    pub source: Option<Source>,
    pub source_reference: i64,
}

/// `disconnect`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Disconnect {
    pub terminate_debuggee: Option<bool>,
    pub restart: bool,
}
