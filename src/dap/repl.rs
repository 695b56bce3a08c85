//! `dlv …` in the editor's console: help, config, sources, types, target, examinemem, as Delve's adapter has them.

use super::config::{Common, split_words};
use super::message::sentence;
use super::session::Session;
use crate::backend::protocol::*;
use crate::base::LoadAddr;
use serde_json::json;

/// A command.
pub(super) struct Command {
    /// Its name, and others for it.
    pub names: &'static [&'static str],
    /// The first line is the short form.
    pub help: &'static str,
}

/// All commands.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        names: &["help", "h"],
        help: "Prints the help message.\n\n\tdlv help [command]\n\nType \"help\" followed by the name of a command for more information about it.",
    },
    Command {
        names: &["config"],
        help: "Changes configuration parameters.\n\n\tdlv config -list\n\n\t\tShow all configuration parameters.\n\n\
               \tdlv config -list <parameter>\n\n\t\tShow value of a configuration parameter.\n\n\
               \tdlv config <parameter> <value>\n\n\t\tChanges the value of a configuration parameter.\n\n\
               \tdlv config substitutePath <from> <to>\n\tdlv config substitutePath <from>\n\tdlv config substitutePath -clear\n\n\
               \t\tAdds or removes a path substitution rule. If -clear is used all substitutePath rules are removed.\n\n\
               \tdlv config showPprofLabels <label>\n\tdlv config showPprofLabels -clear <label>\n\tdlv config showPprofLabels -clear\n\n\
               \t\tAdds or removes a label key to show in the callstack view. If -clear is used without an argument,\n\t\tall labels are removed.",
    },
    Command {
        names: &["sources", "s"],
        help: "Print list of source files.\n\n\tdlv sources [<regex>]\n\nIf regex is specified only the source files matching it will be returned.",
    },
    Command {
        names: &["types"],
        help: "Print list of types.\n\n\tdlv types [<regex>]\n\nIf regex is specified only the types matching it will be returned.",
    },
    Command {
        names: &["target"],
        help: "Shows the process that is debugged.\n\n\tdlv target list\n\nadit debugs one process; a child that it starts runs on by itself.",
    },
    Command {
        names: &["examinemem", "x"],
        help: "Examine raw memory at the given address.\n\n\
               \texaminemem [-fmt <format>] [-count|-len <count>] [-size <size>] <address>\n\
               \texaminemem [-fmt <format>] [-count|-len <count>] [-size <size>] -x <expression>\n\n\
               Format represents the data format and the value is one of this list (default hex): bin(binary), oct(octal), dec(decimal) and hex(hexadecimal).\n\
               Length is the number of bytes (default 1) and must be less than or equal to 1000.\n\
               Expression can be an integer expression or pointer value of the memory location to examine.",
    },
];

/// Names listed at most.
const MOST: u32 = 100_000;

impl Session {
    /// Does what stands behind `dlv`.
    pub async fn command_line(&mut self, line: &str, frame: FrameRef) -> Result<String, String> {
        let (name, args) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let args = args.trim();
        let known = COMMANDS.iter().find(|c| c.names.contains(&name)).ok_or("command not available")?;
        match known.names[0] {
            "help" => help(args),
            "config" => self.change_config(args),
            "sources" => self.names(SymbolKind::Sources, args).await,
            "types" => self.names(SymbolKind::Types, args).await,
            "target" => self.target_command(args),
            _ => self.examine(args, frame).await,
        }
    }

    async fn names(&mut self, kind: SymbolKind, filter: &str) -> Result<String, String> {
        let re = regex::Regex::new(filter).map_err(|e| format!("bad regular expression: {e}").replace('\n', " "))?;
        let ask = Request::Symbols { kind, filter: String::new(), count: MOST };
        match self.ask(ask).await {
            Ok(Reply::Symbols { names, .. }) => {
                Ok(names.into_iter().filter(|n| re.is_match(n)).collect::<Vec<_>>().join("\n"))
            }
            Ok(_) => Err("the host answered something else than it was asked".into()),
            Err(f) => Err(sentence(&f)),
        }
    }

    fn target_command(&self, args: &str) -> Result<String, String> {
        let t = &self.target.info;
        match args.split_whitespace().next().unwrap_or("") {
            "list" => Ok(format!("*\t{}\t{}\n", t.pid.unwrap_or(0), t.exe)),
            "follow-exec" if args.trim() == "follow-exec" => Ok("Follow exec mode is disabled".into()),
            "follow-exec" | "switch" => Err("adit debugs one process; a child that it starts runs on by itself".into()),
            _ => Err("unknown target command".into()),
        }
    }

    /// Delve's `config`: shows or changes what the launch configuration said.
    fn change_config(&mut self, args: &str) -> Result<String, String> {
        let (name, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
        let rest = rest.trim();
        if name == "-list" {
            if rest.is_empty() {
                return Ok(NAMES.iter().map(|n| shown(&self.config, n)).collect());
            }
            return Ok(shown(&self.config, rest));
        }
        if !NAMES.contains(&name) {
            return Err(format!("{name:?} is not a configuration parameter"));
        }
        change(&mut self.config, name, rest)?;
        let area = match name {
            "showGlobalVariables" | "showRegisters" => Some("variables"),
            "goroutineFilters" | "hideSystemGoroutines" | "showPprofLabels" => Some("threads"),
            _ => None,
        };
        if let Some(area) = area {
            self.out.event("invalidated", json!({"areas": [area]}));
        }
        Ok(format!("{}\nUpdated", shown(&self.config, name)))
    }

    async fn examine(&mut self, args: &str, frame: FrameRef) -> Result<String, String> {
        let e = examine_args(args)?;
        let at = match super::memory::address(&e.operand) {
            Some(a) if !e.expression => a,
            _ if !e.expression => return Err(format!("convert address into uintptr type failed, {:?}", e.operand)),
            _ => {
                let v = self.tree(frame, &e.operand, self.limits()).await?;
                let pointed = v.children.first().map(|c| c.addr.0);
                let number = String::from_utf8_lossy(&v.value).parse::<i128>().ok().map(|n| n as u64);
                match v.kind {
                    crate::model::VarKind::Pointer => pointed,
                    _ => number,
                }
                .ok_or_else(|| format!("unsupported expression type: {}", v.type_name))?
            }
        };
        let len = (e.count * e.size).min(1000) as u32;
        match self.ask(Request::Memory { addr: LoadAddr(at), len }).await {
            Ok(Reply::Memory { bytes, .. }) => Ok(memory_text(at, &bytes, e.format, e.size)),
            Ok(_) => Err("the host answered something else than it was asked".into()),
            Err(f) => Err(format!("examine memory error: {}", sentence(&f))),
        }
    }
}

fn help(about: &str) -> Result<String, String> {
    if !about.is_empty() {
        let known = COMMANDS.iter().find(|c| c.names.contains(&about)).ok_or("command not available")?;
        return Ok(known.help.to_string());
    }
    let mut out = String::from("The following commands are available:\n");
    for c in COMMANDS {
        let short = c.help.lines().next().unwrap_or("");
        let also = if c.names.len() > 1 { format!(" (alias: {})", c.names[1..].join(" | ")) } else { String::new() };
        out += &format!("    dlv {}{also} \t {short}\n", c.names[0]);
    }
    out += "\nType 'dlv help' followed by a command for full documentation.\n";
    Ok(out)
}

/// Parameters that can be changed.
const NAMES: &[&str] = &[
    "stackTraceDepth",
    "maxStringLen",
    "maxArrayValues",
    "showGlobalVariables",
    "showRegisters",
    "goroutineFilters",
    "showPprofLabels",
    "hideSystemGoroutines",
    "substitutePath",
    "showRawStrings",
];

/// A parameter as Delve lists it.
fn shown(c: &Common, name: &str) -> String {
    let rules: Vec<String> = c.substitute_path.iter().map(|(a, b)| format!("[{a} {b}]")).collect();
    let value = match name {
        "stackTraceDepth" => c.stack_trace_depth.to_string(),
        "maxStringLen" => c.max_string_len.to_string(),
        "maxArrayValues" => c.max_array_values.to_string(),
        "showGlobalVariables" => c.show_global_variables.to_string(),
        "showRegisters" => c.show_registers.to_string(),
        "goroutineFilters" => format!("{:?}", c.goroutine_filters),
        "showPprofLabels" => format!("[{}]", c.show_pprof_labels.join(" ")),
        "hideSystemGoroutines" => c.hide_system_goroutines.to_string(),
        "substitutePath" => format!("[{}]", rules.join(" ")),
        "showRawStrings" => c.show_raw_strings.to_string(),
        _ => return String::new(),
    };
    format!("{name}\t{value}\n")
}

fn change(c: &mut Common, name: &str, rest: &str) -> Result<(), String> {
    let flag = || match rest {
        "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" => Ok(false),
        _ => Err(format!("argument of {name:?} must be true or false")),
    };
    let number = || rest.parse::<u32>().map_err(|_| format!("argument of {name:?} must be a number"));
    match name {
        "stackTraceDepth" => c.stack_trace_depth = number()?.max(1),
        "maxStringLen" => c.max_string_len = number()?,
        "maxArrayValues" => c.max_array_values = number()?,
        "showGlobalVariables" => c.show_global_variables = flag()?,
        "showRegisters" => c.show_registers = flag()?,
        "hideSystemGoroutines" => c.hide_system_goroutines = flag()?,
        "showRawStrings" => c.show_raw_strings = flag()?,
        "goroutineFilters" => c.goroutine_filters = rest.trim_matches('"').to_string(),
        "showPprofLabels" => {
            let words = split_words(rest);
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => {}
                ["-clear"] => c.show_pprof_labels.clear(),
                ["-clear", l] => match c.show_pprof_labels.iter().position(|x| x == l) {
                    Some(i) => drop(c.show_pprof_labels.remove(i)),
                    None => return Err(format!("could not find label {l:?}")),
                },
                [l] => c.show_pprof_labels.push(l.to_string()),
                _ => return Err("too many arguments to \"config showPprofLabels\"".into()),
            }
        }
        _ => {
            let words = split_words(rest);
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => {}
                ["-clear"] => c.substitute_path.clear(),
                [from] | ["-clear", from] => match c.substitute_path.iter().position(|r| r.0 == from) {
                    Some(i) => drop(c.substitute_path.remove(i)),
                    None => return Err(format!("could not find rule for {from:?}")),
                },
                [from, to] => match c.substitute_path.iter_mut().find(|r| r.0 == from) {
                    Some(r) => r.1 = to.to_string(),
                    None => c.substitute_path.push((from.to_string(), to.to_string())),
                },
                _ => return Err("too many arguments to \"config substitutePath\"".into()),
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Examine {
    format: char,
    count: u64,
    size: u64,
    expression: bool,
    operand: String,
}

fn examine_args(args: &str) -> Result<Examine, String> {
    let mut e = Examine { format: 'x', count: 1, size: 1, expression: false, operand: String::new() };
    let mut words = args.split_whitespace();
    while let Some(w) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("bad arguments: expected argument after {w}"));
        match w {
            "-fmt" => {
                e.format = match next()? {
                    "bin" | "binary" => 'b',
                    "oct" | "octal" => 'o',
                    "dec" | "decimal" => 'd',
                    "hex" | "hexadecimal" => 'x',
                    other => return Err(format!("bad arguments: {other:?} is not a valid format")),
                };
            }
            "-count" | "-len" | "-size" => {
                let n = next()?.parse::<u64>().ok().filter(|n| (1..=1000).contains(n));
                let n = n.ok_or_else(|| format!("bad arguments: {w} must be a positive integer up to 1000"))?;
                if w == "-size" {
                    e.size = n.min(8);
                } else {
                    e.count = n;
                }
            }
            "-x" => {
                e.expression = true;
                e.operand = words.by_ref().collect::<Vec<_>>().join(" ");
            }
            w => e.operand = w.to_string(),
        }
    }
    if e.operand.is_empty() { Err("bad arguments: no address specified".into()) } else { Ok(e) }
}

fn memory_text(addr: u64, bytes: &[u8], format: char, size: u64) -> String {
    let size = size.clamp(1, 8) as usize;
    let columns = if format == 'b' { 4 } else { 8 };
    let width = format!("{:x}", addr + bytes.len() as u64).len();
    let mut out = String::new();
    for (row, chunk) in bytes.chunks(size * columns).enumerate() {
        out += &format!("0x{:0width$x}:   ", addr + (row * size * columns) as u64);
        for cell in chunk.chunks_exact(size) {
            let n = cell.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
            out += &match format {
                'b' => format!("{n:0w$b}   ", w = size * 8),
                'o' => format!("0{n:0w$o}   ", w = size * 3),
                'd' => format!("{n:0w$}   ", w = size * 3),
                _ => format!("0x{n:0w$x}   ", w = size * 2),
            };
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config() {
        let mut c = Common::default();
        change(&mut c, "stackTraceDepth", "7").expect("a number");
        change(&mut c, "showRegisters", "true").expect("a flag");
        change(&mut c, "substitutePath", "\"/a b\" /c").expect("a rule");
        change(&mut c, "showPprofLabels", "job").expect("a label");
        assert_eq!(shown(&c, "stackTraceDepth"), "stackTraceDepth\t7\n");
        assert_eq!(shown(&c, "substitutePath"), "substitutePath\t[[/a b /c]]\n");
        assert_eq!(shown(&c, "showPprofLabels"), "showPprofLabels\t[job]\n");
        for (name, bad) in
            [("showRegisters", "yes"), ("stackTraceDepth", "x"), ("substitutePath", "/z"), ("substitutePath", "a b c")]
        {
            assert!(change(&mut c, name, bad).is_err(), "{name} {bad}");
        }
        for n in NAMES {
            assert!(!shown(&c, n).is_empty(), "{n}");
        }
    }

    #[test]
    fn memory() {
        let e = examine_args("-fmt hex -count 20 -size 2 -x &a + 8").expect("arguments");
        assert_eq!((e.count, e.size, e.expression, e.operand.as_str()), (20, 2, true, "&a + 8"));
        assert!(examine_args("").is_err() && examine_args("-fmt x 1").is_err() && examine_args("-count 0 1").is_err());
        assert_eq!(memory_text(0x10, &[1, 2, 3, 4], 'x', 2), "0x10:   0x0201   0x0403   \n");
        assert_eq!(memory_text(0x10, &[5], 'b', 1), "0x10:   00000101   \n");
    }

    #[test]
    fn helps() {
        let all = help("").expect("a list");
        assert!(COMMANDS.iter().all(|c| all.contains(c.names[0])), "{all}");
        assert!(help("x").is_ok() && help("nothing").is_err());
    }
}
