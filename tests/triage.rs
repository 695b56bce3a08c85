//! Triage, Waits and Data by keys: what leads where, what is asked, what is said when there is nothing to show.

mod shop;
mod stage;

use adit::backend::protocol::{Request, ResumeKind};
use shop::Shop;
use stage::{SIZES, Stage, options};

/// Enter leads on, Ctrl-o back, through every workspace.
#[test]
fn one_history_over_all_workspaces() {
    let mut s = Stage::new(false, (120, 40));
    // The second finding's goroutines, listed in place.
    s.keys("j Enter");
    assert!(s.text().contains("[lock-cycle main.(*Store).Get: 2 goroutines]"), "{}", s.text());
    // One of them, in Debug.
    s.keys("j Enter");
    assert_eq!(s.app.workspace, 3);
    assert!(s.text().contains("looking at g4127") && s.text().contains("cache.go"), "{}", s.text());
    // What it waits for.
    s.keys("Tab Tab w");
    assert_eq!(s.app.workspace, 5);
    let waits = s.text();
    assert!(waits.contains("Waits around g4127"), "{waits}");
    s.keys("Ctrl-o");
    assert_eq!(s.app.workspace, 3);
    s.keys("Ctrl-o");
    assert_eq!(s.app.workspace, 1);
    assert!(s.text().contains("[lock-cycle main.(*Store).Get: 2 goroutines]"), "{}", s.text());
    s.keys("Ctrl-o");
    assert!(s.text().contains("[Findings 4]") && s.text().contains(">HIGH lock-cycle"), "{}", s.text());
    s.keys("> > >");
    assert_eq!(s.text(), waits);
    s.keys("< < < <");
    assert!(s.text().contains("this is where you began"), "{}", s.text());
}

#[test]
fn a_finding_leads_to_its_waits() {
    let mut s = Stage::new(false, (80, 24));
    s.keys("j w");
    assert!(s.text().contains("[Waits around g88]"), "{}", s.text());
    // Along the edge to the lock, to its holder, to the next lock; Enter on the goroutine opens it.
    s.keys("j Enter");
    assert!(s.text().contains(">      held by g4127"), "{}", s.text());
    s.keys("Enter");
    assert_eq!(s.app.workspace, 3);
    s.keys("Ctrl-o c");
    assert!(s.text().contains("cycles only") && !s.text().contains("LEAK"), "{}", s.text());
    s.keys("l");
    assert!(s.text().contains("leaks only") && s.text().contains("LEAK"), "{}", s.text());
    // First without the heap, then with it; leaks with it at once.
    assert_eq!(s.asked(|r| matches!(r, Request::Waits(q) if q.scope == adit::model::WaitScope::Leaks)), 1);
    s.keys("l z");
    assert!(s.text().contains("CYCLE g88"), "{}", s.text());
    assert_eq!(s.asked(|r| matches!(r, Request::Waits(q) if q.scope == adit::model::WaitScope::Cycles)), 2);
}

#[test]
fn what_is_muted_is_left_out_and_counted() {
    let mut s = Stage::new(false, (120, 40));
    s.keys("x");
    let text = s.text();
    assert!(text.contains("[Findings 3  1 muted]") && !text.contains("channel-leak   proof"), "{text}");
    let sent = |r: &Request| matches!(r, Request::Diagnose(q) if q.mutes == ["main.(*Audit).Record.func1"]);
    assert_eq!(s.asked(sent), 1);
    s.line("mutes");
    assert!(s.text().contains("main.(*Audit).Record.func1"), "{}", s.text());
    s.keys("Esc").line("unmute main.(*Audit).Record.func1");
    assert!(s.text().contains("[Findings 4]"), "{}", s.text());
    // A group of goroutines.
    s.keys("Tab x");
    assert!(s.text().contains("muted: main.(*Queue).Pop") && s.text().contains("x 50,000"), "{}", s.text());
}

#[test]
fn triage_looks_again_by_itself_until_it_is_frozen() {
    let mut s = Stage::new(false, (80, 24));
    s.shop.growing = true;
    let looks = |s: &Stage| s.asked(|r| matches!(r, Request::Diagnose(_)));
    let before = looks(&s);
    assert_eq!(before, 2, "a quick look first, then the heap");
    s.keys("j");
    s.wait(1_000);
    assert_eq!(looks(&s), before);
    s.wait(1_100);
    assert_eq!(looks(&s), before + 1);
    assert!(s.text().contains("1,851") && s.text().contains(">HIGH lock-cycle"), "{}", s.text());
    s.keys("p").wait(5_000);
    assert_eq!(looks(&s), before + 1);
    assert!(s.text().contains("frozen"), "{}", s.text());
    s.keys("p");
    assert_eq!(looks(&s), before + 2);
    // Nobody sees the findings: nobody looks.
    s.keys("9").wait(5_000);
    assert_eq!(looks(&s), before + 2);
}

#[test]
fn nothing_is_drawn_when_a_look_says_the_same() {
    for size in SIZES {
        let mut s = Stage::new(false, size);
        let before = s.buffer();
        for _ in 0..3 {
            s.wait(2_100);
            assert_eq!(s.buffer(), before);
        }
        assert!(s.asked(|r| matches!(r, Request::Refresh)) == 3);
    }
}

#[test]
fn a_slow_look_is_pending_and_can_be_cancelled() {
    let mut s = Stage::new(false, (80, 24));
    s.slow = Some(|r| matches!(r, Request::Diagnose(_)));
    s.wait(2_100);
    assert_eq!(s.late.len(), 1);
    s.wait(1_000);
    // The old findings stay, and nobody is bothered yet.
    assert!(!s.text().contains("waiting for") && s.text().contains("1,842"), "{}", s.text());
    s.wait(1_100);
    assert!(s.text().contains("waiting for findings"), "{}", s.text());
    s.wait(20_000);
    assert_eq!(s.late.len(), 1, "one look at a time");
    s.keys("Ctrl-c");
    assert!(s.text().contains("look cancelled"), "{}", s.text());
    s.answer_late().wait(10_000);
    assert!(s.text().contains("look cancelled"), "{}", s.text());
    s.keys("p");
    assert!(s.text().contains("live"), "{}", s.text());
    // A look that took long is not repeated soon.
    s.slow = Some(|r| matches!(r, Request::Diagnose(_)));
    s.wait(2_100).wait(3_000).answer_late();
    s.slow = Some(|r| matches!(r, Request::Diagnose(_)));
    s.wait(20_000);
    assert!(s.late.is_empty());
    s.wait(11_000);
    assert_eq!(s.late.len(), 1);
}

#[test]
fn the_first_look_says_that_it_is_not_complete() {
    let mut s = Stage::begin(Shop::new(false), (80, 24), options());
    s.slow = Some(|r| matches!(r, Request::Diagnose(q) if !q.no_heap));
    s.settle();
    let text = s.text();
    assert!(text.contains("[Findings 3]") && text.contains("walking the heap for leaks"), "{text}");
    s.answer_late();
    assert!(s.text().contains(">HIGH channel-leak"), "the worst is selected: {}", s.text());
    let mut shop = Shop::new(false);
    shop.healthy = true;
    let mut s = Stage::begin(shop, (80, 24), options());
    s.slow = Some(|r| matches!(r, Request::Diagnose(q) if !q.no_heap));
    s.settle();
    assert!(!s.text().contains("no known pattern"), "{}", s.text());
}

#[test]
fn a_healthy_program_says_who_looked() {
    let mut shop = Shop::new(false);
    shop.healthy = true;
    let mut s = Stage::with(shop, (80, 24), options());
    insta::assert_snapshot!("triage-healthy-80x24", s.text());
    s.keys("5");
    assert!(s.text().contains("nothing blocks on g27, and it waits for nothing"), "{}", s.text());
    s.keys("l");
    assert!(s.text().contains("leaks are not known here"), "{}", s.text());
}

#[test]
fn failures_say_why() {
    let mut shop = Shop::new(false);
    shop.broken = Some("cannot read the goroutines: permission denied");
    let mut s = Stage::with(shop, (80, 24), options());
    assert!(s.text().contains("no findings: cannot read the goroutines"), "{}", s.text());
    s.keys("5");
    assert!(s.text().contains("no wait graph: cannot read"), "{}", s.text());
    s.line("heap");
    assert!(s.text().contains("cannot read the goroutines"), "{}", s.text());
    s.keys("1");
    s.shop.broken = None;
    s.wait(2_100);
    assert!(s.text().contains("[Findings 4]"), "it looks again: {}", s.text());
    s.shop.broken = Some("permission denied");
    s.size = (120, 40);
    s.wait(2_100);
    let text = s.text();
    assert!(text.contains("the newest look failed: permission denied") && text.contains("lock-cycle"), "{text}");
    s.line("refs sum");
    assert!(s.text().contains("[References to sum]") && s.text().contains("permission denied"), "{}", s.text());
}

#[test]
fn a_snapshot_asks_first_and_says_what_it_cost() {
    let mut s = Stage::new(false, (80, 24));
    let taken = |s: &Stage| s.asked(|r| matches!(r, Request::Snapshot { .. }));
    s.keys("s");
    assert!(s.text().contains("one short stop"), "{}", s.text());
    s.keys("Esc");
    assert_eq!(taken(&s), 0);
    s.keys("s Enter");
    assert_eq!(taken(&s), 1);
    let text = s.text();
    assert!(text.contains("stood for 38ms, 61M copied") && text.contains("paused 1x 38ms"), "{text}");
    let looks = s.asked(|r| matches!(r, Request::Refresh));
    s.wait(10_000);
    assert_eq!(s.asked(|r| matches!(r, Request::Refresh)), looks, "a snapshot stays");
    s.keys("p");
    assert_eq!(s.asked(|r| matches!(r, Request::Refresh)), looks + 1);
    let mut shop = Shop::new(false);
    shop.limit = Some(|c| c.snapshot = false);
    let mut s = Stage::with(shop, (80, 24), options());
    s.keys("s");
    assert!(s.text().contains("no snapshot"), "{}", s.text());
}

#[test]
fn a_dump_has_no_heap_and_says_so() {
    let mut shop = Shop::new(false);
    shop.kind = adit::model::TargetKind::Dump;
    shop.limit = Some(|c| (c.memory, c.variables, c.snapshot) = (false, false, false));
    let mut s = Stage::with(shop, (80, 24), options());
    assert!(s.text().contains("[Findings 3]") && s.text().contains("from a dump"), "{}", s.text());
    assert_eq!(s.asked(|r| matches!(r, Request::Diagnose(q) if !q.no_heap)), 0);
    s.line("heap");
    assert!(s.text().contains("a goroutine dump has no memory"), "{}", s.text());
    s.keys("s c").wait(10_000);
    assert_eq!(s.asked(|r| matches!(r, Request::Refresh)), 0, "a file does not change");
}

#[test]
fn references_lead_to_the_frame() {
    let mut s = Stage::new(true, (120, 40));
    s.keys("Tab Tab Tab r");
    assert_eq!(s.asked(|r| matches!(r, Request::Refs { object, .. } if object == "c")), 1);
    assert!(s.text().contains("[References to c]"), "{}", s.text());
    s.keys("j j j j j Enter");
    assert_eq!(s.app.workspace, 3);
    assert_eq!((s.app.session.goroutine.map(|g| g.0), s.app.session.frame), (Some(19), 1));
    s.keys("Ctrl-o");
    assert!(s.text().contains("[References to c]") && s.app.session.frame == 0, "{}", s.text());
    s.line("refs sum");
    assert!(s.text().contains("it is garbage"), "{}", s.text());
}

#[test]
fn the_next_deferred_call_is_run_into() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("D");
    let to = |r: &Request| matches!(r, Request::Resume { kind: ResumeKind::To(t), .. } if t == "sync.(*Mutex).Unlock");
    assert_eq!(s.asked(to), 1);
    let mut s = Stage::new(false, (80, 24));
    s.line("step-deferred");
    assert!(s.text().contains("observe mode"), "{}", s.text());
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 0);
}

#[test]
fn evidence_is_written_as_text() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("evidence.txt");
    let mut s = Stage::new(false, (80, 24));
    s.line(&format!("evidence {}", file.display()));
    assert!(s.text().contains("evidence written"), "{}", s.text());
    insta::assert_snapshot!("evidence", std::fs::read_to_string(&file).expect("written"));
}

#[test]
fn a_running_target_under_control_is_not_read_unasked() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("c 1").wait(10_000);
    assert!(s.text().contains("the target runs: Ctrl-C pauses"), "{}", s.text());
    assert_eq!(s.asked(|r| matches!(r, Request::Diagnose(_) | Request::Refresh | Request::Waits(_))), 0);
}

#[test]
fn at_a_stop_findings_are_of_the_stop() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("1");
    assert!(s.text().contains("[Findings 4]") && s.text().contains("at the stop"), "{}", s.text());
    let looks = s.asked(|r| matches!(r, Request::Diagnose(_)));
    s.wait(10_000);
    assert_eq!(s.asked(|r| matches!(r, Request::Diagnose(_))), looks);
    // Another stop, another look.
    s.keys("3 n 1");
    assert_eq!(s.asked(|r| matches!(r, Request::Diagnose(_))), looks + 1);
}

#[test]
fn what_was_under_the_cursor_is_looked_at_elsewhere() {
    let mut s = Stage::new(false, (80, 24));
    s.keys("j 4");
    assert_eq!(s.app.session.goroutine.map(|g| g.0), Some(88));
    assert!(s.text().contains("sum"), "{}", s.text());
    s.keys("5");
    assert!(s.text().contains("Waits around g88"), "{}", s.text());
    s.keys("/ sql Enter");
    assert!(s.text().contains(">v 31 x sql.(*DB).conn"), "{}", s.text());
}

#[test]
fn beside_a_goroutine_that_is_looked_at_stands_what_it_waits_for() {
    let mut s = Stage::new(false, (120, 40));
    s.keys("j Enter Enter");
    insta::assert_snapshot!("observe-debug-120x40", s.text());
}

#[test]
fn a_process_that_ends_while_it_is_looked_at_leaves_what_was_read() {
    let mut s = Stage::new(false, (80, 24));
    s.shop.gone = true;
    s.wait(2_100);
    let text = s.text();
    assert!(text.contains("process is gone") && text.contains("lock-cycle") && text.contains("(*Queue).Pop"), "{text}");
    let asked = s.asked(|_| true);
    s.wait(10_000).keys("j w");
    assert_eq!(s.asked(|_| true), asked, "nobody is there to answer");
}
