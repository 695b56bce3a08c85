//! Stretches that are open on a goroutine or P: stops of the world, mark assists, sweeps, and the user's regions.

use super::fault::Trouble;
use super::format::{SPECS, ev};
use std::sync::Arc;

/// Open stretches of one goroutine or P.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(u8, u64)>);

/// The event that begins what `typ` is about.
fn begin_of(typ: u8) -> u8 {
    match typ {
        ev::STW_END => ev::STW_BEGIN,
        ev::SWEEP_ACTIVE | ev::SWEEP_END => ev::SWEEP_BEGIN,
        ev::ASSIST_ACTIVE | ev::ASSIST_END => ev::ASSIST_BEGIN,
        t => t,
    }
}

fn name(typ: u8) -> &'static str {
    SPECS[usize::from(typ)].name
}

impl Ranges {
    /// `what` tells stops of the world apart.
    pub(super) fn begin(&mut self, typ: u8, what: u64) -> Result<(), Trouble> {
        let r = (begin_of(typ), what);
        if self.0.contains(&r) {
            return Err(Trouble::order(format!(
                "discovered event already in-flight for when starting event {}",
                name(typ)
            )));
        }
        self.0.push(r);
        Ok(())
    }

    /// It goes on: in the first generation that is how one hears of it.
    pub(super) fn active(&mut self, typ: u8, first: bool) -> Result<(), Trouble> {
        let r = (begin_of(typ), 0);
        match (first, self.0.contains(&r)) {
            (true, true) => {
                Err(Trouble::order(format!("found named active range already in first gen: {}", name(typ))))
            }
            (false, false) => Err(Trouble::order(format!("resource is missing active range: {}", name(typ)))),
            (true, false) => {
                self.0.push(r);
                Ok(())
            }
            (false, true) => Ok(()),
        }
    }

    /// What told it apart.
    pub(super) fn end(&mut self, typ: u8) -> Result<u64, Trouble> {
        let b = begin_of(typ);
        let i = self.0.iter().position(|r| r.0 == b);
        let i = i.ok_or_else(|| Trouble::order(format!("tried to end event {}, but not in-flight", name(b))))?;
        Ok(self.0.swap_remove(i).1)
    }
}

/// Open regions of a goroutine, outermost first. Names are compared as text: their ids change from generation to generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Regions(Vec<(u64, Arc<str>)>);

/// Most regions that are open in one goroutine at a time.
const MAX_REGIONS: usize = 1 << 16;

impl Regions {
    pub(super) fn begin(&mut self, task: u64, name: Arc<str>) -> Result<(), Trouble> {
        if self.0.len() >= MAX_REGIONS {
            return Err(Trouble::Limit { what: "open regions in a goroutine", limit: MAX_REGIONS });
        }
        self.0.push((task, name));
        Ok(())
    }

    /// One that began before the trace is not known.
    pub(super) fn end(&mut self, g: i64, task: u64, name: &str) -> Result<(), Trouble> {
        let Some((t, n)) = self.0.last() else { return Ok(()) };
        if *t != task || &**n != name {
            return Err(Trouble::order(format!(
                "misuse of region in goroutine {g}: region end {name:?} of task {task} when the inner-most active region is {n:?} of task {t}"
            )));
        }
        self.0.pop();
        Ok(())
    }
}
