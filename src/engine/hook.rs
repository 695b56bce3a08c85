//! What saves a thread whose hit nobody will deal with any more, because its tracer was killed.
//!
//! The kernel delivers the SIGTRAP, and the Go runtime would end the program. But its handler first asks a function of its own tests,
//! `runtime.testSigtrap` (runtime/signal_unix.go: `if sig == _SIGTRAP && testSigtrap != nil && testSigtrap(info, c, gp) { return }`),
//! a variable that is nil. It is pointed to a few instructions that move the PC back onto the trap. They are written over
//! `runtime.schedinit`, which ran once, before any Go code.
//!
//! The host does that before it plants anything, and takes it out at every stop: a traced program's SIGTRAPs come to us, so nobody goes there
//! while we live. When we do not, whoever meets a trap comes back to it until the guardian has made it whole again, however late that one gets a
//! processor: it is no race. (Without a right to real time, on a machine with much else to do, it came too late every second time.)

use super::journal::Entry;
use crate::base::{LoadAddr, Memory, MemoryError};
use crate::target::linux::memory::ProcessMemory;
use serde::{Deserialize, Serialize};

/// Offset of RIP in Linux's `ucontext_t` on amd64 (asm/sigcontext.h).
const RIP: u8 = 0xa8;
/// Address that a thread has, and that it should have; 16 bytes.
const PAIR: usize = 16;

/// Where a hook goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Code that never runs again.
    pub area: LoadAddr,
    /// Its bytes.
    pub len: u64,
    /// The variable `runtime.testSigtrap`.
    pub word: LoadAddr,
}

/// Arguments in RAX (`*siginfo`), RBX (`*sigctxt`: siginfo, ucontext), RCX; result in AL (ABIInternal). Leaf, uses no stack.
fn code() -> Vec<u8> {
    let mut c = vec![0x83, 0x78, 0x08, 0x04]; // cmp dword [rax+8], TRAP_HWBKPT
    c.extend([0x74, 48]); // je yes: data was accessed, there is nothing to mend
    c.extend([0x48, 0x8b, 0x73, 0x08]); // mov rsi, [rbx+8]
    c.extend([0x48, 0x8b, 0xbe, RIP, 0, 0, 0]); // mov rdi, [rsi+RIP]
    c.extend([0x4c, 0x8d, 0x05, 40, 0, 0, 0]); // lea r8, [rip+table]
    c.extend([0x4d, 0x8b, 0x08]); // next: mov r9, [r8]
    c.extend([0x4d, 0x85, 0xc9]); // test r9, r9
    c.extend([0x74, 28]); // je no
    c.extend([0x49, 0x39, 0xf9]); // cmp r9, rdi
    c.extend([0x74, 6]); // je found
    c.extend([0x49, 0x83, 0xc0, PAIR as u8]); // add r8, PAIR
    c.extend([0xeb, 0xed]); // jmp next
    c.extend([0x4d, 0x8b, 0x48, 0x08]); // found: mov r9, [r8+8]
    c.extend([0x4c, 0x89, 0x8e, RIP, 0, 0, 0]); // mov [rsi+RIP], r9
    c.extend([0xb8, 1, 0, 0, 0, 0xc3]); // yes: mov eax, 1; ret
    c.extend([0x31, 0xc0, 0xc3]); // no: xor eax, eax; ret
    while !c.len().is_multiple_of(8) {
        c.push(0xcc);
    }
    c
}

/// A hook in place.
pub struct Hooked {
    hook: Hook,
    original: Vec<u8>,
}

impl Hook {
    /// What is written over the area for these traps; those that do not fit are left out.
    fn bytes(&self, traps: impl Iterator<Item = LoadAddr>) -> Option<Vec<u8>> {
        // A Go function value is a pointer to a pointer to code.
        let mut bytes = self.area.0.wrapping_add(8).to_le_bytes().to_vec();
        bytes.extend(code());
        let room = (self.len as usize).checked_sub(bytes.len() + PAIR)?;
        for t in traps.take(room / PAIR) {
            bytes.extend(t.0.wrapping_add(1).to_le_bytes());
            bytes.extend(t.0.to_le_bytes());
        }
        bytes.extend([0; PAIR]);
        Some(bytes)
    }

    /// The one that the host has put in place, by what is on record of it; none if it has not.
    pub fn adopt(self, mem: &ProcessMemory, record: &[Entry]) -> Option<Hooked> {
        let ours = mem.read_u64(self.word).ok()? == self.area.0;
        let entry = record.iter().find(|e| ours && e.addr == self.area)?;
        Some(Hooked { hook: self, original: entry.original.clone() })
    }

    /// Puts it in place. `traps` are the addresses where INT3s were; those that do not fit are left out. None if it cannot be: the
    /// variable is not nil, or the memory cannot be read.
    pub fn set(self, mem: &ProcessMemory, traps: &[LoadAddr]) -> Option<Hooked> {
        if mem.read_u64(self.word).ok()? != 0 {
            return None; // somebody uses it
        }
        let bytes = self.bytes(traps.iter().copied())?;
        let original = mem.read_vec(self.area, bytes.len()).ok()?;
        mem.write(self.area, &bytes).ok()?;
        mem.write(self.word, &self.area.0.to_le_bytes()).ok()?;
        Some(Hooked { hook: self, original })
    }
}

impl Hooked {
    /// Nobody is sent there any more.
    pub fn unhook(&self, mem: &ProcessMemory) -> bool {
        mem.write(self.hook.word, &[0; 8]).is_ok()
    }

    /// Puts the code back; not before those who were sent there have left.
    pub fn restore(&self, mem: &ProcessMemory) -> bool {
        mem.write(self.hook.area, &self.original).is_ok()
    }
}

/// The host's: in place while the target runs with something of ours in it.
pub struct Shield {
    hook: Hook,
    original: Vec<u8>,
    /// In place for these traps.
    raised: Option<Vec<LoadAddr>>,
}

impl Shield {
    /// For a target with nothing of ours in it; `text` is what its file has there. None if the program uses the variable itself, or if something else
    /// is there: what a host left that was killed is not taken for the program's own.
    pub fn new(hook: Hook, mem: &ProcessMemory, text: &[u8]) -> Option<Shield> {
        let free = mem.read_u64(hook.word).ok()? == 0;
        let original = mem.read_vec(hook.area, text.len()).ok().filter(|b| free && b == text)?;
        hook.bytes(std::iter::empty())?;
        Some(Shield { hook, original, raised: None })
    }

    /// What has to be on record before it is put in place: where, and what is there.
    pub fn overwrites(&self) -> [(LoadAddr, &[u8]); 2] {
        [(self.hook.area, &self.original), (self.hook.word, &[0; 8])]
    }

    /// Puts it in place for these traps, before they are planted.
    ///
    /// # Errors
    /// The memory cannot be written.
    pub fn raise(&mut self, mem: &ProcessMemory, traps: Vec<LoadAddr>) -> Result<(), MemoryError> {
        if self.raised.as_ref() == Some(&traps) {
            return Ok(());
        }
        let bytes = self.hook.bytes(traps.iter().copied()).unwrap_or_default();
        let was = self.raised.replace(traps);
        mem.write(self.hook.area, &bytes)?;
        if was.is_none() {
            mem.write(self.hook.word, &self.hook.area.0.to_le_bytes())?;
        }
        Ok(())
    }

    /// Takes it out, when all stand and nothing is planted.
    ///
    /// # Errors
    /// The memory cannot be written.
    pub fn lower(&mut self, mem: &ProcessMemory) -> Result<(), MemoryError> {
        if self.raised.take().is_some() {
            self.clean(mem)?;
        }
        Ok(())
    }

    /// Takes it out of a child that has a copy of everything.
    ///
    /// # Errors
    /// The memory cannot be written.
    pub fn clean_fork(&self, child: &ProcessMemory) -> Result<(), MemoryError> {
        if self.raised.is_some() { self.clean(child) } else { Ok(()) }
    }

    fn clean(&self, mem: &ProcessMemory) -> Result<(), MemoryError> {
        mem.write(self.hook.word, &[0; 8])?;
        mem.write(self.hook.area, &self.original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};

    #[test]
    fn the_code_is_what_it_says() {
        let code = code();
        assert!(code.len().is_multiple_of(8));
        let mut f = GasFormatter::new();
        let mut lines = Vec::new();
        for i in Decoder::with_ip(64, &code, 0, DecoderOptions::NONE) {
            let mut s = String::new();
            f.format(&i, &mut s);
            lines.push(format!("{:02x} {}", i.ip(), s.replace("00000000000000", "")));
        }
        let end = lines.iter().rposition(|l| !l.ends_with("int3")).unwrap_or(0);
        let table = code.len();
        assert_eq!(
            lines[..=end].join("\n"),
            format!(
                "00 cmpl $4,8(%rax)\n04 je 0x36\n06 mov 8(%rbx),%rsi\n0a mov 0xA8(%rsi),%rdi\n11 lea 0x{table:x},%r8\n\
                 18 mov (%r8),%r9\n1b test %r9,%r9\n1e je 0x3C\n20 cmp %rdi,%r9\n23 je 0x2B\n25 add $0x10,%r8\n29 jmp 0x18\n\
                 2b mov 8(%r8),%r9\n2f mov %r9,0xA8(%rsi)\n36 mov $1,%eax\n3b ret\n3c xor %eax,%eax\n3e ret"
            )
        );
    }
}
