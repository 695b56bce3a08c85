//! Traces that are cut off, damaged, mutated, or still coming.

use super::*;

/// Everything is asked of a trace that may be damaged: nothing of it may panic or take for ever.
fn ask_all(bytes: Vec<u8>) -> (u64, u64, Option<String>) {
    let Ok(mut f) = TraceFile::open(Arc::new(bytes)) else { return (0, 1, Some("not opened".into())) };
    assert!(f.wait(Duration::from_secs(60)), "it comes to an end");
    for fault in f.faults().0 {
        let text = fault.to_string();
        assert!(!text.contains("error of ours") && !text.contains("before its time"), "{text}");
    }
    let whole = ask_view(&mut f, None, 0, 50, &[1]);
    let middle = whole.extent.0 / 2 + whole.extent.1 / 2;
    ask_view(&mut f, Some(middle), 1_000_000, 50, &[1, 7]);
    f.spans(LaneKind::Proc(0), middle, middle.saturating_add(1_000_000), 100);
    f.spans(LaneKind::Goroutine(GoroutineId(1)), middle, middle.saturating_add(1_000_000), 100);
    for (_, kind) in TraceReportKind::ALL {
        f.report(kind);
    }
    let _nothing_is_left = f.report_of(TraceReportKind::Sync, TraceFilter::Region("ship".into()));
    let _nothing_is_left = f.report_of(TraceReportKind::Tasks, TraceFilter::task("order"));
    f.find(&MarkQuery { text: "ship".into(), from_ns: middle, ..MarkQuery::default() });
    f.find(&MarkQuery { text: "order".into(), from_ns: middle, forward: false, ..MarkQuery::default() });
    f.goroutines();
    (f.summary().events, f.faults().1, whole.problem)
}

#[test]
fn cut_traces_show_what_they_have() {
    for release in ["1.21.13", "1.22.10", "1.25.5", "1.27.3"] {
        let bytes = make(release, "1500", "");
        let v1 = release == "1.21.13";
        let (all, faults, _) = ask_all(bytes.clone());
        assert_eq!(faults, 0, "{release}");
        let mut seen = Vec::new();
        for tenths in [0, 2, 5, 8] {
            let cut = bytes[..bytes.len() * tenths / 10 + 20].to_vec();
            let (events, faults, problem) = ask_all(cut);
            assert!(events <= all, "{release}");
            seen.push(events);
            let named = problem.is_some_and(|p| p.contains("byte ") || p.contains("not opened"));
            assert!(named && faults > 0, "{release}: cut at {tenths} tenths, {faults} faults without a word");
        }
        if !v1 {
            // The generation that is cut is shown, too, as far as it is there. Threads' events come in pieces of 64 KiB.
            assert!(seen.is_sorted(), "{release}: {seen:?}");
            assert!(seen[3] * 10 > all * 5 && seen[2] * 10 > all * 2, "{release}: {seen:?} of {all}");
        }
    }
}

/// The events of each generation: a `Sync` begins one.
pub fn sizes(bytes: &[u8]) -> Vec<u64> {
    let mut sizes = Vec::new();
    words::read(store(bytes), Mode::Strict, |w| {
        if w.starts_with("Sync ") {
            sizes.push(0);
        }
        if let Some(n) = sizes.last_mut() {
            *n += 1;
        }
    });
    sizes
}

#[test]
fn damage_costs_no_more_than_a_generation() {
    for release in &RELEASES[1..] {
        let bytes = generations(release);
        let (all, faults, _) = ask_all(bytes.clone());
        assert_eq!(faults, 0, "{release}");
        let mut sizes = sizes(&bytes);
        assert_eq!(sizes.iter().sum::<u64>(), all, "{release}");
        sizes.sort_unstable();
        // Forty bytes can lie across the border of two. How large one is depends on who else works on the machine.
        let two: u64 = sizes.iter().rev().take(2).sum();
        assert!(sizes.len() >= 4, "{release}: {sizes:?}");
        let mut named = 0;
        for at in [2, 3, 5, 7] {
            let mut b = bytes.clone();
            let from = b.len() * at / 10;
            b[from..from + 40].fill(0xff);
            let (events, faults, problem) = ask_all(b);
            // In the middle of a text it is text.
            named += usize::from(faults > 0 && problem.is_some_and(|p| p.contains("byte ")));
            assert!(events >= all - two && events <= all, "{release}: {events} of {all}, generations {sizes:?}");
        }
        assert!(named >= 2, "{release}: {named} of 4 named");
    }
}

#[test]
fn mutated_traces_do_no_harm() {
    let seed = std::env::var("ADIT_TRACE_FUZZ_SEED").ok().and_then(|s| s.parse().ok());
    let mut dice = Dice(seed.unwrap_or(0x5eed_cafe));
    let seconds = std::env::var("ADIT_TRACE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let all: Vec<Vec<u8>> = fresh().iter().map(|f| fs::read(&f.1).unwrap()).collect();
    let begin = std::time::Instant::now();
    let mut runs = 0;
    // On a machine with much else to do a run takes long.
    while begin.elapsed() < Duration::from_secs(seconds) || runs <= 10 {
        let mut b = all[dice.below(all.len())].clone();
        // A part of it: its begin is where the tables of v1 are not, and small is fast.
        if dice.below(3) > 0 {
            b.truncate(16 + dice.below(60_000));
        }
        for _ in 0..=dice.below(20) {
            let (at, len) = (16 + dice.below(b.len() - 16), dice.below(30));
            let end = (at + len).min(b.len());
            match dice.below(5) {
                0 => b[at..end].fill(dice.next() as u8),
                1 => drop(b.drain(at..end)),
                2 => b.extend_from_within(at..end),
                3 => b[at..end].iter_mut().for_each(|x| *x ^= 1 << (end % 8)),
                _ => b[at..end].reverse(),
            }
            if b.len() < 64 {
                break;
            }
            let at = 16 + dice.below(b.len() - 16);
            b[at] = dice.next() as u8;
        }
        read(&b, Mode::Strict);
        ask_all(b);
        runs += 1;
    }
    assert!(runs > 10, "{runs} runs");
}

#[test]
fn a_stream_is_shown_as_it_arrives() {
    let bytes = make("1.27.3", "1500", "traceadvanceperiod=20000000");
    let (from, mut to) = std::io::pipe().unwrap();
    let half = bytes.len() / 2;
    std::io::Write::write_all(&mut to, &bytes[..1000]).unwrap();
    let rest = bytes.clone();
    let (seen, go) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut to, &rest[1000..half]).unwrap();
        // Until the first half is on the screen, however long that takes here.
        let _seen_or_too_late = go.recv_timeout(Duration::from_secs(20));
        std::io::Write::write_all(&mut to, &rest[half..]).unwrap();
    });
    let mut f = TraceFile::open(Arc::new(Spool::start(from).unwrap())).unwrap();
    let mut early = 0;
    let begin = std::time::Instant::now();
    while !writer.is_finished() && begin.elapsed() < Duration::from_secs(40) {
        let v = ask_view(&mut f, None, 0, 20, &[]);
        if v.growing && !v.lanes.is_empty() && !writer.is_finished() {
            early = early.max(f.summary().events);
            if early > 0 {
                let _writer_is_done = seen.send(());
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    writer.join().unwrap();
    assert!(f.wait(Duration::from_secs(60)));
    let (all, _, _) = ask_all(bytes);
    assert!(early > 0 && early < all, "{early} of {all} while it came");
    assert_eq!((f.summary().events, f.faults().1), (all, 0));
}
