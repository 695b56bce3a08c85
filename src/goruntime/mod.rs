//! TEMPORARY stand-in until the runtime floor is merged.
use crate::arch::Registers;
use crate::base::*;
use crate::symbols::Symbols;
use std::sync::Arc;
pub struct GoRuntime {
    sym: Arc<Symbols>,
    bias: LoadBias,
}
pub struct CurrentG {
    pub user_g: LoadAddr,
    pub user_goid: Option<GoroutineId>,
    pub user_stack_hi: u64,
    pub system_stack: bool,
}
pub enum StackStart {
    Registers(Box<Registers>),
    Parked(LoadAddr),
}
pub struct RawFrame {
    pub pc: LoadAddr,
    pub cfa: LoadAddr,
    pub sp: LoadAddr,
    pub system_stack: bool,
}
pub struct RawStack {
    pub frames: Vec<RawFrame>,
}
pub struct GoroutineStart {
    pub goid: GoroutineId,
    pub start_pc: LoadAddr,
}
impl GoRuntime {
    pub fn open(sym: Arc<Symbols>, bias: LoadBias, _m: &dyn Memory) -> Result<GoRuntime, MemoryError> {
        Ok(GoRuntime { sym, bias })
    }
    pub fn notes(&self) -> Vec<String> {
        vec![]
    }
    pub fn current_g(&self, m: &dyn Memory, fs: u64) -> Result<CurrentG, MemoryError> {
        let g = m.read_ptr(LoadAddr(fs.wrapping_sub(8)))?;
        let mm = m.read_ptr(g.add(48))?;
        let cur = m.read_ptr(mm.add(184))?;
        let g0 = m.read_ptr(mm)?;
        let sys = g != cur;
        let _ = g0;
        if cur.is_nil() {
            return Ok(CurrentG { user_g: LoadAddr(0), user_goid: None, user_stack_hi: 0, system_stack: true });
        }
        Ok(CurrentG {
            user_g: cur,
            user_goid: Some(GoroutineId(m.read_u64(cur.add(152))?)),
            user_stack_hi: m.read_u64(cur.add(8))?,
            system_stack: sys,
        })
    }
    pub fn stack_hi(&self, m: &dyn Memory, g: LoadAddr) -> Result<u64, MemoryError> {
        m.read_u64(g.add(8))
    }
    pub fn unwind(&self, m: &dyn Memory, s: &StackStart, max: usize) -> RawStack {
        let (mut pc, mut sp) = match s {
            StackStart::Registers(r) => (r.pc(), r.sp()),
            StackStart::Parked(g) => (m.read_u64(g.add(64)).unwrap_or(0), m.read_u64(g.add(56)).unwrap_or(0)),
        };
        let mut frames = vec![];
        let mut exact = true;
        while frames.len() < max {
            let look = if exact { pc } else { pc - 1 };
            let Some(d) = self.sym.sp_delta(self.bias.to_file(LoadAddr(look))) else { break };
            let cfa = sp.wrapping_add_signed(d as i64 + 8);
            frames.push(RawFrame { pc: LoadAddr(pc), cfa: LoadAddr(cfa), sp: LoadAddr(sp), system_stack: false });
            let Ok(ret) = m.read_u64(LoadAddr(cfa - 8)) else { break };
            if ret == 0 {
                break;
            }
            pc = ret;
            sp = cfa;
            exact = false;
        }
        RawStack { frames }
    }
    pub fn find_goroutine(&self, _m: &dyn Memory, _id: GoroutineId) -> Result<LoadAddr, MemoryError> {
        Err(MemoryError::Gone)
    }
    pub fn goroutine_start(&self, m: &dyn Memory, g: LoadAddr) -> Result<GoroutineStart, MemoryError> {
        Ok(GoroutineStart { goid: GoroutineId(m.read_u64(g.add(152))?), start_pc: m.read_ptr(g.add(296))? })
    }
    pub fn panics(&self, _m: &dyn Memory, _g: LoadAddr) -> Vec<crate::model::PanicRecord> {
        vec![]
    }
    pub fn topmost_deferred(
        &self,
        _m: &dyn Memory,
        _g: LoadAddr,
        _pc: LoadAddr,
        _cfa: LoadAddr,
        _sp: LoadAddr,
    ) -> Option<LoadAddr> {
        None
    }
}
