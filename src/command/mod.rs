//! Floor 8: one table of commands and their verbs.
//!
//! Key maps, the help overlay, the palette, the `:` line with its completion and the list in the README are made from
//! [`COMMANDS`]. A command makes an [`Action`] for the session or a [`Ui`] verb for the screen; nothing is done here.

mod parse;
mod probe;
mod table;
mod ui;

pub use crate::session::{Action, BreakpointEdit, BreakpointName, FrameMove, Needs};
pub use parse::{breakpoint_args, split_words};
pub use table::COMMANDS;
pub use ui::Ui;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// The session does it.
    Session(Action),
    /// The screen does it.
    Ui(Ui),
}

/// What completes a command's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// It takes none.
    None,
    /// A place: function, `file:line`.
    Place,
    /// A Go expression.
    Expression,
    /// A breakpoint's number or name.
    Breakpoint,
    /// A goroutine.
    Goroutine,
    /// A number.
    Number,
    /// A command.
    Command,
    /// A setting.
    Setting,
    /// Any text.
    Text,
}

/// Where help lists a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Running the program.
    Running,
    /// Breakpoints.
    Breakpoints,
    /// Values, goroutines, frames.
    Looking,
    /// Panes and lists.
    Screen,
    /// The session as a whole.
    Session,
}

impl Group {
    /// All, in help's order.
    pub const ALL: [Group; 5] = [Group::Running, Group::Breakpoints, Group::Looking, Group::Screen, Group::Session];
    /// The heading in help.
    pub fn title(self) -> &'static str {
        match self {
            Group::Running => "Running the program",
            Group::Breakpoints => "Breakpoints",
            Group::Looking => "Goroutines, frames, values",
            Group::Screen => "The screen",
            Group::Session => "The session",
        }
    }
}

/// One command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Other names; Delve's among them.
    pub aliases: &'static [&'static str],
    /// A word or two for the status line.
    pub short: &'static str,
    /// How its arguments are written; empty when it takes none.
    pub usage: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// Where help lists it.
    pub group: Group,
    /// What completes its argument.
    pub arg: Arg,
    /// What must be so.
    pub needs: Needs,
    /// Makes the verb from the text after the name.
    pub make: fn(&str) -> Result<Do, String>,
}

/// The command with this name or alias.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name == name || c.aliases.contains(&name))
}

/// Splits a line into the command and the text after it. A unique beginning of a name is enough.
pub fn look_up(line: &str) -> Result<(&'static Command, &str), String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if let Some(c) = find(word) {
        return Ok((c, rest.trim()));
    }
    let mut like = COMMANDS.iter().filter(|c| !word.is_empty() && c.name.starts_with(word));
    match (like.next(), like.next()) {
        (Some(c), None) if c.name != "kill" => Ok((c, rest.trim())),
        (Some(a), Some(b)) => Err(format!("{word} could be {} or {}", a.name, b.name)),
        _ => Err(format!("no command {word}; ? lists all")),
    }
}

/// What a command line asks for.
pub fn parse(line: &str) -> Result<Do, String> {
    let (command, rest) = look_up(line)?;
    (command.make)(rest).map_err(|e| if e.is_empty() { usage(command) } else { e })
}

/// How a command is written.
pub fn usage(c: &Command) -> String {
    format!("usage: {} {}", c.name, c.usage)
}

/// All commands as Markdown, for the README.
pub fn markdown() -> String {
    let mut out = String::new();
    for group in Group::ALL {
        out.push_str(&format!("\n**{}**\n\n| command | does |\n|---|---|\n", group.title()));
        for c in COMMANDS.iter().filter(|c| c.group == group) {
            let mut names = format!("`{}", c.name);
            if !c.usage.is_empty() {
                names.push_str(&format!(" {}", c.usage.replace('|', "\\|")));
            }
            names.push('`');
            for a in c.aliases {
                names.push_str(&format!(" `{a}`"));
            }
            out.push_str(&format!("| {names} | {} |\n", c.doc));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_documented() {
        let mut seen = BTreeSet::new();
        for c in COMMANDS {
            for n in std::iter::once(&c.name).chain(c.aliases) {
                assert!(seen.insert(*n), "{n} is there twice");
            }
            assert!(c.doc.ends_with('.') && c.doc.len() > 12, "{}: {:?}", c.name, c.doc);
            assert!(!c.short.is_empty() && c.short.len() <= 12, "{}: {:?}", c.name, c.short);
            assert_eq!(c.usage.is_empty(), c.arg == Arg::None, "{}", c.name);
        }
    }
    #[test]
    fn needs_agree_with_the_session() {
        for line in ["c", "n", "s", "so", "si", "ni", "b main.f", "clear 1", "p x", "restart", "bp", "regs", "pause"] {
            let (c, rest) = look_up(line).expect(line);
            if let Ok(Do::Session(a)) = (c.make)(rest) {
                assert_eq!(c.needs, crate::session::needs(&a), "{line}");
            }
        }
    }
    #[test]
    fn nothing_short_kills() {
        assert!(parse("k").is_err());
        assert!(parse("kil").is_err());
        assert_eq!(parse("kill"), Ok(Do::Session(Action::Detach { kill: true })));
    }
    #[test]
    fn a_unique_beginning_is_enough() {
        assert_eq!(look_up("contin").map(|(c, _)| c.name), Ok("continue"));
        assert!(look_up("nonsense").is_err());
    }
}
