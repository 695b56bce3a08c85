//! Lanes of a timeline as characters: what the screen draws and the text report prints. One character a column; what is not Go code has a
//! letter, so that nothing depends on colours.

use crate::base::clock::human_ns;
use crate::model::location::short_function;
use crate::model::{Activity, BANDS, Cell, Cells, Lane, LaneKind, Level, Overview, TimelineSource};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const RAMP: [char; 8] = ['_', '_', '.', '.', '-', '=', '~', '^'];

/// Name of a lane, at most ten characters.
pub fn name(kind: LaneKind) -> String {
    match kind {
        LaneKind::Proc(p) => format!("P{p}"),
        LaneKind::Thread(t) => format!("M {t}"),
        LaneKind::Cpu(t) => format!("cpu {t}"),
        LaneKind::Goroutine(g) => format!("g{}", g.0),
        LaneKind::Collector => "GC".into(),
        LaneKind::StopTheWorld => "STW".into(),
        LaneKind::Heap => "heap".into(),
        LaneKind::HeapGoal => "goal".into(),
        LaneKind::Goroutines => "goroutines".into(),
        LaneKind::RunQueue => "runnable".into(),
        LaneKind::Syscalls => "syscalls".into(),
        LaneKind::Switches => "switches".into(),
        LaneKind::OurStops => "our stops".into(),
    }
}

/// Where something comes from, in a word.
pub fn source(s: TimelineSource) -> &'static str {
    match s {
        TimelineSource::Trace => "trace",
        TimelineSource::Sampled => "looks",
        TimelineSource::Text => "lines",
        TimelineSource::Perf => "perf",
        TimelineSource::Kernel => "schedstat",
        TimelineSource::Ours => "ours",
    }
}

/// The sources of a lane, in a letter: `*` for several.
pub fn source_mark(lane: &Lane, view: TimelineSource) -> char {
    let mut all = lane.sources.iter().map(|s| s.1);
    let first = all.next().unwrap_or(view);
    if all.any(|s| s != first) { '*' } else { source(first).chars().next().unwrap_or(' ') }
}

/// The sources of a lane, in words.
pub fn sources(lane: &Lane, view: TimelineSource) -> String {
    let mut all: Vec<&str> = lane.sources.iter().map(|s| source(s.1)).collect();
    if all.is_empty() {
        all.push(source(view));
    }
    if matches!(&lane.cells, Cells::States(c) if c.iter().any(|c| c.function.is_some())) {
        all.push(source(TimelineSource::Perf));
    }
    all.sort_unstable();
    all.dedup();
    all.join("+")
}

/// What was done, in words.
pub fn activity(a: Activity) -> &'static str {
    match a {
        Activity::Unknown => "unknown",
        Activity::Idle => "idle",
        Activity::Running => "running",
        Activity::Runnable => "runnable",
        Activity::Blocked => "blocked",
        Activity::Syscall => "syscall",
        Activity::Marking => "marking",
        Activity::Assist => "assist",
        Activity::Sweeping => "sweeping",
        Activity::Stopped => "stopped",
    }
}

/// The character of a column of a lane of states.
pub fn state(kind: LaneKind, c: &Cell, ascii: bool) -> char {
    let eighth = usize::from(c.busy).div_ceil(32).clamp(1, 8) - 1;
    match c.activity {
        Activity::Unknown => ' ',
        Activity::Idle => match kind {
            k if ascii && runs(k) => '-',
            _ if ascii => '.',
            _ => '·',
        },
        Activity::Running if ascii => match c.busy {
            ..=85 => ':',
            86..=170 => '+',
            _ => '#',
        },
        Activity::Running => BLOCKS[eighth],
        Activity::Runnable => 'r',
        Activity::Blocked => '_',
        Activity::Syscall => 's',
        Activity::Marking => 'M',
        Activity::Assist => 'A',
        Activity::Sweeping => 'w',
        Activity::Stopped if kind == LaneKind::OurStops => 'S',
        Activity::Stopped => '|',
    }
}

/// The character of a column of a lane of amounts, of which `top` is the highest.
pub fn level(l: Option<&Level>, top: u64, ascii: bool) -> char {
    level_of(l, top, ascii, (0, 1))
}

/// The same of a lane that is drawn over several rows: which one from below, of how many.
pub fn level_of(l: Option<&Level>, top: u64, ascii: bool, (row, rows): (usize, usize)) -> char {
    let Some(l) = l else { return ' ' };
    if l.max == 0 {
        return match (row, ascii) {
            (0, true) => '.',
            (0, false) => '·',
            _ => ' ',
        };
    }
    let ramp = if ascii { RAMP } else { BLOCKS };
    let filled = (u128::from(l.max) * 8 * rows as u128).div_ceil(u128::from(top.max(1))).max(1) as usize;
    match filled.saturating_sub(row * 8) {
        0 => ' ',
        8.. if ascii && rows > 1 => '#',
        n => ramp[n.min(8) - 1],
    }
}

/// The bar of an overview: a character a column.
pub fn bar(o: &Overview, ascii: bool) -> Vec<char> {
    let one = |b: &Option<u8>| match b {
        None => ' ',
        Some(0) => {
            if ascii {
                '.'
            } else {
                '·'
            }
        }
        Some(b) => (if ascii { RAMP } else { BLOCKS })[usize::from(*b) * 8 / 256],
    };
    o.busy.iter().map(one).collect()
}

/// One row of a map of utilisation, from 0 for the least busy band: how many of the Ps were so busy.
pub fn band(o: &Overview, band: usize, ascii: bool) -> Vec<char> {
    let shades = if ascii { [' ', '.', ':', '+', '#'] } else { [' ', '░', '▒', '▓', '█'] };
    let one = |b: &[u16; BANDS]| {
        let (n, all) = (usize::from(b[band.min(BANDS - 1)]), b.iter().map(|n| usize::from(*n)).sum::<usize>());
        shades[(n * 4).div_ceil(all.max(1)).min(4)]
    };
    o.bands.iter().map(one).collect()
}

/// The functions of a lane's cells as text: each name stands where it begins, as far as there is room, and a letter of it stays where there is none.
/// With each character goes the function it is about.
pub fn functions(cells: &[Cell], names: &[String], ascii: bool) -> Vec<(char, Option<u16>)> {
    let mut out = Vec::with_capacity(cells.len());
    let more = if ascii { '~' } else { '…' };
    let mut i = 0;
    while i < cells.len() {
        let f = cells[i].function;
        let run = cells[i..].iter().take_while(|c| c.function == f).count();
        let name = f.and_then(|f| names.get(usize::from(f))).map_or("", |n| short_function(n));
        // The package says little where there is little room.
        let name = if name.len() >= run { name.split_once('.').map_or(name, |n| n.1) } else { name };
        let name: Vec<char> =
            name.chars().map(|c| if c.is_control() || (ascii && !c.is_ascii()) { '?' } else { c }).collect();
        let fits = name.len() < run || run < 3;
        for k in 0..run {
            let c = match name.get(k) {
                Some(_) if !fits && k + 2 == run => more,
                Some(c) if k + 1 < run || run == 1 => *c,
                _ => ' ',
            };
            out.push((c, f));
        }
        i += run;
    }
    out
}

/// Highest amount of a lane; 0 for lanes of states.
pub fn top(lane: &Lane) -> u64 {
    match &lane.cells {
        Cells::Levels(l) => l.iter().flatten().map(|l| l.max).max().unwrap_or(0),
        Cells::States(_) => 0,
    }
}

/// The last amount of a lane.
pub fn last(lane: &Lane) -> Option<u64> {
    match &lane.cells {
        Cells::Levels(l) => l.iter().rev().flatten().next().map(|l| l.last),
        Cells::States(_) => None,
    }
}

/// Share of the columns' time that was not idle, of those that are known; none if nothing is.
pub fn busy(lane: &Lane) -> Option<f64> {
    let Cells::States(cells) = &lane.cells else { return None };
    let known = cells.iter().filter(|c| c.activity != Activity::Unknown);
    let (sum, n) = known.fold((0u64, 0u64), |(s, n), c| (s + u64::from(c.busy), n + 1));
    (n > 0).then(|| sum as f64 / (n as f64 * 255.0))
}

/// Is it the lane of somebody who runs and does not?
pub fn runs(kind: LaneKind) -> bool {
    matches!(kind, LaneKind::Proc(_) | LaneKind::Thread(_) | LaneKind::Cpu(_) | LaneKind::Goroutine(_))
}

/// Is it a lane of amounts?
pub fn is_amount(kind: LaneKind) -> bool {
    use LaneKind::{Goroutines, Heap, HeapGoal, RunQueue, Switches, Syscalls};
    matches!(kind, Heap | HeapGoal | Goroutines | RunQueue | Syscalls | Switches)
}

/// An amount with its unit.
pub fn amount(kind: LaneKind, n: u64) -> String {
    match kind {
        LaneKind::Heap | LaneKind::HeapGoal => bytes(n),
        _ => n.to_string(),
    }
}

/// Bytes, short.
fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n}B"),
        1_024..1_048_576 => format!("{:.0}K", n as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1}M", n as f64 / 1_048_576.0),
        _ => format!("{:.2}G", n as f64 / 1_073_741_824.0),
    }
}

/// The few words at the right end of a lane.
pub fn note(lane: &Lane, brief: bool) -> String {
    match lane.kind {
        k if runs(k) => {
            let share = busy(lane).map_or(String::new(), |b| format!("{:.0}%", b * 100.0));
            [share, lane.note.clone()].iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>().join(" ")
        }
        LaneKind::Collector | LaneKind::StopTheWorld | LaneKind::OurStops => lane.note.clone(),
        kind => match (last(lane), top(lane)) {
            (Some(now), max) if now != max && !brief => format!("{} max {}", amount(kind, now), amount(kind, max)),
            (Some(now), _) => amount(kind, now),
            (None, _) => String::new(),
        },
    }
}

/// Time of day (UTC) of a moment, as fine as the columns need: `12:04:31`, `12:04:31.250` or `12:04:31.250123`.
pub fn time_of_day(wall_ns: i64, column_ns: u64) -> String {
    let s = wall_ns.div_euclid(1_000_000_000);
    let (h, m, sec) = (s / 3_600 % 24, s / 60 % 60, s % 60);
    match column_ns {
        0..1_000_000 => format!("{h:02}:{m:02}:{sec:02}.{:06}", wall_ns.rem_euclid(1_000_000_000) / 1_000),
        1_000_000..125_000_000 => {
            format!("{h:02}:{m:02}:{sec:02}.{:03}", wall_ns.rem_euclid(1_000_000_000) / 1_000_000)
        }
        _ => format!("{h:02}:{m:02}:{sec:02}"),
    }
}

/// A length of time that may be less than a millisecond.
pub fn length(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}us", ns / 1_000),
        1_000_000..10_000_000 => format!("{:.1}ms", ns as f64 / 1e6),
        _ => human_ns(ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_mark() {
        let all = &Activity::ALL[1..];
        for ascii in [true, false] {
            let mark =
                |a: &Activity| state(LaneKind::Proc(0), &Cell { activity: *a, busy: 255, ..Cell::default() }, ascii);
            let marks: std::collections::BTreeSet<char> = all.iter().map(mark).collect();
            assert_eq!(marks.len(), all.len());
            assert!(!ascii || marks.iter().all(char::is_ascii));
        }
    }

    #[test]
    fn functions_are_named_where_they_begin() {
        let cell = |f| Cell { function: f, ..Cell::default() };
        let cells: Vec<Cell> =
            [Some(0); 9].into_iter().chain([None, Some(1), Some(0)]).chain([Some(1); 6]).map(cell).collect();
        let names = ["main.busy".to_string(), "a/b.(*Cache).Get".to_string()];
        let drawn: String = functions(&cells, &names, true).into_iter().map(|c| c.0).collect();
        assert_eq!(drawn, "busy      (b(*Ca~ ");
    }

    #[test]
    fn amounts_fill_the_height() {
        let l = |max| Some(Level { min: 0, max, last: max });
        let drawn: String = [0, 1, 50, 100].map(|n| level(l(n).as_ref(), 100, false)).into_iter().collect();
        assert_eq!(drawn, "·▁▄█");
        let high = |row| level_of(l(50).as_ref(), 100, false, (row, 3));
        assert_eq!([high(0), high(1), high(2)], ['█', '▄', ' ']);
        assert_eq!(level(None, 5, false), ' ');
        assert_eq!(time_of_day(3_723_250_000_000, 1_000_000), "01:02:03.250");
        assert_eq!(
            (bytes(1_500), bytes(3 << 30), length(1_500), length(0)),
            ("1K".into(), "3.00G".into(), "1us".into(), "0ns".into())
        );
    }
}
