//! Containers of a kind for tests: `tests/programs/kubectl` runs programs in namespaces of users, processes and mounts, with a root of
//! their own. Needs the right to make them: the tests that use them say plainly when the machine does not grant it.

use super::{build, build_with};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Capabilities that Docker and containerd leave to a container.
pub const DEFAULT_CAPS: u64 = 0xa804_25fb;
/// CAP_SYS_PTRACE.
pub const PTRACE: u64 = 1 << 19;

/// The stand-in for kubectl, which also makes boxes. Without C in it: it runs in roots that have no libraries.
pub fn standin() -> PathBuf {
    build_with("kubectl", &["-tags=netgo,osusergo"], "")
}

/// May this machine's user make them?
pub fn possible() -> bool {
    let may = nix::unistd::geteuid().is_root();
    if !may {
        println!("skipped: making containers for a test needs root");
    }
    may
}

/// A folder that other users may look into.
pub fn open_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    dir
}

/// Puts a program and the libraries that it needs into a root.
pub fn install(root: &Path, program: &Path, to: &str) {
    put(root, program, to);
    libraries(root, program);
}

fn libraries(root: &Path, program: &Path) {
    // What is not dynamic has none.
    let ldd = Command::new("ldd").arg(program).output().expect("ldd");
    for word in String::from_utf8_lossy(&ldd.stdout).split_whitespace().filter(|w| w.starts_with('/')) {
        put(root, Path::new(word), word);
    }
}

fn put(root: &Path, from: &Path, to: &str) {
    let to = root.join(to.trim_start_matches('/'));
    if to.exists() {
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    let from = from.canonicalize().expect("a file");
    // The same file where it can be: ours is large.
    std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).expect("installed");
}

/// The root of an image with nothing but adit in it.
pub fn image() -> tempfile::TempDir {
    let dir = open_folder();
    install(dir.path(), Path::new(env!("CARGO_BIN_EXE_adit")), "/adit");
    dir
}

/// A shell and the programs that images have beside it.
pub fn shell(root: &Path) {
    for p in ["sh", "cat", "chmod", "rm", "id"] {
        install(root, &which(p), &format!("/bin/{p}"));
    }
    // The adit of tests is not static.
    libraries(root, Path::new(env!("CARGO_BIN_EXE_adit")));
}

fn which(program: &str) -> PathBuf {
    let dirs = ["/bin", "/usr/bin"];
    dirs.iter().map(|d| Path::new(d).join(program)).find(|p| p.exists()).unwrap_or_else(|| panic!("no {program}"))
}

/// Starts a program in a box, as `spec` says, and waits until it says that it is ready: the stand-in, with which it ends, and its pid.
pub fn start(spec: &Value) -> (Child, i32) {
    let mut c = Command::new(standin());
    c.args(["box", &spec.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = c.spawn().expect("the stand-in");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("a line");
    let pid = line.trim().strip_prefix("pid ").and_then(|p| p.parse().ok());
    let pid = pid.unwrap_or_else(|| panic!("no box: {line}"));
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    line.clear();
    while !line.to_lowercase().starts_with("ready") {
        line.clear();
        if out.read_line(&mut line).expect("a line") == 0 {
            let mut why = String::new();
            err.read_to_string(&mut why).expect("text");
            panic!("the program in the box ended: {why}");
        }
    }
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
    (child, pid)
}

/// A program in a box; it and all beside it end with this.
pub struct Boxed {
    child: Child,
    /// Its pid, as we see it.
    pub pid: i32,
    /// Its root.
    pub root: tempfile::TempDir,
}

impl Boxed {
    /// Runs a Go program of the tests in a box, and waits until it says that it is ready.
    pub fn program(name: &str, args: &[&str], uid: u32, with_shell: bool) -> Boxed {
        let root = open_folder();
        install(root.path(), &build(name, &[]), "/app");
        if with_shell {
            shell(root.path());
        }
        let words: Vec<&str> = std::iter::once("/app").chain(args.iter().copied()).collect();
        let spec = json!({"root": root.path(), "mounts": true, "userns": true, "pidns": true, "uid": uid, "caps": DEFAULT_CAPS,
            "args": words, "env": ["PATH=/bin"]});
        let (child, pid) = start(&spec);
        Boxed { child, pid, root }
    }

    /// Processes of the box that have ended and that nobody collects.
    pub fn zombies(&self) -> Vec<String> {
        let ns = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid_for_children")).ok();
        let own = ns(&self.pid.to_string());
        let mut found = Vec::new();
        for e in std::fs::read_dir("/proc").expect("proc").flatten() {
            let name = e.file_name().to_string_lossy().into_owned();
            let Ok(status) = std::fs::read_to_string(e.path().join("status")) else { continue };
            let field = |k: &str| status.lines().find_map(|l| l.strip_prefix(k)).unwrap_or("").trim().to_string();
            if field("PPid:") == self.pid.to_string() && field("State:").starts_with('Z') {
                found.push(format!("{name} {}", field("Name:")));
            }
        }
        assert!(own.is_some(), "the program lives");
        found
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        // The program dies with its parent, and all in its namespace with it.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Runs a command in a box of this process's files, to its end.
pub fn in_box(spec: Value) -> std::process::Output {
    Command::new(standin()).args(["box", &spec.to_string()]).stdin(Stdio::null()).output().expect("the stand-in")
}
