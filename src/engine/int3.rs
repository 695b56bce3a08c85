//! Breakpoints as int3 bytes in the target's text, behind the trait that every mechanism has.

use super::guardian::Guardian;
use super::hook::Shield;
use super::journal::Journal;
use crate::base::{LoadAddr, MemoryError};
use crate::target::linux::memory::ProcessMemory;
use std::collections::BTreeMap;

/// How a breakpoint is made to take effect. One file each; int3 is the one that works everywhere.
pub trait Mechanism {
    /// Makes exactly these addresses trap. `clean` gives the bytes of the program as linked.
    fn arm(&mut self, at: &[LoadAddr], text: &dyn Text) -> Result<(), ArmError>;
    /// Takes everything back; the target's text is as linked afterwards.
    fn disarm(&mut self, text: &dyn Text) -> Result<(), ArmError>;
    /// Is there a trap at this address now?
    fn armed(&self, at: LoadAddr) -> bool;
}

/// The target's text, to read as it was linked and to write.
pub trait Text {
    /// The byte that belongs at an address.
    fn clean(&self, at: LoadAddr) -> Option<u8>;
    /// Writes the target's memory.
    fn write(&self, at: LoadAddr, bytes: &[u8]) -> Result<(), MemoryError>;
}

/// Why arming failed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The address is not in the program's text.
    #[error("{0} is not in the program's text")]
    NotText(LoadAddr),
    /// The memory could not be written.
    #[error("cannot change the target's text: {0}")]
    Memory(#[from] MemoryError),
    /// The journal could not be written: nothing is planted then.
    #[error("cannot write the journal that makes breakpoints recoverable: {0}")]
    Journal(std::io::Error),
}

const INT3: u8 = 0xcc;

/// The int3 mechanism.
#[derive(Default)]
pub struct Int3 {
    planted: BTreeMap<LoadAddr, u8>,
    /// Also true of addresses taken out since the last stop: a late trap there is ours.
    recent: BTreeMap<LoadAddr, u8>,
    journal: Option<Journal>,
    guardian: Option<Guardian>,
    /// What the guardian relies on.
    shield: Option<Shield>,
}

impl Int3 {
    /// With a journal.
    pub fn new(journal: Option<Journal>) -> Int3 {
        Int3 { journal, ..Int3::default() }
    }
    /// Where the journal is.
    pub fn journal_path(&self) -> Option<&std::path::Path> {
        self.journal.as_ref().map(Journal::path)
    }
    /// Another process is to know what is planted.
    pub fn be_guarded(&mut self, guardian: Guardian, shield: Option<Shield>) {
        self.guardian = Some(guardian);
        self.shield = shield;
    }
    /// The target is about to run, or runs, and these addresses are going to trap: who meets one after our death must not die of it.
    pub fn raise_shield(&mut self, wanted: &[LoadAddr], mem: &ProcessMemory) -> Result<(), ArmError> {
        let (Some(s), Some(j)) = (&mut self.shield, &mut self.journal) else { return Ok(()) };
        j.record(s.overwrites().into_iter()).map_err(ArmError::Journal)?;
        let late = self.planted.keys().chain(self.recent.keys());
        let mut all: Vec<LoadAddr> = wanted.iter().chain(late).copied().collect();
        all.sort_unstable();
        all.dedup();
        // What is wanted goes first, should there not be room for all.
        all.sort_by_key(|a| wanted.binary_search(a).is_err());
        Ok(s.raise(mem, all)?)
    }
    /// All stand, nothing is planted.
    pub fn lower_shield(&mut self, mem: &ProcessMemory) -> Result<(), ArmError> {
        match &mut self.shield {
            Some(s) => Ok(s.lower(mem)?),
            None => Ok(()),
        }
    }
    /// Takes everything out of a child that has a copy of the target's memory.
    pub fn clean_fork(&self, child: &ProcessMemory) -> Result<(), MemoryError> {
        self.planted().try_for_each(|(addr, byte)| child.write(addr, &[byte]))?;
        self.shield.as_ref().map_or(Ok(()), |s| s.clean_fork(child))
    }
    /// That process.
    pub fn guardian(&mut self) -> Option<&mut Guardian> {
        self.guardian.as_mut()
    }
    /// Records bytes that are about to be overwritten by somebody else (the displaced-step area).
    pub fn record(&mut self, at: LoadAddr, original: &[u8]) -> Result<(), ArmError> {
        match &mut self.journal {
            Some(j) => j.record([(at, original)].into_iter()).map_err(ArmError::Journal),
            None => Ok(()),
        }
    }
    /// Was a trap of ours here at some time since the target last stood?
    pub fn was_armed(&self, at: LoadAddr) -> bool {
        self.planted.contains_key(&at) || self.recent.contains_key(&at)
    }
    /// Everything stands: late traps were dealt with.
    pub fn forget_recent(&mut self) {
        self.recent.clear();
    }
    /// Addresses armed now, with the byte that belongs there.
    pub fn planted(&self) -> impl Iterator<Item = (LoadAddr, u8)> + '_ {
        self.planted.iter().map(|(a, b)| (*a, *b))
    }
    /// The target has a new program or none: nothing of ours is in it any more.
    pub fn abandon(&mut self) {
        self.planted.clear();
        self.recent.clear();
        self.shield = None;
        self.finish();
    }
    /// The target is clean and let go: the journal is no longer needed.
    pub fn finish(&mut self) {
        if let Some(j) = self.journal.take() {
            let _someone_removed_it = j.close();
        }
    }
}

impl Mechanism for Int3 {
    fn arm(&mut self, at: &[LoadAddr], text: &dyn Text) -> Result<(), ArmError> {
        let mut new = Vec::new();
        for &a in at {
            if !self.planted.contains_key(&a) {
                new.push((a, text.clean(a).ok_or(ArmError::NotText(a))?));
            }
        }
        if let Some(j) = &mut self.journal {
            let bytes: Vec<[u8; 1]> = new.iter().map(|(_, b)| [*b]).collect();
            let list = new.iter().zip(&bytes).map(|((a, _), b)| (*a, &b[..]));
            j.record(list).map_err(ArmError::Journal)?;
        }
        for (a, b) in new {
            if let Some(g) = &mut self.guardian {
                g.trap(a, b);
            }
            if b != INT3 {
                text.write(a, &[INT3])?;
            }
            self.planted.insert(a, b);
        }
        let gone: Vec<LoadAddr> = self.planted.keys().copied().filter(|a| at.binary_search(a).is_err()).collect();
        for a in gone {
            if let Some(b) = self.planted.remove(&a) {
                self.recent.insert(a, b);
                text.write(a, &[b])?;
            }
        }
        Ok(())
    }

    fn disarm(&mut self, text: &dyn Text) -> Result<(), ArmError> {
        let mut result = Ok(());
        for (a, b) in std::mem::take(&mut self.planted) {
            self.recent.insert(a, b);
            if let Err(e) = text.write(a, &[b]) {
                result = Err(e.into()); // go on: as much as possible must be put back
            }
        }
        result
    }

    fn armed(&self, at: LoadAddr) -> bool {
        self.planted.contains_key(&at)
    }
}
