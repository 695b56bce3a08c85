//! Profiles of the shop: before and after a day on which pricing became slow.

use adit::backend::profile::ProfileDesk;
use adit::backend::protocol::Reply;
use adit::model::*;
use adit::profile::calls::Builder;
use std::sync::Arc;

/// Function, file, first line, line of the call or the work.
type Frame = (&'static str, &'static str, u32, u32);

const CART: &str = "/src/shop/cart.go";
const API: &str = "/src/shop/api.go";
const SERVE: Frame = ("net/http.(*conn).serve", "/build/go/src/net/http/server.go", 1900, 2102);
const HANDLER: Frame = ("main.(*API).checkout", API, 80, 102);
const TOTAL: Frame = ("main.(*Cart).Total", CART, 41, 48);
const SUM: Frame = ("main.(*Cart).Total", CART, 41, 52);
const PRICE: Frame = ("main.(*Cart).price", CART, 60, 62);
const PARSE: Frame = ("encoding/json.(*Decoder).Decode", "/build/go/src/encoding/json/stream.go", 49, 63);
const MALLOC: Frame = ("runtime.mallocgc", "/build/go/src/runtime/malloc.go", 1000, 1040);
const MATCH: Frame = ("example.com/rules/engine.(*Set[go.shape.string]).Match", "/src/rules/engine/set.go", 20, 31);
const WORKER: Frame = ("main.audit", "/src/shop/audit.go", 10, 14);
const GC: Frame = ("runtime.gcBgMarkWorker", "/build/go/src/runtime/mgc.go", 1400, 1500);

/// Stacks from the root on, and samples before and after.
const STACKS: [(&[Frame], i64, i64); 9] = [
    (&[SERVE, HANDLER, TOTAL, PRICE, MATCH], 90, 410),
    (&[SERVE, HANDLER, TOTAL, PRICE], 60, 120),
    (&[SERVE, HANDLER, TOTAL, PRICE, MALLOC], 40, 70),
    (&[SERVE, HANDLER, SUM], 100, 90),
    (&[SERVE, HANDLER, PARSE], 180, 170),
    (&[SERVE, HANDLER, PARSE, MALLOC], 70, 70),
    (&[SERVE], 20, 25),
    (&[WORKER, MALLOC], 60, 5),
    (&[GC], 80, 40),
];

fn profile(after: bool) -> Profile {
    let mut p = Profile {
        kinds: vec![
            ValueKind { name: "samples".into(), unit: "count".into() },
            ValueKind { name: "cpu".into(), unit: "nanoseconds".into() },
        ],
        shown: 1,
        duration_ns: 10_000_000_000,
        ..Profile::default()
    };
    for (stack, before, now) in STACKS {
        for (name, file, start_line, line) in stack.iter().rev() {
            let f = ProfileFunction { name: Arc::from(*name), file: Arc::from(*file), start_line: *start_line };
            let function = p.functions.iter().position(|x| *x == f).unwrap_or_else(|| {
                p.functions.push(f);
                p.functions.len() - 1
            });
            p.stacks.push(p.frames.len() as u32);
            p.frames.push(ProfileFrame { function: function as u32, line: *line, inlined: false });
        }
        p.ends.push(p.stacks.len() as u32);
        let n = if after { now } else { before };
        p.values.extend([n, n * 10_000_000]);
    }
    // Fifty small ones that are too narrow for a column.
    for i in 0..50 {
        let f = ProfileFunction { name: format!("main.small{i}").into(), ..ProfileFunction::default() };
        p.functions.push(f);
        p.stacks.push(p.frames.len() as u32);
        p.frames.push(ProfileFrame { function: p.functions.len() as u32 - 1, line: 0, inlined: false });
        p.ends.push(p.stacks.len() as u32);
        p.values.extend([1, 10_000_000]);
    }
    p
}

/// The profile of after, compared with the one of before or not.
pub fn desk(compared: bool) -> ProfileDesk {
    let mut b = Builder::new();
    b.add(&profile(true)).expect("a profile");
    if compared {
        b.begin_base();
        b.add(&profile(false)).expect("a profile");
    }
    ProfileDesk::of(b.finish(), "/srv/after.pb.gz", compared.then_some("/srv/before.pb.gz"))
}

/// What the shop serves; without trouble it has no handlers.
pub fn sources(none: bool) -> Reply {
    if none {
        return Reply::ProfileSources { sources: Vec::new(), why: "the program has no net/http/pprof in it".into() };
    }
    let source = |name: &str, path: &str, about: &str| ProfileSource {
        name: name.into(),
        url: format!("http://127.0.0.1:6060/debug/pprof/{path}"),
        about: about.into(),
    };
    Reply::ProfileSources {
        sources: vec![
            source("CPU for 5 s", "profile?seconds=5", "where time on processors goes"),
            source("heap", "heap", "what is alive in memory, as of the last collection"),
        ],
        why: "profiles at http://127.0.0.1:6060/debug/pprof/, Enter fetches one".into(),
    }
}
