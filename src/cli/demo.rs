//! `adit demo`: a program with things to find, built on the spot.

use super::args::Common;
use super::build::{folder, go, run};
use crate::backend::protocol::{BuildSpec, Failure, FailureKind, LaunchSpec};

/// The program.
pub const SOURCE: &str = include_str!("../../assets/demo/main.go");
const GO_MOD: &str = "module adit.demo/shop\n\ngo 1.21\n";

/// Writes the program down and builds it.
pub fn build(common: &Common) -> Result<LaunchSpec, Failure> {
    let dir = folder()?.join("demo");
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|t| t == text) {
            return Ok(());
        }
        std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| Failure::new(FailureKind::Build, format!("{}: {e}", path.display())))
    };
    put("go.mod", GO_MOD)?;
    put("main.go", SOURCE)?;
    let exe = dir.join("shop");
    let out = exe.to_string_lossy().into_owned();
    let args = ["build", "-gcflags=all=-N -l", "-o", &out, "."].map(String::from).to_vec();
    let spec = BuildSpec { go: go(common), args, cwd: dir.clone() };
    run(&spec)?;
    Ok(LaunchSpec { exe, cwd: Some(dir), build: Some(spec), size: (80, 24), ..LaunchSpec::default() })
}
