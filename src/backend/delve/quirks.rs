//! What Delve has since which release, found out by asking where it can be asked: the method set grows without a change of the API's
//! version, and a server that lacks a method says `unknown method`.

/// A release of Delve: major, minor, patch.
pub type Release = (u32, u32, u32);

/// Something that not every release has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `Command` knows `nextInstruction`; before it a call is stepped into and out of.
    NextInstruction,
    /// `SetExecutionPoint`: go on at another line.
    Jump,
    /// `delve.bphitcount[N]` in conditions: a breakpoint that waits for another.
    HitCounts,
}

/// What, since when, and how it shows: the row's text is what a user is told who lacks it.
const SINCE: &[(Feature, Release, &str)] = &[
    (Feature::NextInstruction, (1, 23, 0), "stepping over an instruction"),
    (Feature::Jump, (1, 27, 2), "going on at another line (`jump`)"),
    (Feature::HitCounts, (1, 24, 1), "breakpoints that wait for another"),
];

/// The oldest release that is known to work.
pub const OLDEST: Release = (1, 21, 0);

/// A server's release and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// Its release; none when its version text is not understood (a build of one's own).
    pub release: Option<Release>,
}

impl Quirks {
    /// Reads `Version: 1.27.2\nBuild: …`.
    pub fn of(version: &str) -> Quirks {
        let word = version.lines().next().unwrap_or("").trim_start_matches("Version:").trim();
        let mut parts = word.split(['.', '-']).map(str::parse::<u32>);
        let release = match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(a)), Some(Ok(b)), Some(Ok(c))) => Some((a, b, c)),
            (Some(Ok(a)), Some(Ok(b)), None) => Some((a, b, 0)),
            _ => None,
        };
        Quirks { release }
    }

    /// Has it this? An unknown release is taken for a new one: what it lacks it will say.
    pub fn has(&self, f: Feature) -> bool {
        SINCE.iter().all(|(g, since, _)| *g != f || self.release.is_none_or(|r| r >= *since))
    }

    /// Why something cannot be had.
    pub fn lacks(&self, f: Feature) -> String {
        let row = SINCE.iter().find(|r| r.0 == f);
        let (since, what) = row.map_or(((0, 0, 0), "this"), |r| (r.1, r.2));
        format!("Delve {} has no {what}: it is there since {}", self.text(), text(since))
    }

    /// The release as text.
    pub fn text(&self) -> String {
        self.release.map_or_else(|| "of an unknown release".into(), text)
    }

    /// Is it older than what is known to work?
    pub fn too_old(&self) -> bool {
        self.release.is_some_and(|r| r < OLDEST)
    }
}

fn text(r: Release) -> String {
    format!("{}.{}.{}", r.0, r.1, r.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        let q = Quirks::of("Version: 1.21.2\nBuild: $Id: 98f8ab $");
        assert_eq!(q.release, Some((1, 21, 2)));
        assert!(!q.has(Feature::Jump) && !q.too_old() && q.lacks(Feature::Jump).contains("since 1.27.2"));
        assert!(Quirks::of("Version: 1.20.1").too_old());
        assert!(Quirks::of("Version: 1.27.2-beta.1").has(Feature::Jump));
        assert!(Quirks::of("devel").has(Feature::NextInstruction) && Quirks::of("").release.is_none());
    }
}
