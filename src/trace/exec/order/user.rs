//! The collector, stretches on goroutines and Ps, and what the program says of itself.

use super::*;

impl Ordering {
    /// The mark phase begins and ends on any thread: its own numbers say in which order.
    pub(super) fn gc(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let seq = raw.args[0];
        let begins = raw.typ == ev::GC_BEGIN && self.gc.0 == Gc::Unknown;
        let active = raw.typ == ev::GC_ACTIVE && now.first;
        if active && self.gc.0 != Gc::Unknown {
            return Err(Trouble::order("GCActive in the first generation isn't first GC event"));
        }
        if begins || active {
            self.gc = (Gc::On, seq);
            now.emit(raw, raw.args);
            return Ok(true);
        }
        if seq != self.gc.1.wrapping_add(1) {
            return Ok(false);
        }
        let state = match (raw.typ, self.gc.0) {
            (ev::GC_ACTIVE, Gc::On) => Gc::On,
            (ev::GC_ACTIVE, _) => return Err(Trouble::order("encountered GCActive while GC was not in progress")),
            (ev::GC_BEGIN, Gc::On) => {
                return Err(Trouble::order("encountered GCBegin while GC was already in progress"));
            }
            (ev::GC_BEGIN, _) => Gc::On,
            (_, Gc::On) => Gc::Off,
            (_, Gc::Off) => return Err(Trouble::order("encountered GCEnd when GC was not in progress")),
            (_, Gc::Unknown) => return Err(Trouble::order("encountered GCEnd when GC was in an undetermined state")),
        };
        self.gc = (state, seq);
        now.require(Must, Must)?;
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn sweep(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let id = if raw.typ == ev::SWEEP_ACTIVE {
            raw.args[0].cast_signed()
        } else {
            now.require(Must, May)?;
            now.p
        };
        let unknown = || Trouble::order(format!("encountered {} for unknown proc {id}", name(raw.typ)));
        let p = self.ps.get(id).ok_or_else(unknown)?;
        match raw.typ {
            ev::SWEEP_BEGIN => p.ranges.begin(raw.typ, 0)?,
            ev::SWEEP_ACTIVE => p.ranges.active(raw.typ, now.first)?,
            _ => {
                p.ranges.end(raw.typ)?;
            }
        }
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn go_range(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let slot = if raw.typ == ev::ASSIST_ACTIVE {
            // Like a status: it may be about one that does not run.
            self.find(raw.args[0].cast_signed())
        } else {
            now.require(Must, Must)?;
            self.own(now)
        };
        let unknown = || Trouble::order(format!("encountered {} without known state for its goroutine", name(raw.typ)));
        let g = &mut self.gs[slot.ok_or_else(unknown)? as usize];
        let ranges = &mut g.open.get_or_insert_default().ranges;
        let mut args = raw.args;
        match raw.typ {
            ev::STW_BEGIN => ranges.begin(raw.typ, raw.args[0])?,
            ev::ASSIST_BEGIN => ranges.begin(raw.typ, 0)?,
            ev::ASSIST_ACTIVE => ranges.active(raw.typ, now.first)?,
            ev::STW_END => args[0] = ranges.end(raw.typ)?,
            _ => {
                ranges.end(raw.typ)?;
            }
        }
        now.emit(raw, args);
        Ok(true)
    }

    fn name_of(&self, id: u64, typ: u8, now: &Now) -> Result<Arc<str>, Trouble> {
        match now.tables.string(id) {
            Some(s) => Ok(s.clone()),
            None if id == 0 || self.lenient => Ok("".into()),
            None => Err(Trouble::order(format!("invalid string ID {id} for {} event", name(typ)))),
        }
    }

    /// A task may end in another generation than it began in: its name goes along as text.
    pub(super) fn task(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let id = raw.args[0];
        let mut args = raw.args;
        if raw.typ == ev::TASK_BEGIN {
            if self.tasks.contains_key(&id) && !self.lenient {
                return Err(Trouble::order(format!("task ID conflict: {id}")));
            }
            // 0 is no parent, not the background task.
            if args[1] == 0 {
                args[1] = u64::MAX;
            }
            let text = self.name_of(args[2], raw.typ, now)?;
            if self.tasks.len() < MAX_TASKS {
                self.tasks.insert(id, (text, args[1]));
            }
        } else {
            (args[2], args[3]) = (u64::MAX, 0);
            if let Some((text, parent)) = self.tasks.remove(&id) {
                now.out.names.push(text);
                (args[2], args[3]) = (parent, now.out.names.len() as u64);
            }
        }
        now.require(Must, Must)?;
        now.emit(raw, args);
        Ok(true)
    }

    pub(super) fn region(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, Must)?;
        let (task, text) = (raw.args[0], self.name_of(raw.args[1], raw.typ, now)?);
        let unknown = || Trouble::order(format!("encountered {} without known state for its goroutine", name(raw.typ)));
        let slot = self.own(now).ok_or_else(unknown)?;
        let lenient = self.lenient;
        let g = &mut self.gs[slot as usize];
        let regions = &mut g.open.get_or_insert_default().regions;
        let fits = match raw.typ {
            ev::REGION_BEGIN => regions.begin(task, text),
            _ => regions.end(g.id, task, &text),
        };
        if !lenient {
            fits?;
        }
        now.emit(raw, raw.args);
        Ok(true)
    }
}
