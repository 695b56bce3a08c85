//! A real editor drives `adit dap`: Emacs with dap-mode (Debian's elpa-dap-mode). Without it this says so and checks nothing.

mod common;

use common::{DEBUG, build, line_of, source_dir};
use std::path::Path;
use std::process::Command;

/// Is there an Emacs with dap-mode?
fn has_dap_mode() -> bool {
    let ask = "(progn (package-activate-all) (kill-emacs (if (locate-library \"dap-mode\") 0 1)))";
    Command::new("emacs").args(["--batch", "--eval", ask]).output().is_ok_and(|o| o.status.success())
}

#[test]
fn emacs_with_dap_mode() {
    if !has_dap_mode() {
        eprintln!("no Emacs with dap-mode here (Debian: emacs-nox elpa-dap-mode): nothing was checked");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dap/emacs.el");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let home = tempfile::tempdir().expect("a folder");
    let out = Command::new("emacs")
        .args(["--batch", "-l"])
        .arg(script)
        .env("HOME", home.path())
        .env("ADIT", env!("CARGO_BIN_EXE_adit"))
        .env("EXE", build("editor", DEBUG))
        .env("SRC", source_dir("editor").join("main.go"))
        .env("PORT", port.to_string())
        .output()
        .expect("emacs runs");
    let said = String::from_utf8_lossy(&out.stdout);
    let line = |text: &str| line_of("editor", text);
    let (call, function, body) = (line("n := double(21)"), line("func double"), line("// in double"));
    let want = [
        format!("stopped main.look:{call} with the cursor in line {call}; first.Name = \"apple\""),
        format!("in main.double:{function} with the cursor in line {function}"),
        format!("next main.double:{body} with the cursor in line {body}; n = 21"),
        format!("out main.look:{call} with the cursor in line {call}"),
        "over".to_string(),
    ];
    let got: Vec<&str> = said.lines().collect();
    assert_eq!(got, want, "{}", String::from_utf8_lossy(&out.stderr));
}
