//! Expressions over a running program with a variable of every Go type.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::base::{GoroutineId, LoadAddr};
use adit::eval::{Context, assign, compile, evaluate};
use adit::goruntime::value::{Limits, Reader};
use adit::goruntime::{GoRuntime, ListOptions, StackStart, WalkedStack};
use goprog::live::{Live, start};
use goprog::{DEBUG, build};
use std::collections::HashMap;
use std::time::{Duration, Instant};

fn parked(rt: &GoRuntime, p: &Live) -> WalkedStack {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let l = rt.list(&p.mem, &HashMap::new(), 0, ListOptions::default()).unwrap();
        let g = l.row(l.index_of(GoroutineId(1)).unwrap()).unwrap();
        if g.user.function == "main.show" {
            return rt.stack(&p.mem, StackStart::Parked(g.g), 50, false).unwrap();
        }
        assert!(Instant::now() < deadline, "{g:?}");
    }
}

fn context<'a>(rt: &'a GoRuntime, p: &'a Live, s: &WalkedStack, function: &str) -> Context<'a> {
    let frame = s.stack.frames.iter().position(|f| f.at.function.starts_with(function)).unwrap();
    let g = s.g.unwrap();
    Context {
        reader: Reader::new(rt, &p.mem).unwrap(),
        scope: rt.frame_scope(s, frame, None).unwrap(),
        goid: g.goid,
        g: g.addr,
        stack_hi: g.stack_hi,
        tid: 0,
    }
}

const GOOD: &[(&str, &str)] = &[
    ("i8", "-8"),
    ("i8 + 1", "-7"),
    ("u8 - 9", "255"),
    ("i64 - 1", "9223372036854775807"),
    ("1 + 2*3", "7"),
    ("7 / 2", "3"),
    ("7 / 2.0", "3.5"),
    ("1 << 10", "1024"),
    ("0x10 | 3", "19"),
    ("-i16", "16"),
    ("^u8", "247"),
    ("!b", "false"),
    ("b && i8 < 0", "true"),
    ("false && nosuch", "could not find symbol value for nosuch"),
    ("b || nilp.X == 1", "true"),
    ("s == \"hello \\\"world\\\"\\n\\x1b\\u202eé\"", "true"),
    ("empty == \"\"", "true"),
    ("\"a\" + \"b\"", "\"ab\""),
    ("long[0]", "120"),
    ("long[:3]", "\"xxx\""),
    ("len(long)", "100"),
    ("color", "Blue (2)"),
    ("color == Blue", "true"),
    ("color == 2", "true"),
    ("Color(1)", "Green (1)"),
    ("arr[1]", "2"),
    ("arr2[1][0]", "\"c\""),
    ("sl[2]", "3"),
    ("sl[1:]", "[]int len: 2, cap: 2, [2,3]"),
    ("arr[:2]", "[]int len: 2, cap: 3, [1,2]"),
    ("len(many) + cap(many)", "300"),
    ("in", "main.Inner {X: 1, Y: 2, Name: \"in\"}"),
    ("in.Name", "\"in\""),
    ("p.X", "1"),
    ("(*p).Y", "2"),
    ("**pp", "main.Inner {X: 1, Y: 2, Name: \"in\"}"),
    ("*pi", "-32"),
    ("p == nil", "false"),
    ("nilp == nil", "true"),
    ("p == out.P", "true"),
    ("in == *p", "true"),
    ("in == structs[0]", "false"),
    ("out.X", "1"),
    ("out.Inner.Name", "\"in\""),
    ("out.M[\"a\"]", "1"),
    ("out.next.next.P.Name", "\"in\""),
    ("node.Next.Next.Val", "3"),
    ("m[\"one\"]", "1"),
    ("Lookup[2]", "\"two\""),
    ("main.Lookup[1]", "\"one\""),
    ("Big[150000]", "300000"),
    ("Strings[\"key77\"]", "77"),
    ("ms[in].Name", "\"in\""),
    ("nested[\"a\"][1]", "2"),
    ("len(m)", "1"),
    ("e1.(int) + 1", "4"),
    ("e3.(main.Inner).Y", "2"),
    ("e4.(*main.Inner).Y", "2"),
    ("e4.(data)", "*main.Inner {X: 1, Y: 2, Name: \"in\"}"),
    ("e0 == nil", "true"),
    ("err1 == nil", "true"),
    ("err2 != nil", "true"),
    ("err2.s", "\"failed\""),
    ("e1 == 3", "true"),
    ("len(bch)", "2"),
    ("cap(bch)", "3"),
    ("ch == nil", "false"),
    ("nilfn == nil", "true"),
    ("real(c128)", "1.5"),
    ("imag(c64)", "2"),
    ("c128 == 1.5-2i", "true"),
    ("f32 * 2", "3"),
    ("float64(i8) / 3", "-2.6666666666666665"),
    ("int(f32)", "1"),
    ("uint8(i16)", "240"),
    ("string(65)", "\"A\""),
    ("min(3, 1, 2)", "1"),
    ("max(i8, 3)", "3"),
    ("Answer", "1234"),
    ("Global", "42"),
    ("main.Global * 2", "84"),
    ("count", "\"inner\""),
    ("closure.count", "7"),
    ("pair.Key", "\"k\""),
    ("anon.B", "\"x\""),
    ("iface[1].(string)", "\"a\""),
    ("runtime.curg.goid", "1"),
    ("runtime.curg.goid == 1", "true"),
    ("'a' + 1", "98"),
    ("fn", "strings.ToUpper"),
    ("string([]byte(s)[0:5])", "\"hello\""),
    ("(*main.Inner)(0)", "*main.Inner nil"),
    ("uintptr(nilp == nil)", "can not convert \"nilp == nil\" to uintptr"),
    ("nosuch", "could not find symbol value for nosuch"),
    ("main.nosuch", "could not find symbol value for main.nosuch"),
    ("in.Nope", "in has no member Nope"),
    ("i8.x", "i8 (type int8) has no member x"),
    ("nilp.X", "nilp is nil"),
    ("*nilp", "nil pointer dereference"),
    ("arr[3]", "index out of bounds"),
    ("sl[-1]", "index out of bounds"),
    ("m[\"two\"]", "key not found"),
    ("i8 + i16", "mismatched types \"int8\" and \"int16\""),
    ("i8 + \"a\"", "can not convert \"a\" constant to int8"),
    ("1/0", "runtime error: integer divide by zero"),
    ("e1.(string)", "interface conversion: interface {} is int, not string"),
    ("fn(1)", "function calls not allowed without using 'call'"),
    ("1 +", "1:4: expected operand, found 'EOF'"),
    ("sl == sl", "can not compare slice variables"),
];

#[test]
fn expressions() {
    let p = start(&build("values", "", DEBUG), &[], &[]);
    let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
    let s = parked(&rt, &p);
    let cx = context(&rt, &p, &s, "main.show");
    if std::env::var("ADIT_SHOW").is_ok() {
        println!("pid {}", p.child.as_ref().unwrap().id());
        std::thread::sleep(Duration::from_secs(600));
    }
    let mut bad = Vec::new();
    for (e, want) in GOOD {
        let got = match evaluate(&cx, e, Limits::default()) {
            Ok((_, v)) => v.value,
            Err(e) => e.to_string(),
        };
        if got != *want {
            bad.push(format!("{e}: {got} is not {want}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));

    let addr = evaluate(&cx, "&in", Limits::default()).unwrap().1;
    let at = cx.reader.word(&evaluate(&cx, "&in", Limits::default()).unwrap().0.value_ref().unwrap().place, 0).unwrap();
    assert_eq!(addr.type_name, "*main.Inner");
    let cast = evaluate(&cx, &format!("(*main.Inner)({at:#x}).Name"), Limits::default()).unwrap().1;
    assert_eq!(cast.value, "\"in\"");

    let a = assign(&cx, "i16", "-2").unwrap();
    assert_eq!(a.bytes, vec![0xfe, 0xff]);
    assert_eq!(assign(&cx, "p", "nil").unwrap().bytes, vec![0; 8]);
    assert_eq!(assign(&cx, "f32", "2").unwrap().bytes, 2f32.to_le_bytes());
    assert_eq!(assign(&cx, "b", "i8 == 3").unwrap().bytes, vec![0]);
    assert_eq!(assign(&cx, "in", "structs[1]").unwrap().bytes.len(), 32);
    assert_eq!(assign(&cx, "nilp", "p").unwrap().bytes.len(), 8);
    assert!(assign(&cx, "s", "\"x\"").is_err() && assign(&cx, "i8", "300").is_err() && assign(&cx, "3", "4").is_err());

    let outer = context(&rt, &p, &s, "main.generic");
    assert_eq!(evaluate(&outer, "x + xs[1]", Limits::default()).unwrap().1.value, "7");
    assert_eq!(evaluate(&outer, "m[\"k\"]", Limits::default()).unwrap().1.value, "5");
    assert_ne!(LoadAddr(at), LoadAddr(0));
}

#[test]
fn other_releases() {
    for tool in ["go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11", "go1.25.5", "go1.27.3"] {
        let p = start(&build("values", tool, DEBUG), &[], &[]);
        let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
        let s = parked(&rt, &p);
        let cx = context(&rt, &p, &s, "main.show");
        for (e, want) in GOOD {
            if e.starts_with("closure.") && ["go1.21.13", "go1.22.10"].contains(&tool) {
                continue; // the layout of closures is recorded since 1.23
            }
            let got = match evaluate(&cx, e, Limits::default()) {
                Ok((_, v)) => v.value,
                Err(e) => e.to_string(),
            };
            assert_eq!(got, *want, "{tool} {e}");
        }
    }
}

/// `cargo test --release --test eval -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a check"]
fn measure() {
    let p = start(&build("values", "", DEBUG), &[], &[]);
    let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
    let s = parked(&rt, &p);
    let cx = context(&rt, &p, &s, "main.show");
    for e in ["i8 == 5", "in.X == 3 && p != nil", "runtime.curg.goid == 1", "Big[199999]", "Strings[\"key999\"]"] {
        let c = compile(&cx.reader, &cx.scope, e).unwrap();
        let t = Instant::now();
        for _ in 0..100 {
            let _ = std::hint::black_box(c.run(&cx));
        }
        println!("{e}: {:?} a run", t.elapsed() / 100);
    }
    let big = cx.reader.package_variable("main.Big").unwrap();
    for start in [0, 190_000] {
        let t = Instant::now();
        println!("page at {start}: {} in {:?}", cx.reader.children(&big, start, 64).unwrap().len(), t.elapsed());
    }
}
