//! `adit k8s …`: from words to pods, and what is done there.

use super::args::k8s::{AllArgs, InsideSub, K8sSub, WhereArgs, class};
use super::args::{Common, ProfArgs};
use super::{doctor, full_screen_at, needs_terminal, out, print, style, target, wire};
use crate::backend::client::Client;
use crate::backend::host::OURSELVES;
use crate::backend::piped::name_there;
use crate::backend::protocol::{DiagnoseQuery, Failure, FailureKind, LaunchSpec, Request, TargetSpec};
use crate::base::text::printable_str;
use crate::batch::fleet::{self, Replica, Seen};
use crate::batch::{self, exit};
use crate::k8s::endpoint::Endpoint;
use crate::k8s::kubectl::Kubectl;
use crate::k8s::objects::Pod;
use crate::k8s::preflight::{self, Preflight, Wish};
use crate::k8s::ways::{self, Entered, Inside};
use crate::k8s::{Named, inside, made, pods};
use crate::model::FindingClass;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Something to look at, and what has to stay for as long as it is looked at.
pub struct Opened {
    /// A client of a host in the pod; none when what came is a file here.
    pub client: Option<Client>,
    /// What to open.
    pub spec: TargetSpec,
    /// How it was gone in.
    pub way: &'static str,
    inside: Option<Box<Inside>>,
    _endpoint: Option<Box<Endpoint>>,
    _dump: Option<tempfile::NamedTempFile>,
}

impl Opened {
    /// A client: of the host there, or of one in this process for what is a file here.
    fn client(&mut self, common: &Common) -> Result<Client, Failure> {
        self.client.take().map_or_else(|| wire::read_in_process(common), Ok)
    }

    /// Shows it on the whole screen, and leaves.
    fn full_screen(mut self, common: &Common) -> Result<u8, Failure> {
        let client = self.client.take();
        let code = full_screen_at(common, client, self.spec.clone(), None, false);
        self.leave();
        code
    }

    /// Leaves, and says what could not be removed.
    fn leave(mut self) {
        drop(self.client.take());
        if let Some(left) = self.inside.as_mut().and_then(|i| i.leave()) {
            eprintln!("adit: {}", printable_str(&left, 500));
        }
    }
}

fn wish(at: &WhereArgs, common: &Common) -> Wish {
    Wish {
        container: at.container.clone(),
        image: at.image.clone().unwrap_or_default(),
        user: at.user,
        way: at.way(),
        node_namespace: at.node_namespace.clone(),
        port: at.port,
        pid: at.pid,
        adit: None,
        profile: common.profile.word(),
    }
}

fn say(text: &str) {
    eprintln!("adit: {}", printable_str(text, 1_000));
}

/// `adit k8s …`.
pub fn run(common: &Common, what: &K8sSub) -> Result<u8, Failure> {
    let at = what.at();
    let mut k = Kubectl::new(at.context.clone(), at.namespace.clone(), at.dry_run);
    let named = Named::parse(&at.target)?;
    if matches!(what, K8sSub::Attach { .. } | K8sSub::Debug { .. }) && !at.dry_run {
        needs_terminal()?;
    }
    let found = preflight::pods(&mut k, &named)?;
    let k = Arc::new(k);
    let wish = wish(at, common);
    if let K8sSub::Cleanup { json, .. } = what {
        return cleanup(&k, &found, at.node_namespace.as_deref(), *json);
    }
    let chosen = match what {
        K8sSub::Doctor { .. } => found,
        K8sSub::Snapshot { all: AllArgs { all: true, .. }, .. }
        | K8sSub::Diagnose { all: AllArgs { all: true, .. }, .. } => found,
        _ => vec![one(found)?],
    };
    let looked = pods::look_at(&k, chosen, &wish)?;
    if let K8sSub::Doctor { json, .. } = what {
        return report(&k, &looked, *json);
    }
    if let K8sSub::Debug { command, .. } = what {
        let p = looked.first().ok_or_else(|| Failure::new(FailureKind::Internal, "no pod was chosen"))?;
        return debug(common, &k, p, &wish, command);
    }
    if at.dry_run {
        for p in &looked {
            ways::plan(&k, p, &wish)?;
        }
        return print_noted(&k);
    }
    let only = || looked.first().ok_or_else(|| Failure::new(FailureKind::Internal, "no pod was chosen"));
    match what {
        K8sSub::Attach { .. } => attach(common, &k, only()?, &wish),
        K8sSub::Snapshot { all, output, force, json, .. } if all.all => {
            let job = Job::Snapshot { folder: output.clone(), force: *force };
            several(common, &k, &looked, &wish, all, &job, *json)
        }
        K8sSub::Snapshot { output, force, json, .. } => {
            let (file, len, seen) = snapshot(common, &k, only()?, &wish, output, *force)?;
            let replica = Replica {
                pod: only()?.pod.metadata.name.clone(),
                way: seen.1,
                seen: Ok(Seen { file: Some((file, len)), ..seen.0 }),
            };
            fleet::fleet(&[replica], FindingClass::Strong, style(common, *json), &mut out())
        }
        K8sSub::Diagnose { all, min, mute, no_heap, json, .. } if all.all => {
            let query =
                DiagnoseQuery { listed: if *json { u32::MAX } else { 12 }, mutes: mute.clone(), no_heap: *no_heap };
            several(common, &k, &looked, &wish, all, &Job::Diagnose { query, min: class(min) }, *json)
        }
        K8sSub::Diagnose { min, mute, no_heap, json, .. } => {
            let args = batch::Diagnose {
                min: class(min),
                no_heap: *no_heap,
                mutes: mute.clone(),
                style: style(common, *json),
            };
            let mut o = open(&k, only()?, &wish, false, false)?;
            let mut client = o.client(common)?;
            let info = batch::open(&mut client, o.spec.clone())?;
            let code = batch::diagnose(&mut client, &info, &args, &mut out());
            let_go(client);
            o.leave();
            code
        }
        K8sSub::Prof { kind, seconds, top, svg, json, .. } => {
            let pod = only()?;
            let port = preflight::port(&pod.container, &wish);
            let e = Endpoint::open(&k, &pod.pod.metadata.name, port)?;
            let tail = if kind == "profile" { format!("?seconds={seconds}") } else { String::new() };
            let url = e.url(&format!("/debug/pprof/{kind}{tail}"));
            super::profile(common, &ProfArgs::of(url, *top, svg.clone(), *json))
        }
        K8sSub::Doctor { .. } | K8sSub::Cleanup { .. } | K8sSub::Debug { .. } => {
            Err(Failure::new(FailureKind::Internal, "done before"))
        }
    }
}

/// The one that is meant: the only one, or the one that the user names when asked.
fn one(mut found: Vec<Pod>) -> Result<Pod, Failure> {
    let names: Vec<String> = found.iter().map(|p| printable_str(&p.metadata.name, 253)).collect();
    if found.len() > 1 && io::stdin().is_terminal() && io::stderr().is_terminal() {
        for (i, p) in found.iter().enumerate() {
            let ready = if p.ready() { "" } else { ", not ready" };
            eprintln!("{:>3}  {}{ready}", i + 1, names[i]);
        }
        eprint!("which one? ");
        let mut line = String::new();
        let _end_of_input_is_no_answer = io::stdin().lock().read_line(&mut line);
        let n = line.trim().parse::<usize>().ok().filter(|n| (1..=found.len()).contains(n));
        return n
            .map(|n| found.swap_remove(n - 1))
            .ok_or_else(|| Failure::new(FailureKind::Cancelled, "none was chosen"));
    }
    match (found.pop(), found.is_empty()) {
        (Some(p), true) => Ok(p),
        _ => {
            Err(Failure::new(FailureKind::BadRequest, format!("there are {} pods: {}", names.len(), names.join(", ")))
                .fix("name one of them, or say --all where the command takes it"))
        }
    }
}

/// Goes in, and opens what can be looked at from here, observed or under control. With `lasting` the host outlives its line where it can.
fn open(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish, lasting: bool, control: bool) -> Result<Opened, Failure> {
    match ways::enter(k, p, wish, &say)? {
        Entered::Inside(i) => {
            let client = i.connect(wish.profile, lasting)?;
            let spec = TargetSpec::Attach { pid: i.process.pid, exe: None, control };
            Ok(Opened { client: Some(client), spec, way: i.way.name(), inside: Some(i), _endpoint: None, _dump: None })
        }
        Entered::Endpoint(e) => {
            let dump = kept(&e.dump()?)?;
            let spec = TargetSpec::File { path: dump.path().to_path_buf(), exe: None };
            Ok(Opened { client: None, spec, way: "endpoint", inside: None, _endpoint: Some(e), _dump: Some(dump) })
        }
    }
}

/// A file for us alone, for as long as it is needed.
fn kept(bytes: &[u8]) -> Result<tempfile::NamedTempFile, Failure> {
    let fail = |e: io::Error| Failure::new(FailureKind::Internal, format!("cannot keep the goroutine dump: {e}"));
    let mut f = tempfile::Builder::new().prefix("adit-dump-").suffix(".txt").tempfile().map_err(fail)?;
    f.write_all(bytes).and_then(|()| f.flush()).map_err(fail)?;
    Ok(f)
}

/// The program is let go at once, not when the host finds that nobody is there.
fn let_go(mut client: Client) {
    // A host that is gone has let go.
    let _gone = client.call(Request::Detach { kill: false });
}

fn attach(common: &Common, k: &Arc<Kubectl>, p: &Preflight, wish: &Wish) -> Result<u8, Failure> {
    for why in p.checks.iter().filter(|c| ["probes", "lease"].contains(&c.check) && !c.ok) {
        say(&format!("{}: {}", why.found, why.fix));
    }
    open(k, p, wish, true, true)?.full_screen(common)
}

/// `adit k8s debug`: the program from its start, in a copy of its pod.
fn debug(common: &Common, k: &Arc<Kubectl>, p: &Preflight, wish: &Wish, said: &[String]) -> Result<u8, Failure> {
    let mut words = made::command(p, said)?;
    let Some(mut copied) = made::copy(k, p, wish)? else { return print_noted(k) };
    say(&format!("{} is a copy of {}; it is deleted at the end", copied.pod(), p.pod.metadata.name));
    let client = copied.connect(wish.profile)?;
    let spec = LaunchSpec {
        exe: words.remove(0).into(),
        args: words,
        env: common.env.clone(),
        size: (80, 24),
        ..LaunchSpec::default()
    };
    let code = full_screen_at(common, Some(client), TargetSpec::Launch(spec), None, false);
    if let Some(left) = copied.leave() {
        say(&left);
    }
    code
}

/// Opens `k8s://…` for the full screen or a one-shot, observed or under control.
///
/// # Errors
/// It is no such address (`None` if it is something else altogether); there is no way in.
fn address(word: &str, control: bool, profile: &'static str, lasting: bool) -> Option<Result<Opened, Failure>> {
    let (namespace, named, container) = match crate::k8s::address(word)? {
        Ok(a) => a,
        Err(f) => return Some(Err(f)),
    };
    let open_it = || {
        let mut k = Kubectl::new(None, namespace, false);
        let found = preflight::pods(&mut k, &named)?;
        let image = std::env::var("ADIT_IMAGE").unwrap_or_default();
        let wish = Wish { container, image, profile, ..Wish::default() };
        let looked = pods::look_at(&k, found, &wish)?;
        let p = looked.first().ok_or_else(|| Failure::new(FailureKind::Internal, "no pod was found"))?;
        open(&Arc::new(k), p, &wish, lasting, control)
    };
    Some(open_it())
}

/// Does a word name a pod?
pub fn is_address(word: &str) -> bool {
    crate::k8s::address(word).is_some()
}

/// What one-shots went into, until they are done.
static STAYS: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

/// A client for a one-shot of `k8s://…`, and what to open; none if the word is something else. [`leave_all`] ends it.
pub fn one_shot(common: &Common, word: &str, profile: &'static str) -> Option<Result<(Client, TargetSpec), Failure>> {
    let keep = |mut o: Opened| {
        let client = o.client(common)?;
        let spec = o.spec.clone();
        STAYS.lock().unwrap_or_else(PoisonError::into_inner).push(o);
        Ok((client, spec))
    };
    Some(address(word, false, profile, false)?.and_then(keep))
}

/// Leaves the pods that one-shots went into.
pub fn leave_all() {
    let all = std::mem::take(&mut *STAYS.lock().unwrap_or_else(PoisonError::into_inner));
    all.into_iter().for_each(Opened::leave);
}

/// The full screen of `k8s://…`.
pub fn full_screen(common: &Common, word: &str, control: bool) -> Result<u8, Failure> {
    let opened = address(word, control, common.profile.word(), true);
    let o = opened.unwrap_or_else(|| Err(Failure::new(FailureKind::Internal, "not an address of a pod")))?;
    o.full_screen(common)
}

/// Takes a copy to a file here; its name and length, and what is in it.
fn snapshot(
    common: &Common,
    k: &Arc<Kubectl>,
    p: &Preflight,
    wish: &Wish,
    output: &Path,
    force: bool,
) -> Result<(String, u64, (Seen, &'static str)), Failure> {
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::new(FailureKind::BadRequest, format!("cannot write {}: {e}", output.display()))
    };
    let there = |f: Failure| f.fix("choose another name, or overwrite it with --force");
    if !force && output.symlink_metadata().is_ok() {
        return Err(there(cannot(&"it is there already")));
    }
    let path = std::path::absolute(output).map_err(|e| cannot(&e))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Memory holds secrets: for the owner only, which is how such files are made.
    let temp = tempfile::Builder::new().prefix(".adit-").tempfile_in(folder).map_err(|e| cannot(&e))?;
    let (way, pause_us) = match ways::enter(k, p, wish, &say)? {
        Entered::Inside(mut i) => {
            let sent = i.snapshot(temp.as_file())?;
            if let Some(left) = i.leave() {
                say(&left);
            }
            (i.way.name(), sent.pause_us)
        }
        Entered::Endpoint(e) => {
            temp.as_file().write_all(&e.dump()?).map_err(|e| cannot(&e))?;
            ("endpoint", 0)
        }
    };
    let persisted = match force {
        true => temp.persist(&path).map_err(|e| cannot(&e.error)),
        false => temp.persist_noclobber(&path).map_err(|e| there(cannot(&e.error))),
    };
    let len = persisted?.metadata().map_err(|e| cannot(&e))?.len();
    let mut client = wire::read_in_process(common)?;
    let info = batch::open(&mut client, target::file(&path, None)?)?;
    let mut seen = fleet::look(&mut client, &info, None)?;
    seen.read.pause_us = pause_us;
    Ok((path.display().to_string(), len, (seen, way)))
}

/// What is done to each of several pods.
enum Job {
    Diagnose { query: DiagnoseQuery, min: FindingClass },
    Snapshot { folder: PathBuf, force: bool },
}

fn several(
    common: &Common,
    k: &Arc<Kubectl>,
    looked: &[Preflight],
    wish: &Wish,
    all: &AllArgs,
    job: &Job,
    json: bool,
) -> Result<u8, Failure> {
    if let Job::Snapshot { folder, .. } = job {
        std::fs::create_dir_all(folder)
            .map_err(|e| Failure::new(FailureKind::BadRequest, format!("cannot make {}: {e}", folder.display())))?;
    }
    let replicas = pods::each(looked, all.max_parallel, |p| {
        let name = &p.pod.metadata.name;
        let done = match job {
            Job::Diagnose { query, .. } => diagnosed(common, k, p, wish, query),
            Job::Snapshot { folder, force } => {
                let file = folder.join(format!("{name}.adit"));
                snapshot(common, k, p, wish, &file, *force)
                    .map(|(f, n, (s, way))| (Seen { file: Some((f, n)), ..s }, way))
            }
        };
        let (seen, way) = match done {
            Ok((s, way)) => (Ok(s), way),
            Err(f) => (Err(f), ""),
        };
        Replica { pod: name.clone(), way, seen }
    });
    let min = match job {
        Job::Diagnose { min, .. } => *min,
        Job::Snapshot { .. } => FindingClass::Strong,
    };
    fleet::fleet(&replicas, min, style(common, json), &mut out())
}

fn diagnosed(
    common: &Common,
    k: &Arc<Kubectl>,
    p: &Preflight,
    wish: &Wish,
    query: &DiagnoseQuery,
) -> Result<(Seen, &'static str), Failure> {
    let mut o = open(k, p, wish, false, false)?;
    let mut client = o.client(common)?;
    let way = o.way;
    let seen =
        batch::open(&mut client, o.spec.clone()).and_then(|info| fleet::look(&mut client, &info, Some(query.clone())));
    let_go(client);
    o.leave();
    Ok((seen?, way))
}

/// `adit k8s doctor`.
fn report(k: &Kubectl, looked: &[Preflight], json: bool) -> Result<u8, Failure> {
    let open = looked.iter().all(|p| p.way().is_some());
    if k.dry_run {
        return print_noted(k);
    }
    if json {
        let pods: Vec<_> = looked
            .iter()
            .map(|p| {
                let m = &p.pod.metadata;
                json!({"pod": m.name, "namespace": m.namespace, "container": p.container.name, "user": p.user, "checks": p.checks,
                    "pause": p.pause, "leases": p.leases, "debug_container": p.debug_container, "ways": p.ways, "way": p.way().map(|w| w.way)})
            })
            .collect();
        print(format!("{}\n", json!({"schema": "adit/k8s-doctor/1", "ok": open, "pods": pods})).as_bytes())?;
    } else {
        let mut text = String::new();
        for p in looked {
            text += &doctor::text(&p.checks, None);
            for w in &p.ways {
                match &w.closed {
                    Some(why) => text += &format!("     way {}: closed: {why}\n", w.way.name()),
                    None => text += &format!("     way {}: {}\n", w.way.name(), w.effect),
                }
            }
            text += &match p.way() {
                Some(w) => format!("way in: {}\n", w.way.name()),
                None => "way in: none\n".to_string(),
            };
        }
        print(text.as_bytes())?;
    }
    Ok(if open { exit::DONE } else { exit::OPEN })
}

fn print_noted(k: &Kubectl) -> Result<u8, Failure> {
    print((k.noted().join("\n") + "\n").as_bytes())
}

/// `adit k8s cleanup`.
fn cleanup(k: &Arc<Kubectl>, found: &[Pod], node_namespace: Option<&str>, json: bool) -> Result<u8, Failure> {
    let mut left = found.iter().map(|p| pods::clean(k, p)).collect::<Result<Vec<_>, _>>()?;
    let elsewhere = node_namespace.map(|ns| k.elsewhere(Some(ns)));
    for k in [Some(&**k), elsewhere.as_ref()].into_iter().flatten() {
        for (of, made) in pods::clean_made(k, found)? {
            left.iter_mut().filter(|l| l.pod == of).for_each(|l| l.made.push(made.clone()));
        }
    }
    if k.dry_run {
        k.note(elsewhere.map(|e| e.noted().join("\n")).unwrap_or_default());
        return print_noted(k);
    }
    let done = left.iter().flat_map(|l| l.containers.iter().map(|c| &c.done).chain(l.made.iter().map(|m| &m.done)));
    let still = done.into_iter().any(|d| d.starts_with("still runs"));
    if json {
        print(format!("{}\n", json!({"schema": "adit/k8s-cleanup/1", "ok": !still, "pods": left})).as_bytes())?;
    } else {
        let mut text = String::new();
        for l in &left {
            for c in &l.containers {
                text += &format!("{}: {} ({}): {}\n", l.pod, c.name, c.state, c.done);
            }
            for m in &l.made {
                text += &format!("{}: the pod {} {}\n", l.pod, m.name, m.done);
            }
            for f in &l.removed {
                text += &format!("{}: {f} removed\n", l.pod);
            }
            if l.containers.is_empty() && l.removed.is_empty() && l.made.is_empty() {
                text += &format!("{}: nothing of adit's\n", l.pod);
            }
        }
        print(text.as_bytes())?;
    }
    Ok(if still { exit::OPEN } else { exit::DONE })
}

/// `adit inside …`: what adit does in the pod.
pub fn inside_main(what: &InsideSub, common: &Common) -> Result<u8, Failure> {
    let fail = |e: io::Error| Failure::new(FailureKind::Host, e.to_string());
    let profile = common.profile.word();
    match what {
        InsideSub::Own => print(format!("{}\n", name_there(Path::new(OURSELVES)).map_err(fail)?).as_bytes()),
        InsideSub::Look { of } => {
            let look = inside::look(of.as_deref()).map_err(fail)?;
            print(format!("{}\n", json!(look)).as_bytes())
        }
        InsideSub::Install { folder } => {
            inside::install(folder).map_err(fail)?;
            Ok(exit::DONE)
        }
        InsideSub::Park { container, idle } => {
            inside::park(container, Duration::from_secs(*idle)).map_err(fail)?;
            Ok(exit::DONE)
        }
        InsideSub::Unpark { container } => {
            inside::unpark(container).map_err(fail)?;
            Ok(exit::DONE)
        }
        InsideSub::Relay { container, session, at_most } => {
            inside::relay(container, session, profile, *at_most).map_err(fail)?;
            Ok(exit::DONE)
        }
        InsideSub::Supervise { at_most } => {
            inside::supervise(profile, *at_most).map_err(fail)?;
            Ok(exit::DONE)
        }
        InsideSub::Snapshot { pid } => {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(fail)?);
            inside::send_snapshot(*pid, io::BufWriter::with_capacity(1 << 16, stdout))
                .map_err(|m| Failure::new(FailureKind::Unavailable, m))?;
            Ok(exit::DONE)
        }
    }
}
