//! The program's own endpoint (net/http/pprof), through `kubectl port-forward`: goroutine dumps and profiles, no values.

use super::kubectl::Kubectl;
use crate::backend::fetch;
use crate::backend::protocol::{Failure, FailureKind};
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A forwarded port comes up within this.
const COMES_UP: Duration = Duration::from_secs(15);
/// Longest dump, bytes.
const MAX_DUMP: u64 = 1 << 30;

/// A port of a pod, at a port of this machine's loopback.
pub struct Endpoint {
    child: Child,
    port: u16,
}

/// `kubectl port-forward`.
pub fn words(pod: &str, port: u16) -> Vec<String> {
    ["port-forward", "--address=127.0.0.1", pod].map(String::from).into_iter().chain([format!(":{port}")]).collect()
}

impl Endpoint {
    /// Forwards the port, and makes sure that profiles are served there.
    ///
    /// # Errors
    /// It cannot be forwarded; nobody serves profiles there.
    pub fn open(k: &Kubectl, pod: &str, port: u16) -> Result<Endpoint, Failure> {
        let fail = |m: String| Failure::new(FailureKind::Unavailable, m);
        let all = words(pod, port);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (child, out, words) = k.going(&all)?;
        let (tx, rx) = channel();
        // It goes on saying things; somebody has to listen.
        std::thread::spawn(move || {
            for l in BufReader::new(out).lines().map_while(Result::ok) {
                let _nobody_waits = tx.send(l);
            }
        });
        let mut e = Endpoint { child, port: 0 };
        loop {
            match rx.recv_timeout(COMES_UP) {
                Ok(l) => {
                    if let Some(p) = local_port(&l) {
                        e.port = p;
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(fail("kubectl port-forward does not come up".into())),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(fail(format!("kubectl port-forward: {}", words.last())));
                }
            }
        }
        // Small, and only there if the handlers are.
        let asked = fetch::get_quickly(&e.url("/debug/pprof/cmdline"));
        asked.map_err(|f| {
            // kubectl ends when the pod refuses: `… dial tcp4 127.0.0.1:9999: connect: connection refused …`, then `error: lost connection to pod`.
            let nobody = words.any("connection refused");
            let said = if nobody { "nobody listens there" } else { f.message.rsplit(": ").next().unwrap_or("") };
            fail(format!("no profiles are served at port {port}: {said}"))
                .fix("--port says where the program serves net/http/pprof")
        })?;
        Ok(e)
    }

    /// An address there.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A dump of all goroutines, as a panic writes it.
    ///
    /// # Errors
    /// It does not come.
    pub fn dump(&self) -> Result<Vec<u8>, Failure> {
        let mut v = Vec::new();
        let body = fetch::get(&self.url("/debug/pprof/goroutine?debug=2"))?;
        body.take(MAX_DUMP)
            .read_to_end(&mut v)
            .map_err(|e| Failure::new(FailureKind::Unavailable, format!("the goroutine dump breaks off: {e}")))?;
        Ok(v)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Our own child: kubectl.
        let _ended_by_itself = self.child.kill();
        let _status = self.child.wait();
    }
}

/// `Forwarding from 127.0.0.1:40001 -> 6060`.
fn local_port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_kubectl_says() {
        assert_eq!(super::local_port("Forwarding from 127.0.0.1:40001 -> 6060"), Some(40001));
        assert_eq!(super::local_port("Forwarding from [::1]:40001 -> 6060"), None);
        assert_eq!(super::local_port("Handling connection for 1"), None);
    }
}
