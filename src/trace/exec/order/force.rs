//! A generation of which parts are missing: what an event needs and nobody is left to do is taken as done.

use super::*;

impl Ordering {
    /// Makes the states such that this event can come next. Who was never heard of is put out as a status first.
    pub fn force(&mut self, raw: &Raw, thread: Option<u32>, generation: u64, out: &mut Out<'_>) -> Result<(), Trouble> {
        let id = raw.args[0].cast_signed();
        let before = Seq { generation, n: raw.args[1].wrapping_sub(1) };
        match raw.typ {
            ev::GO_START => self.goroutine(id, RUNNABLE, before, raw, out)?,
            ev::GO_UNBLOCK | ev::GO_SWITCH | ev::GO_SWITCH_DESTROY => self.goroutine(id, WAITING, before, raw, out)?,
            ev::PROC_START => {
                self.robbed(thread);
                self.proc_is(id, P_IDLE, before);
            }
            ev::PROC_STEAL => self.proc_is(id, P_ABANDONED, before),
            ev::GO_SYSCALL_END_BLOCKED => self.robbed(thread),
            ev::GC_ACTIVE | ev::GC_END => self.gc = (Gc::On, raw.args[0].wrapping_sub(1)),
            ev::GC_BEGIN => self.gc = (Gc::Off, raw.args[0].wrapping_sub(1)),
            _ => {}
        }
        Ok(())
    }

    fn goroutine(&mut self, id: i64, status: u8, seq: Seq, raw: &Raw, out: &mut Out<'_>) -> Result<(), Trouble> {
        match self.find(id) {
            Some(slot) => {
                let g = &mut self.gs[slot as usize];
                (g.status, g.seq) = (status, seq);
                for t in self.ms.iter_mut().filter(|t| t.g == id) {
                    t.g = NONE;
                }
            }
            None => {
                self.new_go(id, status, seq)?;
                let args = [raw.args[0], u64::MAX, u64::from(status), 0];
                let status = Event { time: raw.time, m: NONE, p: NONE, g: NONE, args, typ: ev::GO_STATUS };
                out.events.push(status);
            }
        }
        Ok(())
    }

    fn proc_is(&mut self, id: i64, status: u8, seq: Seq) {
        match self.ps.get(id) {
            Some(p) => (p.status, p.seq) = (status, seq),
            None => self.ps.put(id, Proc { status, seq, ranges: Ranges::default() }),
        }
        for t in self.ms.iter_mut().filter(|t| t.p == id) {
            t.p = NONE;
        }
    }

    /// The thread lost its P, to somebody whose word of it is missing.
    fn robbed(&mut self, thread: Option<u32>) {
        let Some(t) = thread.and_then(|t| self.ms.get_mut(t as usize)) else { return };
        let p = std::mem::replace(&mut t.p, NONE);
        if let Some(p) = self.ps.get(p) {
            p.status = P_ABANDONED;
        }
    }
}
