//! Two machines and a network between them, in namespaces of the test's own: no rights are needed, and nothing of this machine's network
//! is touched. Made by `tests/programs/network`; all of it ends with the test.

use super::build;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The host's address.
pub const HOST: &str = "10.77.0.1";

/// An end of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Where host and target are.
    Host,
    /// Where the client is.
    Client,
}

/// What a line of `far` took in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    /// IP packets, lost ones among them.
    pub packets: u64,
    /// Of them, with their headers.
    pub bytes: u64,
    /// Packets that were dropped.
    pub lost: u64,
}

/// See the module.
pub struct Network {
    child: Child,
    says: Option<ChildStdin>,
    hears: BufReader<ChildStdout>,
    client: i32,
    host: i32,
}

/// Programs that make namespaces and devices.
fn possible() -> bool {
    let tried = Command::new("unshare").args(["--user", "--map-root-user", "--net", "ip", "link"]).output();
    let may = tried.as_ref().is_ok_and(|o| o.status.success());
    if !may {
        println!("skipped: this user cannot make network namespaces here (unshare and ip are needed): {tried:?}");
    }
    may
}

impl Network {
    /// A pair of Ethernet devices; none where that cannot be had, which is said.
    pub fn wire() -> Option<Network> {
        possible().then(|| Network::start(&["wire"]))
    }

    /// Packets need so long for one way, and so many of a hundred are lost.
    pub fn far(ms: u32, loss: u32, seed: u64) -> Option<Network> {
        if !std::path::Path::new("/dev/net/tun").exists() {
            println!("skipped: there is no /dev/net/tun");
            return None;
        }
        possible().then(|| Network::start(&["far", &ms.to_string(), &loss.to_string(), &seed.to_string()]))
    }

    fn start(args: &[&str]) -> Network {
        let mut c = Command::new("unshare");
        c.args(["--user", "--map-root-user", "--net"]).arg(build("network", &[])).args(args);
        let mut child = c.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let says = child.stdin.take();
        let hears = BufReader::new(child.stdout.take().expect("piped"));
        let mut n = Network { child, says, hears, client: 0, host: 0 };
        let ready = n.hear();
        let pids: Vec<i32> = ready.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [client, host] = pids[..] else { panic!("no network: {ready}") };
        (n.client, n.host) = (client, host);
        n
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.hears.read_line(&mut line).expect("a line");
        line
    }

    /// Has it do something; what it answers.
    pub fn ask(&mut self, what: &str) -> String {
        let says = self.says.as_mut().expect("it lives");
        writeln!(says, "{what}").expect("it lives");
        let answer = self.hear();
        assert!(answer.starts_with("done") || answer.starts_with("carried"), "{what}: {answer:?}");
        answer
    }

    /// What went to the host, and what came from it, since it was made.
    pub fn carried(&mut self) -> (Carried, Carried) {
        let answer = self.ask("carried");
        let n: Vec<u64> = answer.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let one = |n: &[u64]| Carried { packets: n[0], bytes: n[1], lost: n[2] };
        (one(&n[..3]), one(&n[3..]))
    }

    fn pid(&self, at: At) -> i32 {
        match at {
            At::Host => self.host,
            At::Client => self.client,
        }
    }

    /// The words before a command that make it run there.
    pub fn inside(&self, at: At) -> Vec<String> {
        let pid = self.pid(at).to_string();
        ["nsenter", "--target", &pid, "--user", "--net", "--preserve-credentials", "--"].map(String::from).to_vec()
    }

    /// TCP segments that this end sent once more.
    pub fn sent_again(&self, at: At) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/net/snmp", self.pid(at))).expect("counters");
        let mut tcp = text.lines().filter_map(|l| l.strip_prefix("Tcp: ")).map(|l| l.split_whitespace());
        let (names, mut values) = (tcp.next().expect("names"), tcp.next().expect("values"));
        let i = names.take_while(|n| *n != "RetransSegs").count();
        values.nth(i).and_then(|v| v.parse().ok()).expect("a number")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It ends with its input, and the other machine with it.
        drop(self.says.take());
        let _status = self.child.wait();
    }
}
