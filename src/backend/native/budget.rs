//! How long the target may stand: for one stop, in a minute, while it is held; and how long a session may last. Counting only: what
//! has to be done is said, and done by the host. Launched programs have no budget, they are there to be debugged.

use crate::model::BudgetState;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// A stop is expected to take at least so long: with less there is no time left for a copy of it, and it is for nothing.
const LEAST: Duration = Duration::from_millis(25);
/// Of the time that a stop may last, this at least is for what comes after the copying.
const RESERVE: Duration = Duration::from_millis(15);
/// And so much of what is left of it, in hundredths, for a machine with much else to do: every thread that is let go then waits for a processor.
const RESERVED: u32 = 40;

/// What of the time that a stop may still last is there for the copying.
pub fn for_copying(left: Duration) -> Duration {
    left.saturating_sub(RESERVE.max(left * RESERVED / 100))
}
/// A session's end is announced so long before.
const ANNOUNCED: Duration = Duration::from_secs(60);

/// What a profile allows; none: as much as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The profile's name.
    pub profile: &'static str,
    /// A stop that nobody holds may last so long before it is copied and the program goes on.
    pub look: Option<Duration>,
    /// Longest stop that nobody holds.
    pub stop: Option<Duration>,
    /// All stops of a minute together, held ones not counted.
    pub minute: Option<Duration>,
    /// Longest hold.
    pub hold: Option<Duration>,
    /// A hold ends when no key was pressed for so long.
    pub idle: Option<Duration>,
    /// Longest session.
    pub session: Option<Duration>,
    /// A client that says nothing for so long: the program goes on.
    pub silent: Duration,
    /// And for so long: it is let go.
    pub lost: Duration,
    /// Values, registers and memory may be written, functions called.
    pub writes: bool,
    /// Somebody else watches the program ([`Watched`]): a hold is not extended, and the next begins so long after it.
    pub rest: Option<Duration>,
}

/// Who else watches a program and acts when it stands (a kubelet's probes, a lease), as limits that hold beside the profile's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// A stop that nobody holds, at most.
    pub stop: Option<Duration>,
    /// A hold, at most.
    pub hold: Option<Duration>,
    /// Between two holds, at least.
    pub rest: Option<Duration>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Option<Duration>| d.map_or(0, |d| d.as_millis());
        write!(f, "{},{},{}", ms(self.stop), ms(self.hold), ms(self.rest))
    }
}

impl FromStr for Watched {
    type Err = String;
    /// Milliseconds, 0 for none: `STOP,HOLD,REST`.
    fn from_str(text: &str) -> Result<Watched, String> {
        let all: Option<Vec<u64>> = text.split(',').map(|n| n.parse().ok()).collect();
        let some = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        match all.as_deref() {
            Some(&[stop, hold, rest]) => Ok(Watched { stop: some(stop), hold: some(hold), rest: some(rest) }),
            _ => Err("three numbers of milliseconds with commas between them: STOP,HOLD,REST".into()),
        }
    }
}

/// The shorter of two limits; none is no limit.
fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

const fn ms(n: u64) -> Option<Duration> {
    Some(Duration::from_millis(n))
}

impl Limits {
    /// Processes that serve somebody.
    pub const PROD: Limits = Limits {
        profile: "prod",
        look: ms(0),
        stop: ms(500),
        minute: ms(250),
        hold: ms(30_000),
        idle: ms(10_000),
        session: ms(30 * 60_000),
        silent: Duration::from_secs(5),
        lost: Duration::from_secs(30),
        writes: false,
        rest: None,
    };
    /// Processes that look like those.
    pub const STAGING: Limits = Limits {
        profile: "staging",
        look: ms(1_500),
        stop: ms(2_000),
        minute: ms(10_000),
        hold: ms(10 * 60_000),
        idle: ms(2 * 60_000),
        session: ms(4 * 3_600_000),
        writes: true,
        ..Limits::PROD
    };
    /// Processes that nobody else needs.
    pub const DEV: Limits = Limits {
        profile: "dev",
        look: None,
        stop: None,
        minute: None,
        hold: None,
        idle: None,
        session: None,
        silent: Duration::from_secs(60),
        lost: Duration::from_secs(120),
        writes: true,
        rest: None,
    };

    /// With somebody who watches the program. A profile without limits keeps none: who chose it needs nobody's consent.
    pub fn watched(self, by: Watched) -> Limits {
        if self.stop.is_none() {
            return self;
        }
        // The copy that is looked at afterwards is made before the time is over.
        let look = shorter(self.look, by.stop.map(|d| d * 3 / 4));
        let (stop, hold) = (shorter(self.stop, by.stop), shorter(self.hold, by.hold));
        Limits { look, stop, hold, rest: by.hold.and(by.rest), ..self }
    }

    /// By name.
    pub fn named(profile: &str) -> Option<Limits> {
        [Limits::PROD, Limits::STAGING, Limits::DEV].into_iter().find(|l| l.profile == profile)
    }
}

/// What has to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// The stop has lasted long enough: copy it, and let the program run.
    Keep,
    /// The program has to run; why.
    Resume(String),
    /// The session is over; why.
    Detach(String),
    /// Something to be said.
    Say(String),
}

struct Hold {
    since: Instant,
    until: Option<Instant>,
    key: Instant,
}

/// Profile, stops so far, and until when the program is held.
pub type News = (&'static str, u64, Option<Instant>);

/// The account of one session.
pub struct Budget {
    limits: Limits,
    begun: Instant,
    announced: bool,
    /// Stops of the last minute that nobody held: when they ended, how long they were.
    recent: VecDeque<(Instant, Duration)>,
    stops: u64,
    total: Duration,
    longest: Duration,
    /// The stop under way began then.
    standing: Option<Instant>,
    hold: Option<Hold>,
    /// The hold that ended last: from when, until when.
    held: Option<(Instant, Instant)>,
    /// The last message of a client that sends signs of life; none until it did.
    heard: Option<Instant>,
}

impl Budget {
    /// A session that begins now.
    pub fn new(limits: Limits, now: Instant) -> Budget {
        Budget {
            limits,
            begun: now,
            announced: false,
            recent: VecDeque::new(),
            stops: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
            standing: None,
            hold: None,
            held: None,
            heard: None,
        }
    }

    /// What is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The user asked for the program to be held (or held longer): until when?
    pub fn hold(&mut self, now: Instant, reason: &str) -> Result<(), String> {
        let Some(most) = self.limits.hold else { return Ok(()) };
        if self.hold.is_some() && reason.trim().is_empty() {
            return Err("a hold is extended with a reason: `hold REASON`".into());
        }
        if let Some(rest) = self.limits.rest {
            if self.hold.is_some() {
                return Err("it is not held longer: who watches it (probes, a lease) would act".into());
            }
            let ago = self.held.map(|(_, until)| now.saturating_duration_since(until));
            if let Some(left) = ago.and_then(|ago| rest.checked_sub(ago)).filter(|left| !left.is_zero()) {
                let ms = left.as_millis();
                return Err(format!("it was held just now, and is watched (probes, a lease): again in {ms} ms"));
            }
        }
        let since = self.hold.as_ref().map_or(now, |h| h.since);
        self.hold = Some(Hold { since, until: Some(now + most), key: now });
        Ok(())
    }

    /// The hold is over.
    pub fn release(&mut self, now: Instant) {
        if let Some(h) = self.hold.take() {
            self.held = Some((h.since, now));
        }
    }

    /// Stops stay until the user goes on.
    pub fn is_held(&self) -> bool {
        self.hold.is_some() || self.limits.stop.is_none()
    }

    /// Something came from the client; a sign of life only, or with a key.
    pub fn heard(&mut self, now: Instant, alive: bool, key: bool) {
        if alive || self.heard.is_some() {
            self.heard = Some(now);
        }
        if key && let Some(h) = &mut self.hold {
            h.key = now;
        }
    }

    /// Its line broke: where there is a budget, it counts as silent from now on.
    pub fn client_gone(&mut self, now: Instant) {
        let silent = if self.limits.stop.is_some() { self.limits.silent } else { Duration::ZERO };
        self.heard = now.checked_sub(silent).or(Some(now));
        self.release(now);
    }

    /// The program stands since then, or runs.
    pub fn standing(&mut self, since: Option<Instant>) {
        self.standing = since;
    }

    /// The program stood, and runs again.
    pub fn stood(&mut self, began: Instant, long: Duration) {
        self.stops += 1;
        self.total += long;
        self.longest = self.longest.max(long);
        let during = self.hold.as_ref().map(|h| (h.since, began)).into_iter().chain(self.held);
        let held = during.into_iter().any(|(since, until)| began + long >= since && began <= until);
        if !held && self.limits.minute.is_some() {
            self.recent.push_back((began + long, long));
        }
    }

    /// What is left of this minute's time; none: there is no limit.
    pub fn minute_left(&self, now: Instant) -> Option<Duration> {
        let all = self.limits.minute?;
        let spent: Duration =
            self.recent.iter().filter(|(end, _)| now.saturating_duration_since(*end) < MINUTE).map(|r| r.1).sum();
        Some(all.saturating_sub(spent))
    }

    /// How long a stop that begins now may last; none: for ever.
    pub fn stop_may_last(&self, now: Instant) -> Option<Duration> {
        if self.is_held() {
            return None;
        }
        let most = self.limits.stop?;
        Some(self.minute_left(now).map_or(most, |left| left.min(most)))
    }

    /// May the program be stopped now? If not, in how long it may be.
    pub fn may_stop(&mut self, now: Instant) -> Result<(), Duration> {
        while self.recent.front().is_some_and(|(end, _)| now.saturating_duration_since(*end) >= MINUTE) {
            self.recent.pop_front();
        }
        let Some(left) = self.minute_left(now).filter(|_| !self.is_held()) else { return Ok(()) };
        let expected = self.recent.iter().rev().take(5).map(|r| r.1 * 3 / 2).max().unwrap_or(LEAST).max(LEAST);
        if left >= expected.min(self.limits.minute.unwrap_or(expected)) {
            return Ok(());
        }
        let first =
            self.recent.front().map_or(MINUTE, |(end, _)| MINUTE.saturating_sub(now.saturating_duration_since(*end)));
        Err(first)
    }

    /// What has to be done now.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let l = self.limits;
        let after = |since: Instant, most: Duration| now.saturating_duration_since(since) >= most;
        if l.session.is_some_and(|most| after(self.begun, most)) {
            return Some(Due::Detach(format!(
                "the session's time is over ({}, profile {})",
                text(l.session),
                l.profile
            )));
        }
        if let Some(heard) = self.heard {
            if after(heard, l.lost) {
                return Some(Due::Detach(format!("nothing was heard of the client for {}", text(Some(l.lost)))));
            }
            if self.standing.is_some() && after(heard, l.silent) {
                self.release(now);
                return Some(Due::Resume(format!("nothing was heard of the client for {}", text(Some(l.silent)))));
            }
        }
        let over = self.hold.as_ref().and_then(|h| match (h.until, l.idle) {
            (Some(until), _) if now >= until => Some(format!("it was held for {}", text(l.hold))),
            (_, Some(idle)) if after(h.key, idle) => Some(format!("no key was pressed for {}", text(l.idle))),
            _ => None,
        });
        if let Some(why) = over {
            self.release(now);
            return Some(Due::Resume(why));
        }
        if let Some(since) = self.standing.filter(|_| !self.is_held())
            && l.look.is_some_and(|look| after(since, look))
        {
            return Some(Due::Keep);
        }
        if !self.announced && l.session.is_some_and(|most| after(self.begun, most.saturating_sub(ANNOUNCED))) {
            self.announced = true;
            return Some(Due::Say(format!("this session ends in {} (profile {})", text(Some(ANNOUNCED)), l.profile)));
        }
        None
    }

    /// When to ask [`Budget::due`] again.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        let l = &self.limits;
        let stop = self.standing.filter(|_| !self.is_held()).zip(l.look).map(|(t, d)| t + d);
        let silent = self.standing.and(self.heard).map(|t| t + l.silent);
        let lost = self.heard.map(|t| t + l.lost);
        let hold = self.hold.as_ref().and_then(|h| h.until);
        let idle = self.hold.as_ref().zip(l.idle).map(|(h, d)| h.key + d);
        let session = l.session.map(|d| self.begun + d);
        let said = l.session.filter(|_| !self.announced).map(|d| self.begun + d.saturating_sub(ANNOUNCED));
        let all = [stop, silent, lost, hold, idle, session, said];
        all.into_iter().flatten().min().map(|t| t.saturating_duration_since(now))
    }

    /// What a client is told of when it changes; the rest of [`Budget::state`] follows from it and the time.
    pub fn news(&self) -> News {
        (self.limits.profile, self.stops, self.hold.as_ref().and_then(|h| h.until))
    }

    /// As shown.
    pub fn state(&self, now: Instant) -> BudgetState {
        let ms = |d: Duration| d.as_millis() as u64;
        BudgetState {
            profile: self.limits.profile.into(),
            stops: self.stops,
            total_us: self.total.as_micros() as u64,
            longest_us: self.longest.as_micros() as u64,
            stop_ms: self.limits.stop.map(ms),
            minute_ms: self.limits.minute.map(ms),
            minute_left_ms: self.minute_left(now).map(ms),
            hold_left_ms: self.hold.as_ref().and_then(|h| h.until).map(|t| ms(t.saturating_duration_since(now))),
            session_left_ms: self.limits.session.map(|d| ms((self.begun + d).saturating_duration_since(now))),
        }
    }
}

fn text(d: Option<Duration>) -> String {
    let d = d.unwrap_or_default();
    let s = d.as_secs();
    match s {
        0..10 if d.subsec_millis() > 0 => format!("{:.1} s", d.as_secs_f64()),
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s / 60),
        _ => format!("{} h", s / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn somebody_else_watches() {
        let w: Watched = "500,1500,2000".parse().expect("three numbers");
        assert_eq!(w.to_string(), "500,1500,2000");
        assert!("500,1500".parse::<Watched>().is_err() && "a,b,c".parse::<Watched>().is_err());
        assert_eq!(Limits::PROD.watched(Watched::default()), Limits::PROD);
        assert_eq!(Limits::DEV.watched(w), Limits::DEV);
        let l = Limits::STAGING.watched(w);
        assert_eq!((l.look, l.stop, l.hold), (ms(375), ms(500), ms(1_500)));
        let t = Instant::now();
        let mut b = Budget::new(l, t);
        b.hold(t, "").expect("held");
        assert!(b.hold(t + s(1.0), "one more look").is_err());
        assert_eq!(b.due(t + s(1.6)), Some(Due::Resume("it was held for 1.5 s".into())));
        assert!(b.hold(t + s(3.0), "").is_err_and(|e| e.contains("again in 600 ms")));
        b.hold(t + s(3.7), "").expect("it was probed");
    }

    #[test]
    fn a_minute_has_so_much_and_it_comes_back() {
        let t = Instant::now();
        let mut b = Budget::new(Limits::PROD, t);
        assert_eq!(b.may_stop(t), Ok(()));
        for i in 0..3 {
            b.stood(t + s(f64::from(i)), s(0.06));
        }
        // 70 ms are left; the next is expected to take 90.
        let wait = b.may_stop(t + s(3.0)).expect_err("spent");
        assert!(wait > s(56.0) && wait < s(58.0), "{wait:?}");
        assert_eq!(b.may_stop(t + s(60.1)), Ok(()));
        assert_eq!(b.state(t + s(60.1)).stops, 3);
        // What is held does not count.
        b.hold(t + s(61.0), "").expect("held");
        b.stood(t + s(62.0), s(1.0));
        b.release(t + s(67.0));
        b.stood(t + s(63.5), s(5.0)); // told of when it was over
        assert_eq!(b.may_stop(t + s(68.0)), Ok(()));
        assert_eq!(b.state(t + s(68.0)).longest_us, 5_000_000);
    }

    #[test]
    fn a_stop_leaves_time_for_its_copy() {
        let t = Instant::now();
        let mut b = Budget::new(Limits::PROD, t);
        for _ in 0..60 {
            b.stood(t, s(0.0035));
        }
        assert_eq!(b.may_stop(t + s(1.0)), Ok(()), "40 ms are left");
        (0..6).for_each(|_| b.stood(t, s(0.0035)));
        assert!(b.may_stop(t + s(1.0)).is_err(), "19 ms are left, of which 15 are for letting it go");
    }

    #[test]
    fn stops_are_kept_unless_held_and_holds_end() {
        let t = Instant::now();
        let mut b = Budget::new(Limits::PROD, t);
        b.standing(Some(t));
        assert_eq!(b.due(t), Some(Due::Keep));
        assert_eq!(b.stop_may_last(t), Some(s(0.25)), "never more than the minute has");
        b.hold(t, "").expect("held");
        assert_eq!((b.due(t), b.stop_may_last(t)), (None, None));
        assert!(b.hold(t, " ").is_err(), "a reason is asked for");
        assert!(matches!(b.due(t + s(10.0)), Some(Due::Resume(_))), "no key");
        b.hold(t + s(11.0), "").expect("held");
        for i in 12..41 {
            b.heard(t + s(f64::from(i)), false, true);
            assert_eq!(b.due(t + s(f64::from(i))), None);
        }
        b.heard(t + s(40.9), false, true);
        assert!(matches!(b.due(t + s(41.0)), Some(Due::Resume(why)) if why.contains("30 s")));
        assert_eq!(b.due(t + s(41.0)), Some(Due::Keep), "it still stands");
        let mut b = Budget::new(Limits::STAGING, t);
        b.standing(Some(t));
        assert_eq!((b.due(t + s(1.4)), b.due(t + s(1.5))), (None, Some(Due::Keep)));
        let mut b = Budget::new(Limits::DEV, t);
        b.standing(Some(t));
        assert_eq!((b.due(t + s(9e5)), b.next(t)), (None, None));
    }

    #[test]
    fn silence_and_the_session() {
        let t = Instant::now();
        let mut b = Budget::new(Limits::PROD, t);
        b.hold(t, "").expect("held");
        b.standing(Some(t));
        b.heard(t, true, true);
        assert_eq!(b.next(t), Some(s(5.0)));
        assert!(matches!(b.due(t + s(5.0)), Some(Due::Resume(_))));
        b.standing(None);
        assert_eq!(b.due(t + s(6.0)), None);
        assert!(matches!(b.due(t + s(30.0)), Some(Due::Detach(_))));
        // Who never sent one is a client on the same machine.
        let mut b = Budget::new(Limits::PROD, t);
        b.heard(t, false, true);
        assert_eq!(b.due(t + s(1700.0)), None);
        assert!(matches!(b.due(t + s(1745.0)), Some(Due::Say(_))));
        assert_eq!(b.due(t + s(1746.0)), None);
        assert!(matches!(b.due(t + s(1800.0)), Some(Due::Detach(_))));
    }
}
