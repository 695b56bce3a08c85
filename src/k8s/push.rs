//! adit copied into the program's own container, where a shell lets it be written and a folder lets it run; and removed again.

use super::kubectl::{Kubectl, RUNNING, quoted};
use super::objects::{Container, Pod};
use super::preflight::{Preflight, Way, Wish};
use super::ways::{Inside, Leaves, Stuck, There, settle};
use crate::backend::host::OURSELVES;
use crate::backend::piped;
use crate::backend::protocol::{Failure, FailureKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Copying ourselves into a container.
const PUSHING: Duration = Duration::from_secs(300);
/// What our scripts say when adit runs from there.
const AT: &str = "adit-at ";
/// Folders that containers can write, as a rule; `/dev/shm` is often noexec.
const FOLDERS: [&str; 4] = ["/tmp", "/dev/shm", "/var/tmp", "/run"];

/// Folders of the program's container that may be written: the pod's empty ones first.
pub(super) fn folders(p: &Preflight) -> Vec<String> {
    folders_of(&p.pod, &p.container)
}

/// As [`folders`], of any container.
pub(super) fn folders_of(pod: &Pod, c: &Container) -> Vec<String> {
    pod.scratch(c).into_iter().chain(FOLDERS.map(String::from)).collect()
}

/// For any POSIX shell: writes standard input to the first folder from which it runs, and says where.
pub(super) fn push_script(folders: &[String], name: &str, random: &str) -> String {
    let dirs: Vec<String> = folders.iter().map(|d| quoted(d)).collect();
    format!(
        "umask 077; s=; for d in {}; do [ -d \"$d\" ] && [ -w \"$d\" ] || continue; f=\"$d/{name}.{random}\"; \
         if [ -z \"$s\" ]; then cat > \"$f\"; else cat \"$s\" > \"$f\" && rm -f \"$s\"; fi || {{ rm -f \"$f\"; continue; }}; \
         s=\"$f\"; chmod 700 \"$f\"; [ \"$(\"$f\" inside self 2>/dev/null)\" = {name} ] && echo \"{AT}$f\" && exit 0; done; \
         [ -n \"$s\" ] && rm -f \"$s\"; echo adit-nowhere",
        dirs.join(" ")
    )
}

/// By a copy of ours in the program's container.
pub(super) fn exec(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish) -> Result<Inside, Stuck> {
    let (pod, container) = (&p.pod.metadata.name, &p.container.name);
    let unreadable = |e: std::io::Error| Failure::new(FailureKind::Internal, format!("cannot read this adit: {e}"));
    let own = wish.adit.as_deref().unwrap_or(Path::new(OURSELVES));
    let name = piped::name_there(own).map_err(unreadable)?;
    let session = piped::session_name()?;
    let script = push_script(&folders(p), &name, &session);
    let bytes = std::fs::read(own).map_err(unreadable)?;
    let a = k.change(&["exec", "-i", pod, "-c", container, "--", "sh", "-c", &script], Some(&bytes), PUSHING)?;
    let Some(a) = a else { return Err(Failure::new(FailureKind::Internal, "nothing is run in a dry run").into()) };
    let out = String::from_utf8_lossy(&a.out);
    let Some(file) = out.lines().find_map(|l| l.strip_prefix(AT)).map(str::to_string) else {
        let no_shell =
            ["executable file not found", "no such file or directory", "stat sh"].iter().any(|w| a.err.contains(w));
        let f = if out.contains("adit-nowhere") {
            Failure::new(
                FailureKind::Unavailable,
                format!("no folder of {container} lets a program be written and run"),
            )
            .fix("an emptyDir volume in the container is enough; or use a debug container (--image)")
        } else if no_shell {
            Failure::new(FailureKind::Unavailable, format!("there is no shell in {container}"))
                .fix("use a debug container (--image), or --way endpoint")
        } else {
            k.refused(&a)
        };
        return Err(f.into());
    };
    let there = There::new(k, pod, container, &file);
    let settled = settle(there, None, wish, Way::Exec, Leaves::File);
    if settled.is_err() {
        remove(k, pod, container, &file);
    }
    settled
}

/// Removes a copy of ours; what kept it there.
pub(super) fn remove(k: &Kubectl, pod: &str, container: &str, file: &str) -> Option<String> {
    let script = format!("rm -f {}", quoted(file));
    match k.change(&["exec", pod, "-c", container, "--", "sh", "-c", &script], None, RUNNING) {
        Ok(Some(a)) if !a.status.success() => Some(a.why()),
        Ok(_) => None,
        Err(f) => Some(f.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn scripts_take_any_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let odd = dir.path().join("it's $(x)");
        std::fs::create_dir(&odd).expect("made");
        // Stands for adit: says its name.
        let program = "#!/bin/sh\n[ \"$1 $2\" = \"inside self\" ] && echo NAME\n";
        let run = |folders: &[String], program: &str| {
            let mut c = Command::new("sh");
            c.args(["-c", &push_script(folders, "NAME", "r1")]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = c.spawn().expect("sh");
            child.stdin.take().expect("piped").write_all(program.as_bytes()).expect("written");
            String::from_utf8(child.wait_with_output().expect("ended").stdout).expect("text")
        };
        let folder = odd.to_str().expect("text").to_string();
        let said = run(&["/nowhere".into(), folder.clone()], program);
        assert_eq!(said, format!("adit-at {folder}/NAME.r1\n"));
        // What does not say the right name is not left there.
        std::fs::remove_file(odd.join("NAME.r1")).expect("was there");
        assert_eq!(run(&[folder.clone(), "/nowhere".into()], "#!/bin/sh\necho OTHER\n"), "adit-nowhere\n");
        assert_eq!(std::fs::read_dir(&odd).expect("read").count(), 0);
    }
}
