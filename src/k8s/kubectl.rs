//! The user's kubectl: run with a time limit, its refusals told as one line. With `dry_run` nothing that changes something is run.

use crate::backend::piped::{self, Words};
use crate::backend::protocol::{Failure, FailureKind};
use crate::base::text::printable_str;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The variable that names another one.
pub const VARIABLE: &str = "ADIT_KUBECTL";
/// What to do where there is none.
pub const MISSING: &str = "install kubectl, or name it in ADIT_KUBECTL";
/// A question to the cluster.
pub const QUICK: Duration = Duration::from_secs(20);
/// Something short that is run in a pod.
pub const RUNNING: Duration = Duration::from_secs(60);
/// Longest answer, bytes.
const MAX_ANSWER: u64 = 1 << 30;

/// How kubectl is run, and where it looks.
#[derive(Debug, Default)]
pub struct Kubectl {
    program: Option<OsString>,
    /// `--context`.
    pub context: Option<String>,
    /// `-n`; the context's own where none is said.
    pub namespace: Option<String>,
    /// Commands are noted; those that change something are not run.
    pub dry_run: bool,
    /// Every command, in the order in which they were (or would be) run.
    noted: Mutex<Vec<String>>,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    /// Its end.
    pub status: ExitStatus,
    /// Its output.
    pub out: Vec<u8>,
    /// Its error stream.
    pub err: String,
}

impl Answer {
    /// The line of the error stream that says why: the last that begins with an error, else the last at all.
    pub fn why(&self) -> String {
        // How a program in the pod ended says less than what it said.
        let said = |l: &&str| !l.is_empty() && !l.starts_with("command terminated with exit code");
        // `E1129 23:25:34.243661   29710 v2.go:104] "Unhandled Error" err="write tcp …"`: its own log, between what it says.
        let logged = |l: &&str| l.contains(".go:") && l.contains("] ");
        let lines = || self.err.lines().map(str::trim).filter(said);
        let error = |l: &&str| {
            let l = l.to_ascii_lowercase();
            l.starts_with("error")
                || l.starts_with("the connection")
                || l.starts_with("unable to connect")
                || l.contains("forbidden")
        };
        let line = lines().filter(|l| !logged(l)).rfind(error);
        let line = line.or_else(|| lines().rfind(|l| !logged(l))).or_else(|| lines().next_back()).unwrap_or("");
        match line {
            "" => format!("it ended with {}", self.status),
            l => printable_str(l, 400),
        }
    }
}

impl Kubectl {
    /// The user's own.
    pub fn new(context: Option<String>, namespace: Option<String>, dry_run: bool) -> Kubectl {
        let program = std::env::var_os(VARIABLE).filter(|p| !p.is_empty());
        Kubectl { program, context, namespace, dry_run, noted: Mutex::default() }
    }

    /// Another one.
    pub fn of(program: impl Into<OsString>, context: Option<String>, namespace: Option<String>) -> Kubectl {
        Kubectl { program: Some(program.into()), context, namespace, dry_run: false, noted: Mutex::default() }
    }

    /// The same one in another namespace; it notes for itself.
    pub fn elsewhere(&self, namespace: Option<&str>) -> Kubectl {
        let namespace = namespace.map(String::from).or_else(|| self.namespace.clone());
        let (program, context) = (self.program.clone(), self.context.clone());
        Kubectl { program, context, namespace, dry_run: self.dry_run, noted: Mutex::default() }
    }

    fn name(&self) -> OsString {
        self.program.clone().unwrap_or_else(|| "kubectl".into())
    }

    /// Its arguments with the flags that say where.
    fn words(&self, args: &[&str]) -> Vec<String> {
        let mut words = Vec::new();
        // Flags first: what comes behind `--` is not kubectl's.
        if let Some(c) = &self.context {
            words.push(format!("--context={c}"));
        }
        if let Some(n) = &self.namespace {
            words.push(format!("--namespace={n}"));
        }
        words.extend(args.iter().map(|a| a.to_string()));
        words
    }

    /// A command, for whoever keeps its pipes.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(self.name());
        c.args(self.words(args));
        c
    }

    /// As a person would type it.
    pub fn line(&self, args: &[&str]) -> String {
        let program = self.name().to_string_lossy().into_owned();
        let words = self.words(args);
        std::iter::once(&program).chain(&words).map(|w| quoted(w)).collect::<Vec<_>>().join(" ")
    }

    /// Notes a command for `--dry-run`.
    pub fn note(&self, line: String) {
        if self.dry_run {
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// What was noted since the last time.
    pub fn noted(&self) -> Vec<String> {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks; what is asked changes nothing, so that it is run under `--dry-run`, too.
    ///
    /// # Errors
    /// kubectl cannot be run, or does not end in time. What it answers may still be a refusal.
    pub fn ask(&self, args: &[&str]) -> Result<Answer, Failure> {
        self.note(format!("{}   # only reads: was run", self.line(args)));
        self.run(args, None, QUICK)
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// As [`Kubectl::ask`]; a refusal; what comes is not such an object.
    pub fn get<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, Failure> {
        let a = self.ask(args)?;
        if !a.status.success() {
            return Err(self.refused(&a));
        }
        serde_json::from_slice(&a.out).map_err(|e| {
            let what = args.iter().take(3).copied().collect::<Vec<_>>().join(" ");
            Failure::new(FailureKind::Host, format!("kubectl {what}: what it answered is not understood: {e}"))
        })
    }

    /// Runs a command that changes something; none under `--dry-run`, when it is only noted.
    ///
    /// # Errors
    /// kubectl cannot be run, or does not end in time. What it answers may still be a refusal.
    pub fn change(&self, args: &[&str], input: Option<&[u8]>, limit: Duration) -> Result<Option<Answer>, Failure> {
        let line = self.line(args);
        match input {
            Some(i) if i.len() < 4096 => {
                self.note(format!("printf %s {} | {line}", quoted(&String::from_utf8_lossy(i))))
            }
            _ => self.note(line),
        }
        if self.dry_run {
            return Ok(None);
        }
        self.run(args, input, limit).map(Some)
    }

    /// A refusal as a failure, with what can be done.
    pub fn refused(&self, a: &Answer) -> Failure {
        let why = a.why();
        let low = a.err.to_ascii_lowercase();
        let has = |w: &str| low.contains(w);
        let (kind, fix) = if has("violates podsecurity") {
            (
                FailureKind::Permission,
                "what the namespace enforces forbids it: another way in does, or for a pod on the node another namespace (--node-namespace)",
            )
        } else if has("forbidden") {
            (
                FailureKind::Permission,
                "ask who runs the cluster for the right; `adit k8s doctor` lists which are needed",
            )
        } else if has("notfound") || (has("not found") && !has("executable file not found")) {
            (FailureKind::NoProcess, "is that its name, and the right -n NAMESPACE and --context?")
        } else if has("connection to the server")
            || has("unable to connect")
            || has("no route to host")
            || has("timeout")
        {
            (FailureKind::Host, "is the cluster up, and the right --context? `kubectl cluster-info` has to answer")
        } else if has("context") && has("does not exist") || has("no context exists") {
            (FailureKind::BadRequest, "`kubectl config get-contexts` lists them")
        } else if has("unauthorized") || has("logged in") || has("exec plugin") || has("getting credentials") {
            (FailureKind::Permission, "log in to the cluster again")
        } else {
            (FailureKind::Host, "the same command by hand says more")
        };
        Failure::new(kind, format!("kubectl: {why}")).fix(fix)
    }

    fn cannot(&self, e: &io::Error) -> Failure {
        let program = self.name().to_string_lossy().into_owned();
        Failure::new(FailureKind::Host, format!("cannot run {}: {e}", printable_str(&program, 200))).fix(MISSING)
    }

    /// Starts it: the child, its output and its error stream.
    fn start(&self, args: &[&str], stdin: Stdio) -> Result<(Child, ChildStdout, ChildStderr), Failure> {
        let mut c = self.command(args);
        c.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = c.spawn().map_err(|e| self.cannot(&e))?;
        match (child.stdout.take(), child.stderr.take()) {
            (Some(out), Some(err)) => Ok((child, out, err)),
            _ => Err(Failure::new(FailureKind::Internal, "kubectl has no pipes")),
        }
    }

    /// Starts it for whoever takes what it says as it comes: the child, its output, and what it says beside it.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn going(&self, args: &[&str]) -> Result<(Child, ChildStdout, Words), Failure> {
        let (child, out, err) = self.start(args, Stdio::null())?;
        Ok((child, out, piped::listen(err).map_err(|e| self.cannot(&e))?))
    }

    /// Runs it to its end.
    fn run(&self, args: &[&str], input: Option<&[u8]>, limit: Duration) -> Result<Answer, Failure> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let (mut child, out, err) = self.start(args, stdin)?;
        let stdin = child.stdin.take();
        let (status, out, err) = std::thread::scope(|s| {
            let out = s.spawn(|| all(out, MAX_ANSWER));
            let err = s.spawn(|| all(err, 1 << 20));
            s.spawn(move || {
                if let (Some(mut to), Some(bytes)) = (stdin, input) {
                    // A reader that has enough goes away.
                    let _it_says_why = to.write_all(bytes);
                }
            });
            let status = wait(&mut child, limit);
            (status, out.join().unwrap_or_default(), err.join().unwrap_or_default())
        });
        let Some(status) = status.map_err(|e| self.cannot(&e))? else {
            let what = args.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            let text = format!("kubectl {what} did not end within {} s", limit.as_secs());
            return Err(Failure::new(FailureKind::Host, text)
                .fix("is the cluster up? a login that kubectl asks for has to be done before: kubectl get pods"));
        };
        Ok(Answer { status, out, err: String::from_utf8_lossy(&err).into_owned() })
    }
}

fn all(from: impl Read, max: u64) -> Vec<u8> {
    let mut v = Vec::new();
    // What broke shows in how it ends.
    let _broken = from.take(max).read_to_end(&mut v);
    v
}

/// Waits for our own child; none when it took too long and was ended.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(s) = child.try_wait()? {
            return Ok(Some(s));
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn words_for_a_shell() {
        for (w, q) in [("get", "get"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$(x)", "'$(x)'")] {
            assert_eq!(quoted(w), q);
        }
        let k = Kubectl { context: Some("c x".into()), namespace: Some("shop".into()), ..Kubectl::default() };
        assert_eq!(k.line(&["get", "pods"]), "kubectl '--context=c x' --namespace=shop get pods");
    }

    #[test]
    fn refusals() {
        let k = Kubectl::default();
        for (err, kind, says) in [
            (
                "Targeting container \"app\".\nError from server (Forbidden): pods \"w\" is forbidden: User \"d\" cannot patch\n",
                FailureKind::Permission,
                "cannot patch",
            ),
            ("Error from server (NotFound): pods \"w\" not found\n", FailureKind::NoProcess, "not found"),
            ("error: context \"x\" does not exist\n", FailureKind::BadRequest, "does not exist"),
            ("Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout\n", FailureKind::Host, "dial tcp"),
            (
                "error: Internal error occurred: x: executable file not found in $PATH: unknown\nE1129 23:25:34.243661   29710 v2.go:104] \"Unhandled Error\" err=\"write tcp 127.0.0.1:1->127.0.0.1:2: write: connection reset by peer\"\n",
                FailureKind::Host,
                "executable file not found",
            ),
            (
                "Error from server (Forbidden): pods \"w\" is forbidden: violates PodSecurity \"baseline:latest\": hostPID=true\n",
                FailureKind::Permission,
                "violates PodSecurity",
            ),
            (
                "error: error upgrading connection: pods \"w\" is forbidden: User \"d\" cannot create\n",
                FailureKind::Permission,
                "forbidden",
            ),
            ("", FailureKind::Host, "exit status: 1"),
        ] {
            let a = Answer { status: ExitStatus::from_raw(256), out: Vec::new(), err: err.into() };
            let f = k.refused(&a);
            assert!(f.kind == kind && f.message.contains(says) && f.fix.is_some(), "{f:?}");
            assert!(!f.message.contains('\n'));
        }
    }

    #[test]
    fn a_time_limit_and_no_program() {
        let k = Kubectl { program: Some("sleep".into()), ..Kubectl::default() };
        let f = k.run(&["30"], None, Duration::from_millis(50)).expect_err("too long");
        assert!(f.message.contains("did not end"), "{f}");
        let k = Kubectl { program: Some("/nowhere/kubectl".into()), ..Kubectl::default() };
        let f = k.ask(&["version"]).expect_err("missing");
        assert!(f.message.contains("cannot run") && f.fix.is_some_and(|f| f.contains(VARIABLE)));
    }
}
