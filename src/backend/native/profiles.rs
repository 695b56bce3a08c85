//! Profiles of a running process: which it has, and one of them fetched. On a thread of its own: fetching takes as long as
//! measuring does, and nobody waits for it meanwhile.

use crate::backend::outbox::Out;
use crate::backend::profile::ProfileDesk;
use crate::backend::protocol::*;
use crate::backend::{fetch, oncpu};
use crate::engine::Loaded;
use crate::model::ProfileSource;
use crate::target::linux::perf::OnCpu;
use crate::target::linux::procfs;
use std::io::Read;
use std::sync::mpsc;

/// Bytes of the index that are looked at.
const INDEX: u64 = 256 << 10;
/// What each profile tells, in the order of the list.
const ABOUT: [(&str, &str, &str); 8] = [
    ("profile", "CPU for 5 s", "where time on processors goes"),
    ("heap", "heap", "what is alive in memory, as of the last collection"),
    ("allocs", "allocations", "what was allocated since the start"),
    ("goroutine", "goroutines", "where all goroutines stand"),
    ("mutex", "mutex", "who made others wait for locks (needs SetMutexProfileFraction)"),
    ("block", "block", "where goroutines waited (needs SetBlockProfileRate)"),
    ("goroutineleak", "leaked goroutines", "goroutines that nothing can wake; runs a collection"),
    ("threadcreate", "threads", "where threads were made"),
];

struct Job {
    id: u64,
    request: Request,
    out: Out,
}

/// The thread.
pub(super) struct Profiles {
    jobs: mpsc::Sender<Job>,
}

impl Profiles {
    /// Starts it.
    pub(super) fn start(loaded: &Loaded) -> Result<Profiles, Failure> {
        let (jobs, rx) = mpsc::channel::<Job>();
        let pid = loaded.pid;
        let linked = linked(loaded);
        let work = move || {
            let mut desk = None;
            while let Ok(Job { id, request, out }) = rx.recv() {
                let result = answer(&mut desk, pid, linked, request);
                if out.blocking_send(FromHost::Reply { id, result }).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("profiles".into())
            .spawn(work)
            .map_err(|e| Failure::new(FailureKind::Internal, format!("cannot start the reader of profiles: {e}")))?;
        Ok(Profiles { jobs })
    }

    /// Hands it a request; the reply goes to the client by itself. False when the thread has ended.
    pub(super) fn send(&self, id: u64, request: Request, out: Out) -> bool {
        self.jobs.send(Job { id, request, out }).is_ok()
    }
}

fn answer(desk: &mut Option<ProfileDesk>, pid: i32, linked: bool, r: Request) -> Result<Reply, Failure> {
    let none = || Failure::new(FailureKind::BadState, "no profile is open").fix("fetch one: :profiles lists them");
    match r {
        Request::ProfileSources => {
            let mut all = sources(pid, linked);
            if let Reply::ProfileSources { sources, .. } = &mut all
                && OnCpu::open(pid, 1, false).is_ok()
            {
                sources.insert(0, perf(pid));
            }
            Ok(all)
        }
        Request::ProfileFetch { url } => {
            // Only what was offered: a client cannot send the host anywhere else.
            let Reply::ProfileSources { sources, .. } = sources(pid, linked) else { return Err(none()) };
            if url != perf(pid).url && !sources.iter().any(|s| s.url == url) {
                return Err(Failure::new(FailureKind::BadRequest, format!("{url} is no profile of this process")));
            }
            *desk = Some(ProfileDesk::open(&[url], &[])?);
            Ok(Reply::Done)
        }
        Request::Profile(q) => desk.as_mut().ok_or_else(none)?.answer(&q).map(|v| Reply::Profile(Box::new(v))),
        Request::ProfileBase { base } => desk.as_mut().ok_or_else(none)?.set_base(&base).map(|()| Reply::Done),
        other => Err(Failure::new(FailureKind::Internal, format!("not about profiles: {other:?}"))),
    }
}

/// What needs nothing of the program.
fn perf(pid: i32) -> ProfileSource {
    ProfileSource {
        name: format!("CPU for {} s, from outside", oncpu::SECONDS),
        url: oncpu::source(pid, oncpu::SECONDS),
        about: "which code runs, by the kernel's perf events; the runtime's own work apart".into(),
    }
}

/// The handlers are in the program or not: nobody needs to be asked who cannot answer.
pub(super) fn linked(loaded: &Loaded) -> bool {
    loaded.sym.find_function("net/http/pprof.Index").is_some()
}

/// Where the process serves its profiles, found among the ports on which it listens; or why nowhere.
pub(super) fn handlers(pid: i32, linked: bool) -> Result<String, String> {
    found(pid, linked).map(|f| f.0)
}

/// As [`handlers`], of a program that was opened for reading: `http://127.0.0.1:PORT/debug/pprof/`.
///
/// # Errors
/// Why nowhere.
pub fn endpoints(pid: i32, loaded: &Loaded) -> Result<String, String> {
    handlers(pid, linked(loaded))
}

/// That, and what stands there.
fn found(pid: i32, linked: bool) -> Result<(String, String), String> {
    if !linked {
        return Err("the program has no net/http/pprof in it: import _ \"net/http/pprof\" and listen on a port of 127.0.0.1; or have it \
                    write one with runtime/pprof, and open the file: adit prof FILE"
            .into());
    }
    if !procfs::same_network(pid) {
        return Err("the process has a network of its own: run adit inside (kubectl exec, docker exec), or forward its port and open \
                    adit prof http://127.0.0.1:PORT"
            .into());
    }
    let ports = procfs::listening(pid);
    for (port, v4) in &ports {
        let host = if *v4 { "127.0.0.1" } else { "[::1]" };
        let at = format!("http://{host}:{port}/debug/pprof/");
        if let Some(index) = index(&at) {
            return Ok((at, index));
        }
    }
    let tried: Vec<String> = ports.iter().map(|p| p.0.to_string()).collect();
    Err(match tried.as_slice() {
        [] => "the program has net/http/pprof in it, but listens on no port that can be reached from here".to_string(),
        t => format!(
            "the program has net/http/pprof in it, but no port answers /debug/pprof/ (tried {}); adit prof URL fetches from another \
             path",
            t.join(", ")
        ),
    })
}

/// What can be had there.
fn sources(pid: i32, linked: bool) -> Reply {
    match found(pid, linked) {
        Ok((at, index)) => {
            Reply::ProfileSources { sources: offers(&at, &index), why: format!("profiles at {at}, Enter fetches one") }
        }
        Err(why) => Reply::ProfileSources { sources: Vec::new(), why },
    }
}

fn index(at: &str) -> Option<String> {
    let mut text = String::new();
    fetch::get_quickly(at).ok()?.take(INDEX).read_to_string(&mut text).ok()?;
    text.contains("/debug/pprof/").then_some(text)
}

fn offers(at: &str, index: &str) -> Vec<ProfileSource> {
    let there =
        ABOUT.iter().filter(|(path, ..)| index.contains(&format!("'{path}?")) || index.contains(&format!("\"{path}?")));
    let mut all: Vec<ProfileSource> = there
        .map(|(path, name, about)| {
            let seconds = if *path == "profile" { format!("?seconds={}", fetch::SECONDS) } else { String::new() };
            ProfileSource { name: name.to_string(), url: format!("{at}{path}{seconds}"), about: about.to_string() }
        })
        .collect();
    // The program's own, by the links of the index.
    for link in index.split("href=").skip(1) {
        let link = link.trim_start_matches(['\'', '"']);
        let name = link.split(['?', '\'', '"', '>']).next().unwrap_or("");
        let plain = !name.is_empty()
            && name.len() <= 80
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let known = ["cmdline", "trace", "symbol"].contains(&name) || ABOUT.iter().any(|(p, ..)| *p == name);
        if plain && !known && all.iter().all(|s| s.name != name) {
            let url = format!("{at}{name}");
            all.push(ProfileSource { name: name.to_string(), url, about: "a profile of the program's own".into() });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_the_links_of_the_index() {
        let row = |n: &str| format!("<tr><td>7</td><td><a href='{n}?debug=1'>{n}</a></td></tr>");
        let text = ["heap", "goroutine", "tickets", "cmdline", "trace", "profile", "../x y"].map(row).concat();
        let all = offers("http://127.0.0.1:6060/debug/pprof/", &text);
        let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["CPU for 5 s", "heap", "goroutines", "tickets"]);
        assert_eq!(all[0].url, "http://127.0.0.1:6060/debug/pprof/profile?seconds=5");
    }
}
