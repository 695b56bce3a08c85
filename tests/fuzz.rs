//! What comes from a line, a token or a file of records is damaged in every way: errors, never a panic, a hang or gigabytes.
//!
//! Some seconds as a rule; `ADIT_FUZZ_SECONDS` for each part.
#![allow(clippy::unwrap_used)]

#[path = "common/dice.rs"]
mod dice;

use adit::backend::audit::{self, Audit};
use adit::backend::protocol::*;
use adit::backend::tls;
use adit::backend::token::{Checker, Grant, Signer};
use adit::backend::wire;
use adit::base::{BreakpointId, GoroutineId, LoadAddr};
use adit::model::*;
use dice::Dice;
use std::time::{Duration, Instant};

/// A figure of this process's memory, bytes.
fn memory(which: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(which)).unwrap_or_else(|| panic!("no {which}"));
    line.trim_start_matches(':').trim().split(' ').next().unwrap().parse::<usize>().unwrap() << 10
}

/// Processor time: a loaded machine makes a round wait.
fn of_this_thread() -> Duration {
    nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// One part at a time: memory is that of all.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs until the time is over; gives how often, and the most memory that was in use at once beyond what was before.
fn for_a_while(mut round: impl FnMut(&mut Dice)) -> (u64, usize) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = std::env::var("ADIT_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let seed = std::env::var("ADIT_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(42);
    let (begun, mut dice, mut n) = (Instant::now(), Dice(seed), 0);
    // The highest so far begins anew (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    while begun.elapsed() < Duration::from_secs(seconds) {
        let t = of_this_thread();
        round(&mut dice);
        let took = of_this_thread().saturating_sub(t);
        assert!(took < Duration::from_secs(5), "round {n} took {took:?}");
        n += 1;
    }
    (n, memory("VmHWM").saturating_sub(before))
}

/// Changes bytes, takes some out, puts some in, doubles a part, cuts it.
fn mutate(d: &mut Dice, bytes: &mut Vec<u8>) {
    const TELLING: &[u8] =
        &[0, 1, 0x7f, 0x80, 0xc0, 0xc4, 0xc6, 0xca, 0xcb, 0xcf, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff];
    for _ in 0..1 + d.below(6) {
        let n = bytes.len();
        let at = d.below(n.max(1)).min(n.saturating_sub(1));
        match d.below(8) {
            _ if n == 0 => bytes.push(d.next() as u8),
            0 => bytes[at] ^= 1 << d.below(8),
            1 => bytes[at] = d.next() as u8,
            2 => bytes[at] = TELLING[d.below(TELLING.len())],
            3 => drop(bytes.drain(at..(at + 1 + d.below(8)).min(n))),
            4 => bytes.insert(at, TELLING[d.below(TELLING.len())]),
            5 => {
                let part: Vec<u8> = bytes[at..(at + d.below(64)).min(n)].to_vec();
                let to = d.below(n);
                bytes.splice(to..to, part);
            }
            6 => bytes.truncate(at),
            _ => {
                // A number: lengths among them.
                let value = (d.next() >> d.below(64)).to_be_bytes();
                for (i, b) in value.iter().enumerate().take(n - at) {
                    bytes[at + i] = *b;
                }
            }
        }
    }
}

fn requests() -> Vec<Request> {
    let frame = FrameRef { goroutine: Some(GoroutineId(7)), frame: 2 };
    let limits = LoadLimits::default();
    let mut spec = BreakpointSpec::at("main.main");
    spec.condition = "x == \"y\"".into();
    vec![
        Request::Hello { version: PROTOCOL_VERSION },
        Request::Open(TargetSpec::Attach { pid: 1, exe: Some("/x".into()), control: true }),
        Request::Token { token: "adit1.x.y".into() },
        Request::Eval { frame, expression: "a.b[3]".into(), limits },
        Request::Values { of: ValuesOf::Part { handle: 3, start: 1, count: 9 }, limits },
        Request::SetBreakpoint { spec, frame },
        Request::ClearBreakpoint(BreakpointId(3)),
        Request::SetMemory { addr: LoadAddr(0xc000000000), bytes: vec![1; 300] },
        Request::Input(vec![b'x'; 1000]),
        Request::Timeline(TimelineQuery { goroutines: vec![GoroutineId(1); 50], ..TimelineQuery::default() }),
        Request::Restart { rebuild: true, args: Some(vec!["a".into(); 20]) },
        Request::Redirect(Box::default()),
        Request::Detach { kill: true },
    ]
}

fn answers() -> Vec<FromHost> {
    let value = Variable { name: "x".into(), value: "1".into(), ..Variable::default() };
    let tree = |children| ValueTree { name: "x".into(), value: b"abc".to_vec(), children, ..ValueTree::default() };
    let deep = (0..40).fold(tree(Vec::new()), |t, _| tree(vec![t]));
    let frame = Frame { defers: vec![Defer::default()], ..Frame::default() };
    let stack = Stack { frames: vec![frame; 20], panics: vec![PanicRecord::default()], ..Stack::default() };
    let reply = |r| FromHost::Reply { id: 1, result: Ok(r) };
    vec![
        reply(Reply::Stack { epoch: Default::default(), stack }),
        reply(Reply::Variables { epoch: Default::default(), variables: vec![value; 30], total: 30 }),
        reply(Reply::Values { epoch: Default::default(), values: vec![deep] }),
        reply(Reply::Memory { addr: LoadAddr(1), bytes: vec![7; 2000] }),
        FromHost::Reply { id: 2, result: Err(Failure::new(FailureKind::Gone, "gone").fix("none")) },
        FromHost::Notice(Notice::Output(vec![b'x'; 5000])),
        FromHost::Notice(Notice::Driver { you: true, who: "bob".into(), clients: 2 }),
    ]
}

#[test]
fn frames() {
    let mut seeds = Vec::new();
    for (i, r) in requests().into_iter().enumerate() {
        let mut b = Vec::new();
        wire::write(&mut b, &ToHost::new(i as u64, r)).unwrap();
        seeds.push(b);
    }
    for a in answers() {
        for deflated in [false, true] {
            let mut b = Vec::new();
            if deflated { wire::write_deflated(&mut b, &a) } else { wire::write(&mut b, &a) }.unwrap();
            seeds.push(b);
        }
    }
    let (mut taken, mut longest) = (0, 0);
    let (n, most) = for_a_while(|d| {
        let mut b = seeds[d.below(seeds.len())].clone();
        mutate(d, &mut b);
        if d.below(3) > 0 && b.len() > 4 {
            // A head that fits, so that what is behind it is read.
            let deflated = b[3] & 0x80;
            let len = (b.len() - 4) as u32;
            b[..4].copy_from_slice(&len.to_le_bytes());
            b[3] |= deflated;
        }
        longest = longest.max(b.len());
        taken += usize::from(matches!(wire::read::<ToHost>(&mut &b[..]), Ok(Some(_))));
        taken += usize::from(matches!(wire::read::<FromHost>(&mut &b[..]), Ok(Some(_))));
        taken += usize::from(matches!(wire::read_limited::<ToHost>(&mut &b[..], 1000), Ok(Some(_))));
    });
    println!("frames: {n} rounds, {taken} taken, {most} bytes at most, for messages of {longest}");
    assert!(n > 100 && taken > 0);
    assert!(most < 16 << 20, "{most}");
}

#[test]
fn what_is_promised_and_does_not_come() {
    let head = |len: u32| len.to_le_bytes();
    let (_, most) = for_a_while(|d| {
        let len = d.next() as u32 & 0x7fff_ffff;
        let mut b = head(len | if d.below(2) == 0 { 1 << 31 } else { 0 }).to_vec();
        b.extend((0..d.below(40)).map(|_| d.next() as u8));
        assert!(wire::read::<ToHost>(&mut &b[..]).is_err());
    });
    assert!(most < 4 << 20, "room is made for what comes, not for what is promised: {most}");
    // Small when packed, large when not.
    let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut z, &vec![0xc0; wire::MAX_FRAME + 10]).unwrap();
    let packed = z.finish().unwrap();
    let mut b = head(packed.len() as u32 | 1 << 31).to_vec();
    b.extend(&packed);
    assert!(wire::read::<ToHost>(&mut &b[..]).is_err());
    assert!(wire::read_limited::<ToHost>(&mut &b[..], 100_000).is_err());
    // Lists in lists in lists.
    let nested = vec![0x91; 1 << 20];
    let mut b = head(nested.len() as u32).to_vec();
    b.extend(&nested);
    assert!(wire::read::<ToHost>(&mut &b[..]).is_err());
}

#[test]
fn tokens() {
    let (signer, text) = Signer::generate().unwrap();
    let public = signer.public_text();
    let checker = Checker::read(&public).unwrap();
    let grant =
        Grant { id: "a1".into(), to: "bob".into(), scopes: "observer,kill".into(), expires: u64::MAX, target: Some(7) };
    let good = signer.sign(&grant).unwrap();
    assert!(checker.check(&good, 1, Some(7)).is_ok());
    let (n, most) = for_a_while(|d| {
        let mut b = good.clone().into_bytes();
        mutate(d, &mut b);
        let t = String::from_utf8_lossy(&b).into_owned();
        assert!(t.trim() == good || checker.check(&t, 1, Some(7)).is_err(), "{t}");
        // Signed nonsense: only the payload is wrong.
        let mut g = grant.clone();
        let mut scopes = g.scopes.into_bytes();
        mutate(d, &mut scopes);
        g.scopes = String::from_utf8_lossy(&scopes).into_owned();
        let _either = checker.check(&signer.sign(&g).unwrap(), 1, Some(7));
        // Files with keys, and lists of who may come.
        for text in [&public, &text] {
            let mut b = text.clone().into_bytes();
            mutate(d, &mut b);
            let t = String::from_utf8_lossy(&b).into_owned();
            let _either = (Checker::read(&t).is_ok(), Signer::read(&t).is_ok());
        }
        let mut list = b"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU observer bob\n# x\n".to_vec();
        mutate(d, &mut list);
        let _either =
            tls::listed(&String::from_utf8_lossy(&list), "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
    });
    println!("tokens: {n} rounds, {most} bytes at most");
    assert!(n > 100 && most < 4 << 20, "{most}");
}

#[test]
fn records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let mut a = Audit::open(&path, true).unwrap();
    for i in 0..20 {
        a.record("pause", serde_json::json!({"i": i, "text": "x".repeat(i)})).unwrap();
    }
    drop(a);
    let good = std::fs::read(&path).unwrap();
    let whole = audit::verify(&good[..]).unwrap();
    let (n, most) = for_a_while(|d| {
        let mut b = good.clone();
        mutate(d, &mut b);
        match audit::verify(&b[..]) {
            // A beginning of it, cut between lines, is unbroken as far as it goes.
            Ok(c) => assert!(good.starts_with(&b) && c.lines <= whole.lines, "taken: {}", String::from_utf8_lossy(&b)),
            Err(e) => assert!(!e.contains('\n') && e.len() < 300, "{e}"),
        }
    });
    println!("records: {n} rounds, {most} bytes at most");
    assert!(n > 100 && most < 4 << 20, "{most}");
    // A line without an end, however long.
    let (_, most) = for_a_while(|_| assert!(audit::verify(std::io::BufReader::new(std::io::repeat(b'x'))).is_err()));
    assert!(most < 4 << 20, "{most}");
}
