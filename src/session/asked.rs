//! The newest answer to a question that is asked again and again (findings, wait graph, heap): the old answer stays to be
//! drawn until the new one is there, and one question at most is on its way.

use std::time::{Duration, Instant};

struct Answer<Q, T> {
    question: Q,
    generation: u64,
    data: T,
    took: Duration,
}

struct OnItsWay<Q> {
    question: Q,
    generation: u64,
    since: Instant,
}

/// A question, what was answered last, and why not.
pub struct Asked<Q, T> {
    answer: Option<Answer<Q, T>>,
    refused: Option<(Q, u64, String)>,
    pending: Option<OnItsWay<Q>>,
    serial: u64,
}

impl<Q, T> Default for Asked<Q, T> {
    fn default() -> Self {
        Asked { answer: None, refused: None, pending: None, serial: 0 }
    }
}

impl<Q: PartialEq + Clone, T> Asked<Q, T> {
    /// The newest answer, whatever it answers.
    pub fn data(&self) -> Option<&T> {
        self.answer.as_ref().map(|a| &a.data)
    }
    /// What that answer answers.
    pub fn question(&self) -> Option<&Q> {
        self.answer.as_ref().map(|a| &a.question)
    }
    /// Is there an answer to this question that is true in this generation?
    pub fn fresh(&self, q: &Q, generation: u64) -> bool {
        self.answer.as_ref().is_some_and(|a| a.question == *q && a.generation == generation)
    }
    /// Why the last question was not answered; none after an answer.
    pub fn failure(&self) -> Option<&str> {
        self.refused.as_ref().map(|(_, _, why)| why.as_str())
    }
    /// What was asked last, whatever came of it.
    pub fn newest(&self) -> Option<&Q> {
        let refused = self.refused.as_ref().map(|(q, _, _)| q);
        self.pending.as_ref().map(|p| &p.question).or(refused).or(self.question())
    }
    /// The question on its way, and since when.
    pub fn pending(&self) -> Option<(&Q, Instant)> {
        self.pending.as_ref().map(|p| (&p.question, p.since))
    }
    /// How long the last answer took.
    pub fn took(&self) -> Duration {
        self.answer.as_ref().map_or(Duration::ZERO, |a| a.took)
    }
    /// The serial number under which the question is to be sent, if it is to be sent now. A refusal stands for the rest of its
    /// generation.
    pub fn want(&mut self, q: &Q, generation: u64, now: Instant) -> Option<u64> {
        if self.fresh(q, generation) || self.pending.is_some() {
            return None;
        }
        if self.refused.as_ref().is_some_and(|(r, g, _)| r == q && *g == generation) {
            return None;
        }
        Some(self.send(q, generation, now))
    }
    /// As [`Asked::want`], whatever is here or on its way: a late answer to an older question is dropped.
    pub fn send(&mut self, q: &Q, generation: u64, now: Instant) -> u64 {
        self.serial += 1;
        self.pending = Some(OnItsWay { question: q.clone(), generation, since: now });
        self.serial
    }
    /// An answer, or why there is none. False when nobody waits for it any more.
    pub fn put(&mut self, serial: u64, result: Result<T, String>, now: Instant) -> bool {
        if serial != self.serial {
            return false;
        }
        let Some(p) = self.pending.take() else { return false };
        match result {
            Ok(data) => {
                self.refused = None;
                let took = now.saturating_duration_since(p.since);
                self.answer = Some(Answer { question: p.question, generation: p.generation, data, took });
            }
            Err(why) => self.refused = Some((p.question, p.generation, why)),
        }
        true
    }
    /// Nobody waits any more. True when somebody did.
    pub fn cancel(&mut self, why: &str) -> bool {
        let Some(p) = self.pending.take() else { return false };
        self.serial += 1;
        self.refused = Some((p.question, p.generation, why.to_string()));
        true
    }
    /// What was on its way will not come; it may be asked again.
    pub fn drop_pending(&mut self) {
        if self.pending.take().is_some() {
            self.serial += 1;
        }
    }
    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Asked { serial: self.serial + 1, ..Asked::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_at_a_time_and_the_newest_answer_wins() {
        let now = Instant::now();
        let mut a: Asked<u8, &str> = Asked::default();
        let first = a.want(&1, 1, now).expect("asked");
        assert_eq!(a.want(&2, 1, now), None, "one is on its way");
        let second = a.send(&2, 1, now);
        assert!(!a.put(first, Ok("old"), now));
        assert!(a.put(second, Ok("new"), now));
        assert_eq!(a.want(&2, 1, now), None, "it is of now");
        assert_eq!(a.data(), Some(&"new"));
        // Another generation: the answer stays until the new one is there.
        let third = a.want(&2, 2, now).expect("asked anew");
        assert_eq!(a.data(), Some(&"new"));
        assert!(a.put(third, Err("no".into()), now));
        assert_eq!(a.want(&2, 2, now), None, "a refusal stands");
        assert_eq!((a.data(), a.failure()), (Some(&"new"), Some("no")));
        assert!(a.want(&2, 3, now).is_some());
        assert!(a.cancel("cancelled") && a.want(&2, 3, now).is_none());
    }
}
