//! Going in: the ways are tried best first, and what keeps one closed is said.

use super::endpoint::Endpoint;
use super::inside::{Choice, Look, Process, Sent, choose};
use super::kubectl::{Kubectl, MISSING, RUNNING};
use super::objects::{Pod, Reason, State};
use super::preflight::{Preflight, Way, Wish, port, prefix};
use super::{made, push};
use crate::backend::client::Client;
use crate::backend::link::{self, Connect};
use crate::backend::native::budget::Watched;
use crate::backend::piped::{self, Program, Said};
use crate::backend::protocol::{Failure, FailureKind, PROTOCOL_VERSION};
use crate::base::text::{printable_str, random_hex};
use flate2::read::ZlibDecoder;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where adit is in its image.
pub(super) const IN_IMAGE: &str = "/adit";
/// A parked container ends when nobody was there for so long.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// An image may take so long to come, and its container to start.
pub(super) const STARTING: Duration = Duration::from_secs(120);
/// Zeros of this length become holes of a file, bytes.
const HOLE: usize = 64 << 10;

/// How it was gone in.
pub enum Entered {
    /// A host can be started in there.
    Inside(Box<Inside>),
    /// Only the program's own endpoint answers.
    Endpoint(Box<Endpoint>),
}

/// A copy of adit in a pod, to be run there.
pub(super) struct There {
    k: Arc<Kubectl>,
    pod: String,
    /// In which container it runs.
    container: String,
    /// Its path there.
    adit: String,
}

/// What stays there when nothing is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Nothing: a parked process ends by itself.
    Nothing,
    /// The copy of adit.
    File,
    /// The pod, which is ours.
    Pod,
}

/// adit in a pod.
pub struct Inside {
    there: There,
    leaves: Leaves,
    /// How.
    pub way: Way,
    /// The program.
    pub process: Process,
    /// Who else watches it.
    pub watched: Watched,
}

/// Why a way did not work.
pub(super) enum Stuck {
    /// The next may.
    Next(Failure),
    /// No debug container starts from this image: one more would only stay in the pod's spec.
    Image(Failure),
    /// Nor would the others.
    Over(Failure),
}

impl From<Failure> for Stuck {
    fn from(f: Failure) -> Stuck {
        Stuck::Next(f)
    }
}

/// Goes in by the first way that works; `say` hears why others did not.
///
/// # Errors
/// None does: each with its reason.
pub fn enter(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish, say: &dyn Fn(&str)) -> Result<Entered, Failure> {
    let pod = &p.pod.metadata.name;
    let mut reasons = Vec::new();
    let mut fix = None;
    let open = p.ways.iter().filter(|w| w.closed.is_none()).count();
    let mut no_image = false;
    for w in &p.ways {
        if no_image && w.way == Way::DebugSameUser && w.closed.is_none() {
            continue;
        }
        if let Some(why) = &w.closed {
            // Of ways that were not asked for there is nothing to say.
            if wish.way.is_none_or(|way| way == w.way) {
                reasons.push(format!("{}: {why}", w.way.name()));
            }
            continue;
        }
        let tried = match w.way {
            Way::Debug | Way::DebugSameUser => debug(k, p, wish, w.way).map(|i| Entered::Inside(Box::new(i))),
            Way::Exec => push::exec(k, p, wish).map(|i| Entered::Inside(Box::new(i))),
            Way::Node => made::node(k, p, wish).map(|i| Entered::Inside(Box::new(i))),
            Way::Endpoint => Endpoint::open(k, pod, port(&p.container, wish))
                .map(|e| Entered::Endpoint(Box::new(e)))
                .map_err(Stuck::Next),
        };
        match tried {
            Ok(Entered::Inside(mut i)) => {
                i.watched = p.watched;
                return Ok(Entered::Inside(i));
            }
            Ok(e) => return Ok(e),
            Err(Stuck::Over(f)) => return Err(f),
            Err(s @ (Stuck::Next(_) | Stuck::Image(_))) => {
                no_image |= matches!(s, Stuck::Image(_));
                let (Stuck::Next(f) | Stuck::Image(f) | Stuck::Over(f)) = s;
                if open > 1 {
                    say(&format!("{pod}: {}: {f}", w.way.name()));
                }
                fix = fix.or_else(|| f.fix.clone());
                reasons.push(format!("{}: {}", w.way.name(), f.message));
            }
        }
    }
    Err(no_way(pod, &reasons, fix))
}

fn no_way(pod: &str, reasons: &[String], fix: Option<String>) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("no way into {pod}: {}", reasons.join("; ")))
        .fix(fix.unwrap_or_else(|| "adit k8s doctor says what each way needs".into()))
}

/// Notes the commands that [`enter`] would run for the best way, and the first that a session would.
///
/// # Errors
/// No way is open.
pub fn plan(k: &Kubectl, p: &Preflight, wish: &Wish) -> Result<(), Failure> {
    let pod = p.pod.metadata.name.as_str();
    let Some(w) = p.way() else {
        let asked = p.ways.iter().filter(|w| wish.way.is_none_or(|way| way == w.way));
        let why: Vec<String> =
            asked.filter_map(|w| Some(format!("{}: {}", w.way.name(), w.closed.as_ref()?))).collect();
        return Err(no_way(pod, &why, None));
    };
    k.note(format!("# {}: {}", w.way.name(), w.effect));
    match w.way {
        Way::Debug | Way::DebugSameUser => {
            let name = match &p.debug_container {
                Some(n) => n.clone(),
                None => {
                    let name = format!("{}RANDOM", prefix());
                    let user = p.user.map_or("UID".to_string(), |u| u.to_string());
                    let words = debug_words(p, wish, w.way, &name, true);
                    let custom = custom(w.way, &user);
                    k.change(&strs(&words), Some(custom.as_bytes()), STARTING)?;
                    name
                }
            };
            let inside = |what: &[&str], stdin| inside_words(pod, &name, IN_IMAGE, what, stdin);
            k.note(k.line(&strs(&inside(&["look"], false))));
            let words = host_words(Some((&name, "SESSION")), wish.profile, p.watched);
            k.note(k.line(&strs(&inside(&strs(&words), true))));
        }
        Way::Exec => {
            let script = push::push_script(&push::folders(p), "NAME", "RANDOM");
            let words = ["exec", "-i", pod, "-c", &p.container.name, "--", "sh", "-c", &script];
            k.note(format!("{} < adit", k.line(&words)));
            let inside = |what: &[&str], stdin| inside_words(pod, &p.container.name, "FILE", what, stdin);
            k.note(k.line(&strs(&inside(&["look"], false))));
            let words = host_words(None, wish.profile, p.watched);
            k.note(k.line(&strs(&inside(&strs(&words), true))));
            k.note(k.line(&["exec", pod, "-c", &p.container.name, "--", "sh", "-c", "rm -f FILE"]));
        }
        Way::Endpoint => k.note(k.line(&strs(&super::endpoint::words(pod, port(&p.container, wish))))),
        Way::Node => made::plan_node(k, p, wish)?,
    }
    Ok(())
}

pub(super) fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A line that cannot be made again, since its pod or its container is no more.
fn gone(f: Failure) -> Failure {
    let no_more = ["(NotFound)", "container not found", "completed pod", "pod does not exist"];
    match no_more.iter().any(|w| f.message.contains(w)) {
        true => Failure { kind: FailureKind::Gone, ..f }
            .fix("its pod or container has ended; kubectl get pods says what runs now"),
        false => f,
    }
}

/// What adit is asked for where a host is to be: one that the parked process of a container starts for a session, or one of its own.
pub(super) fn host_words(parked: Option<(&str, &str)>, profile: &str, watched: Watched) -> Vec<String> {
    let mut w = match parked {
        Some((container, session)) => vec!["relay", container, session],
        None => vec!["supervise"],
    };
    let watched = watched.to_string();
    w.extend(["--profile", profile, "--at-most", &watched]);
    w.into_iter().map(String::from).collect()
}

/// Runs adit in a container.
pub(super) fn inside_words(pod: &str, container: &str, adit: &str, what: &[&str], stdin: bool) -> Vec<String> {
    let mut w = vec!["exec"];
    if stdin {
        w.push("-i");
    }
    w.extend([pod, "-c", container, "--", adit, "inside"]);
    w.extend(what);
    w.into_iter().map(String::from).collect()
}

impl There {
    pub(super) fn new(k: &Arc<Kubectl>, pod: &str, container: &str, adit: &str) -> There {
        There { k: k.clone(), pod: pod.into(), container: container.into(), adit: adit.into() }
    }

    fn words(&self, what: &[&str], stdin: bool) -> Vec<String> {
        inside_words(&self.pod, &self.container, &self.adit, what, stdin)
    }

    /// A client of a host there, whose line is made again when it breaks. With `parked` the parked process starts the host, which then
    /// outlives its line and keeps what was set; else the host lets go with it.
    pub(super) fn connect(&self, profile: &str, watched: Watched, parked: bool) -> Result<Client, Failure> {
        let session = piped::session_name()?;
        let what = host_words(parked.then_some((self.container.as_str(), session.as_str())), profile, watched);
        let words = self.words(&strs(&what), true);
        let k = self.k.clone();
        let ends = Program { missing: MISSING, silent: "does the pod still run? adit k8s doctor looks at it" };
        let line: Connect =
            Box::new(move |_| Ok(piped::start(&mut k.command(&strs(&words)), Said::Kept, ends).map_err(gone)?.1));
        Ok(link::client(line)?.0)
    }
}

/// `kubectl debug`.
fn debug_words(p: &Preflight, wish: &Wish, way: Way, name: &str, customised: bool) -> Vec<String> {
    // What `restricted` demands of a container (no root) a program that is root cannot have.
    let profile = match (way, p.user) {
        (Way::DebugSameUser, Some(0)) => "baseline",
        (Way::DebugSameUser, _) => "restricted",
        _ => "general",
    };
    let mut w = vec!["debug".to_string(), p.pod.metadata.name.clone()];
    w.push(format!("--image={}", wish.image));
    w.push(format!("--target={}", p.container.name));
    w.push(format!("--container={name}"));
    w.push(format!("--profile={profile}"));
    if customised {
        w.push("--custom=/dev/stdin".into());
    }
    w.extend(["--attach=false", "--quiet", "--", IN_IMAGE, "inside", "park", name].map(String::from));
    w
}

/// What the container has beside its profile: a user. Added capabilities are worth nothing to another one than root (kubectl#1650).
fn custom(way: Way, user: &str) -> String {
    let user = if way == Way::Debug { "0" } else { user };
    match user.parse::<u32>() {
        Ok(0) => json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}).to_string(),
        Ok(u) => json!({"securityContext": {"runAsUser": u}}).to_string(),
        Err(_) => json!({"securityContext": {"runAsUser": user}}).to_string(),
    }
}

/// By a debug container.
fn debug(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish, way: Way) -> Result<Inside, Stuck> {
    let pod = &p.pod.metadata.name;
    if let Some(name) = &p.debug_container {
        match settle(There::new(k, pod, name, IN_IMAGE), None, wish, way, Leaves::Nothing) {
            // Another user than is needed now, or about to end: a new one.
            Err(Stuck::Next(f)) => tracing::info!("the debug container {name}: {f}"),
            done => return done,
        }
    }
    if wish.image.is_empty() {
        return Err(Stuck::Image(no_image()));
    }
    let user = match (way, p.user) {
        (Way::Debug, _) => 0,
        (_, Some(u)) => u,
        (_, None) => asked_user(k, pod, &p.container.name)?,
    };
    let known = Preflight { user: Some(user), ..p.clone() };
    let name = new_name()?;
    let custom = custom(way, &user.to_string());
    for customised in [true, false] {
        let words = debug_words(&known, wish, way, &name, customised);
        let input = customised.then_some(custom.as_bytes());
        let Some(a) = k.change(&strs(&words), input, RUNNING)? else { break };
        if a.status.success() {
            break;
        }
        // kubectl before 1.32 has no --custom: then the image's own user has to do.
        if !(customised && a.err.contains("unknown flag: --custom")) {
            return Err(k.refused(&a).into());
        }
    }
    started(k, pod, &name, &wish.image, &|p| p.ephemeral(&name).cloned().unwrap_or_default())?;
    settle(There::new(k, pod, &name, IN_IMAGE), None, wish, way, Leaves::Nothing)
}

/// A name for a container of ours.
pub(super) fn new_name() -> Result<String, Failure> {
    let random = random_hex::<4>();
    Ok(prefix() + &random.map_err(|e| Failure::new(FailureKind::Internal, format!("no random numbers: {e}")))?)
}

pub(super) fn no_image() -> Failure {
    Failure::new(FailureKind::Unavailable, "no image for a debug container is named")
        .fix("--image IMAGE, or ADIT_IMAGE; `make image` builds one to push to a registry that the cluster pulls from")
}

/// The user of a container, where only its image says it: the container is asked.
fn asked_user(k: &Kubectl, pod: &str, container: &str) -> Result<u32, Failure> {
    let a = k.change(&["exec", pod, "-c", container, "--", "id", "-u"], None, RUNNING)?;
    let said = a.as_ref().map(|a| String::from_utf8_lossy(&a.out).trim().to_string()).unwrap_or_default();
    said.parse().map_err(|_| {
        let why = a.map(|a| a.why()).unwrap_or_default();
        Failure::new(
            FailureKind::Unavailable,
            format!("the program's user is known to its image alone, and cannot be asked for: {why}"),
        )
        .fix("--user UID says it")
    })
}

/// Waits until the container runs, whose state `of` reads.
pub(super) fn started(
    k: &Kubectl,
    pod: &str,
    name: &str,
    image: &str,
    of: &dyn Fn(&Pod) -> State,
) -> Result<(), Stuck> {
    let begun = Instant::now();
    loop {
        let p: Pod = k.get(&["get", "pod", pod, "-o", "json"])?;
        let state = of(&p);
        if state.running.is_some() {
            return Ok(());
        }
        let last = state.waiting.unwrap_or_default();
        let end = |r: &Reason| printable_str(&format!("{} {}", r.reason, r.message).trim().replace('\n', " "), 300);
        if let Some(t) = &state.terminated {
            let text = format!("the debug container ended at once: {} (exit code {})", end(t), t.exit_code);
            let fix = format!("is {image} adit's image, for linux/amd64? kubectl logs {pod} -c {name} says more");
            return Err(Stuck::Image(Failure::new(FailureKind::Unavailable, text).fix(fix)));
        }
        let hopeless =
            ["ErrImage", "ImagePull", "InvalidImage", "ErrImageNeverPull", "CreateContainer", "RunContainer"];
        if hopeless.iter().any(|h| last.reason.starts_with(h)) {
            let image_is_it = last.reason.contains("Image");
            let fix = match image_is_it {
                true => {
                    "name an image that the cluster can pull with --image; the container that was added stays in the pod's spec, without a process"
                }
                false => {
                    "the pod's own settings forbid it; the container that was added stays in the pod's spec, without a process"
                }
            };
            let text = format!("the debug container does not start: {}", end(&last));
            let f = Failure::new(FailureKind::Unavailable, text).fix(fix);
            return Err(if image_is_it { Stuck::Image(f) } else { Stuck::Next(f) });
        }
        if begun.elapsed() > STARTING {
            let text = format!("the debug container did not start within {} s: {}", STARTING.as_secs(), end(&last));
            let f = Failure::new(FailureKind::Unavailable, text).fix("kubectl describe pod says what it waits for");
            return Err(Stuck::Image(f));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Asks adit there what it sees, of the container with the id `of` alone where that is said, and chooses the process.
pub(super) fn settle(there: There, of: Option<&str>, wish: &Wish, way: Way, leaves: Leaves) -> Result<Inside, Stuck> {
    let (pod, container) = (there.pod.as_str(), there.container.as_str());
    let words = match of {
        Some(id) => there.words(&["look", "--of", id], false),
        None => there.words(&["look"], false),
    };
    let Some(a) = there.k.change(&strs(&words), None, RUNNING)? else {
        return Err(Failure::new(FailureKind::Internal, "nothing is run in a dry run").into());
    };
    let look: Option<Look> = serde_json::from_slice(&a.out).ok();
    let Some(look) = look else {
        let text = format!("adit does not answer in {container}: {}", a.why());
        return Err(Failure::new(FailureKind::Host, text)
            .fix("is it this adit's own image, of the same version?")
            .into());
    };
    if look.adit.split('-').nth(2) != Some(&PROTOCOL_VERSION.to_string()) {
        let text = format!(
            "the adit in {container} is {}, this one is {} with protocol {PROTOCOL_VERSION}",
            printable_str(&look.adit, 60),
            env!("CARGO_PKG_VERSION")
        );
        return Err(Failure::new(FailureKind::Host, text).fix("use the image of the same version").into());
    }
    match choose(&look, wish.pid) {
        Ok(process) => {
            let process = process.clone();
            Ok(Inside { there, leaves, way, process, watched: Watched::default() })
        }
        Err(Choice::Which(all)) => Err(Stuck::Over(
            Failure::new(
                FailureKind::BadRequest,
                format!("{pod} has several Go programs: {}", printable_str(&all, 400)),
            )
            .fix("--pid says which"),
        )),
        Err(Choice::Denied(why)) => Err(Failure::new(FailureKind::Permission, printable_str(&why, 400))
            .fix("a debug container that is root with SYS_PTRACE, or the program's own user, may")
            .into()),
        Err(Choice::Wrong(why)) => {
            let f = Failure::new(FailureKind::NoProcess, format!("{pod}: {}", printable_str(&why, 400)))
                .fix("-c with the container of the Go program; a runtime that does not share its processes (--target) shows none");
            Err(if wish.pid.is_some() { Stuck::Over(f) } else { f.into() })
        }
    }
}

impl Inside {
    /// The container that adit runs in.
    pub fn container(&self) -> &str {
        &self.there.container
    }

    /// A client of a host there, whose line is made again when it breaks. With `lasting`, and in a debug container, it is then the
    /// same host, which keeps what was set; else the host lets go with its line.
    ///
    /// # Errors
    /// No host answers.
    pub fn connect(&self, profile: &str, lasting: bool) -> Result<Client, Failure> {
        self.there.connect(profile, self.watched, lasting && self.leaves != Leaves::File)
    }

    /// Has the process copied, and writes what comes to `file`, which is new and empty.
    ///
    /// # Errors
    /// It cannot be copied; the line breaks; the file cannot be written.
    pub fn snapshot(&self, file: &File) -> Result<Sent, Failure> {
        let pid = self.process.pid.to_string();
        let (mut child, out, words) = self.there.k.going(&strs(&self.there.words(&["snapshot", &pid], false)))?;
        let received = receive(BufReader::new(out), file);
        // It is our own; it has nothing more to say.
        let _ended = child.kill();
        let _status = child.wait();
        received.map_err(|e| {
            let last = Some(words.last()).filter(|l| !l.is_empty());
            Failure::new(FailureKind::Host, format!("the copy did not arrive: {}", last.unwrap_or(e)))
                .fix("is there room here, and did the pod go on running?")
        })
    }

    /// Leaves: what was copied or made there is removed. What could not be, and how to.
    pub fn leave(&mut self) -> Option<String> {
        let There { k, pod, container, adit } = &self.there;
        match std::mem::replace(&mut self.leaves, Leaves::Nothing) {
            Leaves::Nothing => None,
            Leaves::File => {
                let why = push::remove(k, pod, container, adit)?;
                Some(format!("{adit} in {pod} could not be removed ({why}): adit k8s cleanup {pod}"))
            }
            Leaves::Pod => made::delete(k, pod),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(left) = self.leave() {
            tracing::warn!("{left}");
        }
    }
}

/// Takes a snapshot off the line.
fn receive(mut from: impl BufRead, file: &File) -> Result<Sent, String> {
    let mut line = String::new();
    from.by_ref().take(4096).read_line(&mut line).map_err(|e| e.to_string())?;
    let head: Sent = serde_json::from_str(&line).map_err(|_| "no copy came".to_string())?;
    let mut z = ZlibDecoder::new(from);
    let mut buf = vec![0; HOLE];
    let mut at = 0u64;
    loop {
        let mut n = 0;
        while n < buf.len() {
            match z.read(&mut buf[n..]).map_err(|e| e.to_string())? {
                0 => break,
                more => n += more,
            }
        }
        if n == 0 {
            break;
        }
        if buf[..n].iter().any(|b| *b != 0) {
            file.write_all_at(&buf[..n], at).map_err(|e| e.to_string())?;
        }
        at += n as u64;
    }
    file.set_len(at).and_then(|()| file.sync_all()).map_err(|e| e.to_string())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    #[test]
    fn a_copy_off_the_line() {
        let mut content = vec![7u8; 100_000];
        content.extend(vec![0; 300_000]);
        content.extend([1, 2, 3]);
        let mut z = ZlibEncoder::new(Vec::new(), Compression::fast());
        z.write_all(&content).expect("vec");
        let body = z.finish().expect("vec");
        let mut sent = b"{\"pause_us\":7,\"bytes\":9}\n".to_vec();
        sent.extend(&body);
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(receive(&sent[..], file.as_file()), Ok(Sent { pause_us: 7, bytes: 9 }));
        assert_eq!(std::fs::read(file.path()).expect("read"), content);
        // A line that breaks is no copy.
        assert!(receive(&sent[..sent.len() - 5], file.as_file()).is_err());
        assert!(receive(&b"error: pod not found\n"[..], file.as_file()).is_err());
    }
}
