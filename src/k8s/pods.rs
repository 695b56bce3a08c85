//! Several pods: each on a thread, so many at a time; and what adit left in them.

use super::around::Around;
use super::kubectl::{Kubectl, RUNNING, quoted};
use super::objects::{Container, Pod, Pods, State};
use super::preflight::{Preflight, Rights, Wish, look};
use super::{NAMED, made};
use crate::backend::protocol::Failure;
use crate::base::text::printable_str;
use serde::Serialize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Does it for each, at most `parallel` at once; answers in their order.
pub fn each<I: Sync, T: Send>(items: &[I], parallel: usize, what: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|s| {
        for _ in 0..parallel.clamp(1, items.len().max(1)) {
            s.spawn(|| {
                while let Some((i, item)) = Some(next.fetch_add(1, Relaxed)).and_then(|i| Some((i, items.get(i)?))) {
                    let one = what(item);
                    *done[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(one);
                }
            });
        }
    });
    done.into_iter().filter_map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Looks at all of them.
///
/// # Errors
/// As [`look`].
pub fn look_at(k: &Kubectl, pods: Vec<Pod>, wish: &Wish) -> Result<Vec<Preflight>, Failure> {
    let rights = Rights::ask(k)?;
    let around = Around::ask(k)?;
    pods.into_iter().map(|p| look(k, p, wish, &rights, &around)).collect()
}

/// What adit left in a pod.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// The pod.
    pub pod: String,
    /// Its debug containers.
    pub containers: Vec<Debug>,
    /// Pods that were made for it: on its node, copies of it.
    pub made: Vec<Made>,
    /// Copies of adit that were removed.
    pub removed: Vec<String>,
}

/// A debug container that is in a pod's spec.
#[derive(Clone, Debug, Serialize)]
pub struct Debug {
    /// Its name.
    pub name: String,
    /// Whose processes it sees.
    pub target: String,
    /// `running`, `ended` or `waiting`, as it was found.
    pub state: &'static str,
    /// What was done about it, in words.
    pub done: String,
}

/// A pod of ours.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// What was done about it, in words.
    pub done: String,
}

/// Of each of our pods in the namespace: which it is for, and what was done about it. One in which a session is going on is left alone.
///
/// # Errors
/// kubectl cannot be run, or lists no pods.
pub fn clean_made(k: &Kubectl, found: &[Pod]) -> Result<Vec<(String, Made)>, Failure> {
    let by = format!("{}={}", made::BY.0, made::BY.1);
    let ours = k.get::<Pods>(&["get", "pods", "-l", &by, "-o", "json"])?.items;
    let mut done = Vec::new();
    for p in ours.iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
        let Some(of) = p.metadata.annotations.get(made::FOR) else { continue };
        if !found.iter().any(|f| &f.metadata.name == of) {
            continue;
        }
        let name = &p.metadata.name;
        let text = match made::end(k, p)? {
            None if k.dry_run => "would be deleted".to_string(),
            None => "was deleted".to_string(),
            Some(why) => format!("still runs: {why}"),
        };
        done.push((of.clone(), Made { name: printable_str(name, 253), done: text }));
    }
    Ok(done)
}

/// Ends the processes of our debug containers, and removes copies of adit.
///
/// # Errors
/// kubectl cannot be run.
pub fn clean(k: &Kubectl, pod: &Pod) -> Result<Left, Failure> {
    let name = pod.metadata.name.as_str();
    let mut containers = Vec::new();
    for e in pod.spec.ephemeral_containers.iter().filter(|e| e.name.starts_with(NAMED)) {
        let state = match pod.ephemeral(&e.name) {
            Some(State { running: Some(_), .. }) => "running",
            Some(State { terminated: Some(_), .. }) => "ended",
            _ => "waiting",
        };
        let stays = "it stays in the pod's spec, without a process, until the pod ends";
        let done = match state {
            "running" => {
                match k.change(
                    &["exec", name, "-c", &e.name, "--", "/adit", "inside", "unpark", &e.name],
                    None,
                    RUNNING,
                )? {
                    None => "would be ended".into(),
                    Some(a) if a.status.success() => format!("its process was ended; {stays}"),
                    Some(a) => format!("still runs: {}", a.why()),
                }
            }
            _ => stays.to_string(),
        };
        let target = printable_str(&e.target_container_name, 63);
        containers.push(Debug { name: printable_str(&e.name, 63), target, state, done });
    }
    let mut removed = Vec::new();
    for c in &pod.spec.containers {
        let script = clean_script(pod, c);
        let a = k.change(&["exec", name, "-c", &c.name, "--", "sh", "-c", &script], None, RUNNING)?;
        // Where there is no shell, nothing was copied to.
        if let Some(a) = a.filter(|a| a.status.success()) {
            let files = String::from_utf8_lossy(&a.out);
            removed.extend(files.lines().filter(|l| l.starts_with('/')).map(|l| printable_str(l, 300)));
        }
    }
    Ok(Left { pod: name.to_string(), containers, made: Vec::new(), removed })
}

/// For any POSIX shell: removes what [`super::push`] copies, and names it.
fn clean_script(pod: &Pod, c: &Container) -> String {
    let folders = super::push::folders_of(pod, c);
    let dirs: Vec<String> = folders.iter().map(|d| quoted(d)).collect();
    format!(
        "for d in {}; do for f in \"$d\"/{NAMED}*-*-????????.s*; do [ -f \"$f\" ] && rm -f \"$f\" && echo \"$f\"; done; done; true",
        dirs.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_at_a_time_and_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<u64> = (0..20).collect();
        let got = each(&items, 3, |i| {
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            std::thread::sleep(Duration::from_millis(20 - *i));
            now.fetch_sub(1, Relaxed);
            i * 2
        });
        assert_eq!(got, items.iter().map(|i| i * 2).collect::<Vec<_>>());
        assert!(most.load(Relaxed) <= 3);
        assert!(each(&[] as &[u8], 3, |_| 1).is_empty());
    }
}
