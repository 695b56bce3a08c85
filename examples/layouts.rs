//! Writes the tables of field offsets and wait reasons anew: `make layouts`.
//!
//! Arguments: the folder to write to, then programs, one built by each release, not stripped.

use adit::base::mmap::FileBytes;
use adit::goruntime::layout::generate::{Release, names, table, wait_reasons};
use adit::symbols::Symbols;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("layouts: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("usage: layouts FOLDER PROGRAM...")?;
    let names = names();
    let mut releases = Vec::new();
    for path in args {
        let bytes = FileBytes::open(Path::new(&path)).map_err(|e| format!("{path}: {e}"))?;
        let symbols = Symbols::load(bytes).map_err(|e| format!("{path}: {e}"))?;
        let r = Release::read(&symbols, &names)?;
        println!("layouts: {}", r.version());
        releases.push(r);
    }
    if releases.is_empty() {
        return Err("no programs".into());
    }
    if let Some(n) = Release::unknown(&releases, &names).into_iter().next() {
        return Err(format!("{n} is in none of these releases: misspelt?"));
    }
    let write = |name: &str, text: String| {
        let path = Path::new(&out).join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    write("table.rs", table(&releases, &names))?;
    write("waitreasons.rs", wait_reasons(&releases))
}
