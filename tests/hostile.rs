//! Damaged files and hostile memory: errors and half answers, never a panic, a hang or gigabytes.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/dice.rs"]
mod dice;
mod goprog;

use adit::base::{FileAddr, LoadAddr, LoadBias, Memory, MemoryError, mmap::FileBytes};
use adit::goruntime::value::{Limits, Place, Reader, ValueRef};
use adit::goruntime::{GoRuntime, ListOptions, StackStart};
use adit::symbols::Symbols;
use dice::Dice;
use goprog::{DEBUG, build};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asks everything of a file's symbols.
fn ask_all(s: &Symbols) {
    let mut n = 0;
    for f in s.functions() {
        if !s.function_name(f).starts_with("main.") || n > 40 {
            continue;
        }
        n += 1;
        let _ = (s.line_rows(f).len(), s.inlined_calls(f).len(), s.pc_after_prologue(f), s.function_flags(f));
        for pc in (f.entry.0..f.end.0.min(f.entry.0.saturating_add(4096))).step_by(7) {
            let _ = (s.inline_frames_of(f, FileAddr(pc)), s.pclntab().sp_delta(f, FileAddr(pc)));
        }
        if let Some(d) = s.dwarf()
            && let Some(root) = d.index().function_at(f.entry.0)
        {
            for v in adit::goruntime::value::scope::visible(d, root, f.entry.add(30), u32::MAX) {
                if let Some(t) = d.die(v.off).and_then(|x| x.type_ref()) {
                    let _ = d.go_type(t);
                }
            }
        }
    }
    let _ = (s.pcs_for_line("main.go", 30), s.resolve_function_suffix("main.main"), s.notes());
    if let Some(d) = s.dwarf() {
        for name in ["main.Outer", "map[string]int", "[]int", "runtime.g"] {
            if let Some(t) = d.type_by_name(name) {
                let _ = d.go_type(t);
            }
        }
    }
}

#[test]
fn damaged_files() {
    let exe = build("shapes", "", &["-ldflags=-compressdwarf=false"]);
    let good = std::fs::read(&exe).unwrap();
    let s = Symbols::load(FileBytes::from_vec(good.clone())).unwrap();
    let interesting: Vec<std::ops::Range<usize>> = s
        .image()
        .sections()
        .iter()
        .filter(|x| x.name.starts_with(".debug") || x.name.contains("pclntab") || x.name.starts_with(".go."))
        .map(|x| x.file.clone())
        .chain(std::iter::once(0..4096))
        .collect();
    let mut dice = Dice(42);
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < Duration::from_secs(12) && rounds < 60 {
        let mut bytes = good.clone();
        let part = &interesting[dice.below(interesting.len())];
        for _ in 0..1 + dice.below(200) {
            let at = part.start + dice.below(part.len());
            bytes[at] = dice.next() as u8;
        }
        let t = Instant::now();
        if let Ok(s) = Symbols::load(FileBytes::from_vec(bytes)) {
            ask_all(&s);
        }
        assert!(t.elapsed() < Duration::from_secs(10), "round {rounds}: {:?}", t.elapsed());
        rounds += 1;
    }
    assert!(rounds > 3);
}

/// Memory in which every address can be read and holds what the dice say.
struct Noise(u64);

impl Memory for Noise {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        if buf.len() > 1 << 20 {
            return Err(MemoryError::TooLarge(buf.len()));
        }
        let mut at = addr.0;
        let mut rest = buf;
        while !rest.is_empty() {
            let x = (at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.0;
            // Many pointers point to each other, some numbers are huge, some small.
            let word = match (x >> 7) % 4 {
                0 => x,
                1 => x % 100,
                2 => 0x40_0000 + x % 0x20_0000,
                _ => at & !7,
            };
            let skip = (at % 8) as usize;
            let n = rest.len().min(8 - skip);
            rest[..n].copy_from_slice(&word.to_le_bytes()[skip..skip + n]);
            rest = &mut rest[n..];
            at = at.wrapping_add(n as u64);
        }
        Ok(())
    }
}

#[test]
fn noise_for_memory() {
    let exe = build("values", "", DEBUG);
    let symbols = Arc::new(Symbols::load(FileBytes::open(&exe).unwrap()).unwrap());
    let d = symbols.dwarf().unwrap();
    for seed in 0..8u64 {
        let mem = Noise(seed.wrapping_mul(0x1234_5678_9abc_def1));
        let rt = GoRuntime::open(symbols.clone(), LoadBias(0), &mem).unwrap();
        let begin = Instant::now();
        let _ = rt.list(&mem, &HashMap::new(), 0, ListOptions { stopped: true });
        let _ = rt.stack(&mem, StackStart::Parked(LoadAddr(0x5000 + seed * 8)), 1000, true);
        let r = Reader::new(&rt, &mem).unwrap();
        let types = [
            "main.Outer",
            "*main.Outer",
            "main.Node",
            "[]int",
            "[]string",
            "map[string]int",
            "map[int]int",
            "error",
            "interface {}",
            "chan string",
            "func(int) int",
            "[]interface {}",
            "map[string][]int",
            "time.Time",
            "map[main.Inner]*main.Inner",
            "runtime.g",
            "runtime.m",
            "[]main.Inner",
        ];
        for name in types {
            let ty = d.go_type(d.type_by_name(name).unwrap_or_else(|| panic!("no type {name}")));
            for at in [0x1000u64, 0x40_1008, 0xc000_0000, u64::MAX - 64] {
                let v = ValueRef { ty: ty.clone(), place: Place::at(LoadAddr(at + seed * 8)), ..ValueRef::default() };
                let shown = r.variable(&v, Limits { depth: 3, ..Limits::default() });
                assert!(shown.value.len() < 100 << 10);
                let _ = r.children(&v, 0, 64);
                let _ = r.children(&v, u64::MAX - 3, 64);
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "seed {seed}: {:?}", begin.elapsed());
    }
}
