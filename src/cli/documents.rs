//! Completions and the manual page, made from the command line's definition.

use super::args::Cli;
use clap::CommandFactory;

/// Completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "adit", &mut out);
    out
}

/// The manual page: adit, then each of its commands.
pub fn manual() -> Vec<u8> {
    let mut out = Vec::new();
    let command = Cli::command();
    // Writing into a Vec cannot fail.
    let _vec = clap_mangen::Man::new(command.clone()).render(&mut out);
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let sub = sub.clone().display_name(format!("adit-{}", sub.get_name()));
        let page = clap_mangen::Man::new(sub);
        let _vec = page.render_name_section(&mut out);
        let _vec = page.render_synopsis_section(&mut out);
        let _vec = page.render_options_section(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_and_every_command() {
        for shell in clap_complete::Shell::value_variants() {
            let text = String::from_utf8(completions(*shell)).expect("utf-8");
            assert!(text.contains("goroutines") && text.contains("low-bandwidth"), "{shell}");
        }
        let man = String::from_utf8(manual()).expect("utf-8");
        for sub in Cli::command().get_subcommands().filter(|s| !s.is_hide_set()) {
            assert!(man.contains(&format!("adit\\-{}", sub.get_name())), "{}", sub.get_name());
        }
    }
}
