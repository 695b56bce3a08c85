//! Changing a target that stands: memory, registers, the place where it goes on.

use super::locspec::{Here, resolve};
use super::{Engine, EngineError};
use crate::arch::registers::NAMES;
use crate::base::{GoroutineId, LoadAddr, Tid};
use crate::engine::go::Start;
use crate::model::StopReason;
use std::time::Instant;

impl Engine {
    fn must_stand(&self, what: &str) -> Result<(), EngineError> {
        match (self.gone, self.running) {
            (true, _) => Err(EngineError::State("the process is gone".into())),
            (_, true) => Err(EngineError::State(format!("the program is running; pause it before {what}"))),
            _ => Ok(()),
        }
    }

    /// Writes data. Text is refused: whoever looks at a stop finds the text of the file.
    pub fn write_memory(&mut self, addr: LoadAddr, bytes: &[u8]) -> Result<(), EngineError> {
        self.must_stand("changing its memory")?;
        let ends = [addr, addr.add((bytes.len() as u64).saturating_sub(1))];
        if ends.iter().any(|a| self.sym.text(self.bias.to_file(*a), 1).is_some()) {
            return Err(EngineError::State(format!("{addr} is the program's code, which adit does not change")));
        }
        Ok(self.mem.write(addr, bytes)?)
    }

    /// Writes a general register, `rip` or `rflags` of the thread that runs the goroutine.
    ///
    /// # Errors
    /// The target runs, the goroutine is on no thread, or there is no such register.
    pub fn write_register(
        &mut self,
        goroutine: Option<GoroutineId>,
        name: &str,
        value: u64,
    ) -> Result<(), EngineError> {
        self.must_stand("changing its registers")?;
        let (tid, mut regs) = self.thread_of(goroutine)?;
        let name = name.to_ascii_lowercase();
        match NAMES.iter().position(|n| *n == name) {
            Some(i) => regs.gp[i] = value,
            None if name == "rflags" => regs.flags = value,
            None => {
                return Err(EngineError::NotFound(format!(
                    "no register `{name}` that can be written: {}, rflags can",
                    NAMES.join(", ")
                )));
            }
        }
        self.tracer.set_registers(tid, &regs)?;
        self.dealt_with.insert(tid);
        self.report_stop(tid, StopReason::Paused, Instant::now());
        Ok(())
    }

    fn thread_of(&self, goroutine: Option<GoroutineId>) -> Result<(Tid, crate::arch::Registers), EngineError> {
        match self.start_of(goroutine)?.0 {
            Start::Thread(tid, regs) => Ok((tid, *regs)),
            Start::Parked(id, _) => {
                Err(EngineError::State(format!("goroutine {id} is on no thread: it has no registers of its own")))
            }
        }
    }

    /// Moves the goroutine to another line of the function in which it stands. What lies between is not run, and nothing is undone.
    ///
    /// # Errors
    /// The line is in another function, or the stack would not fit there.
    pub fn jump(&mut self, goroutine: Option<GoroutineId>, to: &str, here: &Here) -> Result<(), EngineError> {
        self.must_stand("moving it")?;
        let (tid, mut regs) = self.thread_of(goroutine)?;
        let now = self.bias.to_file(LoadAddr(regs.pc()));
        let function = self.sym.function_at(now);
        let all: Vec<LoadAddr> = resolve(&self.sym, self.bias, to, here)?.into_iter().flatten().collect();
        let inside = |a: &&LoadAddr| function.is_some() && self.sym.function_at(self.bias.to_file(**a)) == function;
        let Some(&target) = all.iter().find(inside) else {
            let name = self.function_name_at(LoadAddr(regs.pc()));
            return Err(EngineError::State(format!(
                "`{to}` is not in {name}: only jumps inside a function are possible"
            )));
        };
        if self.sym.sp_delta(now) != self.sym.sp_delta(self.bias.to_file(target)) {
            return Err(EngineError::State(format!("the stack frame at `{to}` has another size than here")));
        }
        regs.set_pc(target.0);
        self.tracer.set_registers(tid, &regs)?;
        self.dealt_with.insert(tid);
        self.report_stop(tid, StopReason::Paused, Instant::now());
        Ok(())
    }
}
