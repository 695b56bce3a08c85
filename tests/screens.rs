//! Golden screens: the app against a scripted host, drawn into a buffer. No process, no terminal, no sleeps.

mod shop;
mod stage;

use adit::backend::protocol::Request;
use adit::tui::{Options, theme::ColorChoice};
use shop::Shop;
use stage::{SIZES, Stage, options};

#[test]
fn debug() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("debug-{w}x{h}"), Stage::new(true, (w, h)).text());
    }
}

#[test]
fn goroutines() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("goroutines-{w}x{h}"), Stage::new(false, (w, h)).keys("2").text());
    }
}

#[test]
fn log() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("log-{w}x{h}"), Stage::new(true, (w, h)).keys("9").text());
    }
}

#[test]
fn overlays() {
    for (w, h) in SIZES {
        let shot = |name: &str, keys: &str| {
            insta::assert_snapshot!(format!("{name}-{w}x{h}"), Stage::new(true, (w, h)).keys(keys).text());
        };
        shot("help", "?");
        shot("palette", "Ctrl-k step");
        shot("breakpoint-editor", "B");
        shot("prompt", ": br Tab");
        shot("quit", "q");
    }
}

#[test]
fn breakpoints_workspace() {
    insta::assert_snapshot!("breakpoints-100x30", Stage::new(true, (100, 30)).keys("8").text());
}

#[test]
fn vars_open_in_place() {
    let mut s = Stage::new(true, (120, 40));
    s.keys("Tab Tab Tab").keys("Enter j Enter j Enter G Enter G");
    insta::assert_snapshot!("vars-120x40", s.text());
}

#[test]
fn instruction_steps_show_code() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("i");
    insta::assert_snapshot!("code-80x24", s.text());
    s.keys("[");
    assert!(s.text().contains("[Source cart.go"), "{}", s.text());
}

#[test]
fn a_group_opens() {
    insta::assert_snapshot!("group-120x40", Stage::new(false, (120, 40)).keys("2 j j j Enter j j").text());
}

#[test]
fn small_screens_say_so_and_none_panics() {
    insta::assert_snapshot!("tiny-20x5", Stage::new(true, (20, 5)).text());
    insta::assert_snapshot!("list-70x20", Stage::new(true, (70, 20)).text());
    for w in [1, 2, 5, 19, 20, 59, 60, 61, 79, 80, 99, 100, 101, 159, 160, 161, 300] {
        for h in [1, 2, 3, 5, 14, 15, 16, 23, 24, 25, 35, 36, 37, 90] {
            let mut s = Stage::new(true, (w, h));
            for keys in [
                "",
                "?",
                "Esc",
                "Ctrl-k",
                "Esc B",
                "Esc q",
                "Esc : b",
                "Esc + +",
                "2",
                "8",
                "9",
                "3 Tab Tab Tab",
                "1",
                "5 v",
                "4",
                "7 j j Enter t",
            ] {
                s.keys(keys).text();
            }
        }
    }
}

#[test]
fn themes() {
    for (name, _) in adit::config::theme::SHIPPED {
        let color = if *name == "mono" { ColorChoice::Never } else { ColorChoice::True };
        let o = Options { theme: Some(name.to_string()), color, ascii: false, ..options() };
        let mut s = Stage::with(Shop::new(true), (80, 24), o);
        insta::assert_snapshot!(format!("theme-{name}"), format!("{:?}", s.buffer()));
    }
}

#[test]
fn sixteen_colours_have_no_fills() {
    for (name, _) in adit::config::theme::SHIPPED {
        let o = Options { theme: Some(name.to_string()), color: ColorChoice::Ansi, ..options() };
        let b = Stage::with(Shop::new(true), (80, 24), o).buffer();
        let filled = b.content.iter().filter(|c| c.bg != ratatui::style::Color::Reset).count();
        // The high-contrast theme fills the current line and frame, on purpose.
        assert!(filled <= if *name == "high-contrast" { 160 } else { 0 }, "{name}: {filled}");
    }
}

#[test]
fn observe_mode_never_touches_the_target() {
    let mut s = Stage::new(false, (80, 24));
    s.keys("2 Tab c n s o b C R c");
    assert!(s.text().contains("observe mode"), "{}", s.text());
    let harmful = |r: &Request| matches!(r, Request::Resume { .. } | Request::Pause | Request::SetBreakpoint { .. });
    assert_eq!(s.asked(harmful), 0);
}

#[test]
fn letters_in_lists_never_resume() {
    let mut s = Stage::new(true, (120, 40));
    s.keys("2 c n s o Ctrl-k Esc 9 c n s o 8 c n s o");
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 0);
    s.keys("3 n");
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 1);
}

#[test]
fn n_is_next_match_while_searching_and_the_status_says_so() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("/ sum Enter n n");
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 0);
    assert!(s.text().contains("n next match"), "{}", s.text());
    s.keys("Esc n");
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 1);
}

#[test]
fn a_step_marks_what_changed() {
    let mut s = Stage::new(true, (120, 40));
    assert!(!s.text().contains("*sum"));
    s.keys("n");
    let text = s.text();
    assert!(text.contains("*sum") && text.contains("6300") && text.contains("stepped to"), "{text}");
}

#[test]
fn only_rows_that_can_be_seen_are_asked_for() {
    let mut s = Stage::new(false, (80, 24));
    s.keys("2 S S t t t t t t t G PgDn k k");
    let text = s.text();
    assert!(text.contains("100000"), "{text}");
    let most = s
        .shop
        .asked
        .lock()
        .map(|a| a.iter().map(|r| if let Request::Goroutines(q) = r { q.count } else { 0 }).max().unwrap_or(0));
    let most = most.unwrap_or(u64::MAX);
    assert!(most <= 40, "{most}");
}

#[test]
fn delves_commands_work_as_typed() {
    let mut s = Stage::new(true, (80, 24));
    for (line, want) in [
        ("break main.go:10 if i == 3", "breakpoint 4"),
        ("p sum", "sum = 4200"),
        ("goroutine 22", "g22"),
        ("nonsense", "no command nonsense"),
        ("frame 99", "there are frames 0 to"),
    ] {
        s.keys(":");
        s.app.paste(line);
        s.keys("Enter");
        assert!(s.text().contains(want), "{line}: {}", s.text());
    }
    let set = s.asked(|r| matches!(r, Request::SetBreakpoint { spec, .. } if spec.condition == "i == 3"));
    assert_eq!(set, 1);
    s.keys(":");
    s.app.paste("condition -hitcount 2 > 5");
    s.keys("Enter");
    assert_eq!(s.asked(|r| matches!(r, Request::EditBreakpoint { spec, .. } if spec.hits.is_some())), 1);
}

#[test]
fn pasted_text_is_never_keys() {
    let mut s = Stage::new(true, (80, 24));
    s.app.paste("cnsq\n:kill\n");
    s.settle();
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. } | Request::Detach { .. })), 0);
    assert!(s.app.effects.is_empty());
}

#[test]
fn quitting_asks_and_detaches_by_default() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("q");
    assert!(s.text().contains("detach: put everything back, resume it and leave"));
    s.keys("Esc q Enter");
    assert_eq!(s.asked(|r| matches!(r, Request::Detach { kill: false })), 1);
    assert_eq!(s.asked(|r| matches!(r, Request::Detach { kill: true })), 0);
    assert!(s.app.effects.contains(&adit::tui::app::Effect::Quit));
}

#[test]
fn ctrl_c_pauses_what_runs() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("c");
    assert!(s.text().contains("running"));
    assert!(s.text().contains("Ctrl-c pause"), "{}", s.text());
    s.keys("Ctrl-c");
    assert_eq!(s.asked(|r| matches!(r, Request::Pause)), 1);
    assert!(s.text().contains("paused"), "{}", s.text());
    s.keys("Ctrl-c");
    assert!(s.app.effects.is_empty());
}

#[test]
fn suspending_a_held_target_asks() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("Ctrl-z");
    assert!(s.app.effects.is_empty() && s.text().contains("resume it, then suspend"));
    s.keys("Enter");
    assert!(s.app.effects.contains(&adit::tui::app::Effect::Suspend));
    assert_eq!(s.asked(|r| matches!(r, Request::Resume { .. })), 1);
}

#[test]
fn nothing_is_asked_twice() {
    let mut s = Stage::new(true, (120, 40));
    let before = s.asked(|_| true);
    for _ in 0..5 {
        s.settle();
        s.text();
    }
    assert_eq!(s.asked(|_| true), before);
}

#[test]
fn marks_lead_back() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("j j m a G ' a");
    // The cursor, with or without the mark of a line that has code.
    let row = s.text().lines().find(|l| l.contains("> ") && l.contains(" 50  ")).map(str::to_string);
    assert!(row.is_some(), "{}", s.text());
}

#[test]
fn each_class_of_screen_keeps_its_tabs() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("Tab Tab ]");
    assert!(s.text().contains("[Breakpoints 3]"), "{}", s.text());
    s.size = (200, 60);
    s.settle();
    assert!(s.text().contains("[Breakpoints 3]"));
    s.size = (80, 24);
    s.settle();
    assert!(s.text().contains("[Breakpoints 3]"), "{}", s.text());
}

#[test]
fn a_line_goes_to_the_program() {
    let mut s = Stage::new(true, (80, 24));
    s.keys("9 Tab i hello Enter");
    let sent = s.asked(|r| matches!(r, Request::Input(b) if b == b"hello\n"));
    assert_eq!(sent, 1, "{}", s.text());
}

#[test]
fn triage() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("triage-{w}x{h}"), Stage::new(false, (w, h)).text());
    }
}

#[test]
fn timeline() {
    for (w, h) in SIZES {
        let mut s = Stage::new(false, (w, h));
        s.keys("6");
        insta::assert_snapshot!(format!("timeline-{w}x{h}"), s.text());
        // Another lane, an earlier moment, closer, the goroutine there followed.
        s.keys("jhhh+G");
        insta::assert_snapshot!(format!("timeline-closer-{w}x{h}"), s.text());
    }
}

#[test]
fn timeline_of_several_sources() {
    for (w, h) in SIZES {
        let mut s = Stage::new(false, (w, h));
        // Lanes of threads, a map of utilisation.
        s.keys("6 M u");
        insta::assert_snapshot!(format!("timeline-sources-{w}x{h}"), s.text());
    }
}

#[test]
fn a_timeline_is_searched_where_its_data_is() {
    let mut s = Stage::new(false, (120, 40));
    s.keys("6 / parse Enter");
    assert!(s.text().contains("region parse"), "{}", s.text());
    // The next one is asked for from the mark on.
    s.keys("n");
    assert!(s.text().contains("task parse of 2"), "{}", s.text());
    s.keys("Esc / nothing Enter");
    assert!(s.text().contains("no match for nothing"), "{}", s.text());
}

#[test]
fn waits() {
    for (w, h) in SIZES {
        let mut s = Stage::new(false, (w, h));
        s.keys("5");
        insta::assert_snapshot!(format!("waits-tree-{w}x{h}"), s.text());
        s.keys("v");
        insta::assert_snapshot!(format!("waits-graph-{w}x{h}"), s.text());
    }
}

#[test]
fn data() {
    for (w, h) in SIZES {
        let mut s = Stage::new(true, (w, h));
        s.line("heap");
        insta::assert_snapshot!(format!("heap-{w}x{h}"), s.text());
        s.keys("j r");
        insta::assert_snapshot!(format!("refs-{w}x{h}"), s.text());
    }
}

#[test]
fn defers() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("defers-{w}x{h}"), Stage::new(true, (w, h)).line("defers").text());
    }
}

/// A profile that was opened as a file.
fn profile(size: (u16, u16)) -> Stage {
    let mut shop = Shop::new(false);
    shop.kind = adit::model::TargetKind::Profile;
    Stage::with(shop, size, options())
}

#[test]
fn profiles() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("profile-flame-{w}x{h}"), profile((w, h)).keys("j j j").text());
        insta::assert_snapshot!(format!("profile-table-{w}x{h}"), profile((w, h)).keys("t j j").text());
        insta::assert_snapshot!(format!("profile-zoom-{w}x{h}"), profile((w, h)).keys("j j j Enter j").text());
        insta::assert_snapshot!(format!("profile-callers-{w}x{h}"), profile((w, h)).keys("r j").text());
        insta::assert_snapshot!(format!("profile-search-{w}x{h}"), profile((w, h)).keys("/ price Enter").text());
        let mut s = profile((w, h));
        s.line("diff /srv/before.pb.gz");
        insta::assert_snapshot!(format!("profile-diff-{w}x{h}"), s.keys("j j j j").text());
        insta::assert_snapshot!(format!("profile-diff-table-{w}x{h}"), s.keys("t").text());
        let mut live = Stage::new(false, (w, h));
        insta::assert_snapshot!(format!("profile-sources-{w}x{h}"), live.keys("7 j").text());
    }
}

#[test]
fn keys_of_a_profile() {
    let mut s = profile((80, 24));
    let has = |s: &mut Stage, text: &str| {
        let t = s.text();
        assert!(t.contains(text), "{text}: {t}");
    };
    has(&mut s, "[Flame cpu]");
    // Values, ends, a part of it, back.
    s.keys("c");
    has(&mut s, "[Flame samples]");
    s.keys("c r");
    has(&mut s, "[Flame cpu, callers]");
    s.keys("r j j j Enter");
    has(&mut s, "in main.(*Cart).Total]");
    s.keys("Enter");
    has(&mut s, "fills the width already");
    s.keys("Backspace Backspace");
    assert!(!s.text().contains("in main."), "{}", s.text());
    s.keys("Backspace Backspace");
    has(&mut s, "all of it is shown");
    // Only what matches; a bad expression changes nothing.
    s.keys("f");
    s.app.paste("mallocgc");
    s.keys("Enter");
    has(&mut s, "focus mallocgc");
    has(&mut s, "of all");
    s.line("focus (");
    has(&mut s, "focus mallocgc");
    s.keys("f");
    assert!(!s.text().contains("focus mallocgc"));
    // The table and back; Enter in it shows who calls the function.
    s.keys("t");
    has(&mut s, "[Functions 59 by cpu]");
    s.keys("/ price Enter");
    s.keys("Esc Enter");
    has(&mut s, "callers, in main.(*Cart).price]");
    s.keys("Backspace r");
    // Compared, by shares, and no more.
    s.line("diff /srv/before.pb.gz");
    has(&mut s, "against before.pb.gz");
    has(&mut s, "regression example.com/rules/engine.(*Set[go.shape.string]).Match +356%");
    s.keys("t");
    has(&mut s, "+3.20s  +356%");
    // From where on a difference counts can be set, and is asked for with the next question.
    s.line("thresholds");
    has(&mut s, "a difference counts from 200 samples and 50% on");
    s.line("thresholds 10 5%");
    s.line("thresholds");
    has(&mut s, "from 10 samples and 5% on");
    assert!(s.asked(|r| matches!(r, Request::Profile(q) if q.thresholds == Some((10, 5)))) > 0);
    s.line("thresholds many");
    has(&mut s, "usage: thresholds SAMPLES [PERCENT]");
    s.keys("%");
    has(&mut s, "shares are compared");
    s.keys("d");
    assert!(!s.text().contains("against"), "{}", s.text());
    assert_eq!(s.asked(|r| matches!(r, Request::ProfileBase { .. })), 2);
}

#[test]
fn boxes_are_reached_by_arrows() {
    let mut s = profile((120, 40));
    let under = |s: &mut Stage| {
        let t = s.text();
        let row = t.lines().find(|l| l.contains("its own") || l.contains("%)")).unwrap_or("");
        row.trim_matches(['|', ' ']).split("  ").next().unwrap_or("").to_string()
    };
    for (keys, want) in [
        ("j", "net/http.(*conn).serve"),
        ("j", "main.(*API).checkout"),
        ("j", "main.(*Cart).Total"),
        ("l", "encoding/json.(*Decoder).Decode"),
        ("h", "main.(*Cart).Total"),
        ("j j", "example.com/rules/engine.(*Set[go.shape.string]).Match"),
        ("k", "main.(*Cart).price"),
        ("g", "all"),
        ("j l l", "51 narrow ones"),
    ] {
        s.keys(keys);
        assert_eq!(under(&mut s), want, "{keys}: {}", s.text());
    }
}

#[test]
fn what_is_not_looked_at_is_not_asked() {
    let mut s = Stage::new(false, (80, 24));
    assert_eq!(s.asked(|r| matches!(r, Request::Profile(_) | Request::ProfileSources)), 0);
    s.keys("7");
    assert_eq!(s.asked(|r| matches!(r, Request::ProfileSources)), 1);
    s.keys("Enter");
    assert_eq!(s.asked(|r| matches!(r, Request::ProfileFetch { .. })), 1);
    assert!(s.text().contains("[Flame cpu]"), "{}", s.text());
    let n = s.asked(|_| true);
    for _ in 0..5 {
        s.settle();
        s.text();
    }
    assert_eq!(s.asked(|_| true), n, "nothing is asked twice");
    // Back at the list.
    s.keys("Backspace");
    assert!(s.text().contains("CPU for 5 s"), "{}", s.text());
    let mut shop = Shop::new(false);
    shop.healthy = true;
    let mut s = Stage::with(shop, (80, 24), options());
    assert!(s.keys("7").text().contains("no net/http/pprof"), "{}", s.text());
    // Read anew, it may serve some by now.
    s.shop.healthy = false;
    assert!(s.keys("Ctrl-r").text().contains("CPU for 5 s"), "{}", s.text());
    // What was fetched stays when the process has gone.
    let mut s = Stage::new(false, (80, 24));
    s.keys("7 Enter j");
    s.shop.gone = true;
    s.keys("Ctrl-r r j");
    let text = s.text();
    assert!(text.contains("process is gone") && text.contains("[Flame cpu, callers]"), "{text}");
    assert!(text.contains("engine.(*Set[go.shape.string]).Match  4.10s"), "{text}");
    // Another workspace of a profile says what it is.
    let mut s = profile((80, 24));
    s.keys("7");
    assert!(s.text().contains("[Flame cpu]"));
}
