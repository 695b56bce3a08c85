//! Values of every Go type in a running program, in Delve's words.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::goruntime::value::{Limits, Reader, ValueRef};
use adit::goruntime::{GoRuntime, ListOptions, StackStart, WalkedStack};
use adit::model::Variable;
use goprog::live::{Live, start};
use goprog::{DEBUG, build};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// The main goroutine's stack once it stands in `show`.
fn parked(rt: &GoRuntime, p: &Live) -> WalkedStack {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let l = rt.list(&p.mem, &HashMap::new(), 0, ListOptions::default()).unwrap();
        let g = l.row(l.index_of(adit::base::GoroutineId(1)).unwrap()).unwrap();
        if g.user.function == "main.show" {
            return rt.stack(&p.mem, StackStart::Parked(g.g), 50, false).unwrap();
        }
        assert!(Instant::now() < deadline, "{g:?}");
    }
}

fn frame(s: &WalkedStack, function: &str) -> usize {
    s.stack.frames.iter().position(|f| f.at.function.starts_with(function)).unwrap()
}

fn variables(r: &Reader<'_>, vs: &[ValueRef]) -> BTreeMap<String, Variable> {
    vs.iter().map(|v| (v.name.clone(), r.variable(v, Limits::default()))).collect()
}

fn check(tool: &str) {
    let p = start(&build("values", tool, DEBUG), &[], &[]);
    let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
    let s = parked(&rt, &p);
    let r = Reader::new(&rt, &p.mem).unwrap();
    let scope = rt.frame_scope(&s, frame(&s, "main.show"), None).unwrap();
    let refs = r.scope(&scope);
    let vars = variables(&r, &refs);
    if std::env::var("ADIT_SHOW").is_ok() {
        for v in &refs {
            println!("{}\t{}", v.name, vars[&v.name].value);
        }
        println!("pid {}", p.child.as_ref().unwrap().id());
        std::thread::sleep(Duration::from_secs(600));
    }
    let is = |name: &str, want: &str| assert_eq!(vars[name].value, want, "{tool} {name}");
    is("b", "true");
    is("i8", "-8");
    is("i64", "-9223372036854775808");
    is("u64", "18446744073709551615");
    is("f32", "1.5");
    is("f64", "32500000000");
    is("inf", "-Inf");
    is("nan", "NaN");
    is("c128", "(1.5 + -2i)");
    is("s", "\"hello \\\"world\\\"\\n\\x1b\\u202eé\"");
    is("empty", "\"\"");
    is("long", &format!("\"{}...+36 more\"", "x".repeat(64)));
    is("color", "Blue (2)");
    is("bad", "77");
    is("perm", "Read|Exec (5)");
    is("arr", "[3]int [1,2,3]");
    is("arr2", "[2][2]string [[\"a\",\"b\"],[\"c\",\"d\"]]");
    is("sl", "[]int len: 3, cap: 3, [1,2,3]");
    is("nilsl", "[]int len: 0, cap: 0, nil");
    assert!(vars["many"].value.ends_with("0,0,0,...+36 more]"), "{}", vars["many"].value);
    is("named", "main.Named len: 2, cap: 2, [\"a\",\"b\"]");
    is("structs", "[]main.Inner len: 2, cap: 2, [{X: 1, Y: 2, Name: \"a\"},{X: 3, Y: 4, Name: \"b\"}]");
    is("p", "*main.Inner {X: 1, Y: 2, Name: \"in\"}");
    is("nilp", "*main.Inner nil");
    is("pi", "*-32");
    is("m", "map[string]int [\"one\": 1, ]");
    is("nilm", "map[string]int nil");
    is("e0", "interface {} nil");
    is("e1", "interface {}(int) 3");
    is("e2", "interface {}(string) \"str\"");
    is("e3", "interface {}(main.Inner) {X: 1, Y: 2, Name: \"in\"}");
    is("e4", "interface {}(*main.Inner) *{X: 1, Y: 2, Name: \"in\"}");
    is("e5", "interface {}([]int) [1]");
    is("err1", "error nil");
    is("err2", "error(*errors.errorString) *{s: \"failed\"}");
    is("st", "main.Stringer(main.Color) Green (1)");
    is("ch", "chan int 0/0");
    is("nilch", "chan int nil");
    is("bch", "chan string 2/3");
    is("fn", "strings.ToUpper");
    is("nilfn", "nil");
    is("closure", "main.show.func2");
    is("pair", "main.Pair[string,int] {Key: \"k\", Val: 1}");
    is("anon", "struct { A int; B string } {A: 1, B: \"x\"}");
    is("empties", "struct {} {}");
    assert!(vars["t0"].value.starts_with("time.Time(2024-02-29T12:34:56Z){wall: 0, "), "{}", vars["t0"].value);
    is("dur", "1500000000");
    assert_eq!(refs.iter().filter(|v| v.name == "count").count(), 2);
    assert_eq!(refs.iter().filter(|v| v.name == "count" && v.flags.shadowed).count(), 1);
    assert!(refs[0].flags.argument && refs[0].name == "arg" && refs[1].flags.result);

    // Children.
    let by = |name: &str| refs.iter().find(|v| v.name == name).unwrap();
    let kids = |name: &str, start, n| r.children(by(name), start, n).unwrap();
    let c = kids("many", 90, 64);
    assert_eq!((c.len(), c[0].name.as_str(), c[0].expression.as_str()), (10, "[90]", "many[90]"));
    let c = kids("p", 0, 10);
    assert_eq!((c.len(), c[2].expression.as_str()), (3, "p.Name"));
    let c = kids("bch", 0, 10);
    assert_eq!(r.variable(&c[1], Limits::default()).value, "\"two\"");
    let c = kids("m", 0, 10);
    assert_eq!((c[0].name.as_str(), c[0].expression.as_str()), ("[\"one\"]", "m[\"one\"]"));
    let c = kids("e4", 0, 1);
    assert_eq!(c[0].expression, "e4.(data)");

    // At the entry of a closure its captures are found through the context register (their place is known since 1.23).
    if !["go1.21.13", "go1.22.10"].contains(&tool) {
        let f = p.symbols.find_function("main.show.func2").unwrap();
        let pc = p.symbols.pc_after_prologue(f);
        let mut regs = adit::arch::Registers::default();
        regs.gp[1] = r.word(&by("closure").place, 0).unwrap();
        regs.set_pc(rt.bias().to_load(pc).0);
        let at = adit::goruntime::value::FrameScope {
            root: adit::goruntime::value::scope::scope_root(r.dwarf, f.entry, pc, 0).unwrap(),
            pc: rt.bias().to_load(pc),
            lookup: pc,
            line: p.symbols.location(pc).unwrap().line,
            cfa: adit::base::LoadAddr(0x1000),
            regs: Some(regs),
            function: "main.show.func2".into(),
        };
        assert_eq!(r.variable(&r.local(&at, "count").unwrap(), Limits::default()).value, "7", "{tool}");
    }

    // The generic frame knows its real types by the dictionary.
    let g = rt.frame_scope(&s, frame(&s, "main.generic"), None).unwrap();
    let vars = variables(&r, &r.scope(&g));
    assert_eq!(vars["x"].value, "5", "{tool}");
    assert_eq!(vars["x"].type_name, "int", "{tool}");

    // Package variables, and a large map in pages.
    assert_eq!(r.variable(&r.package_variable("main.Global").unwrap(), Limits::default()).value, "42");
    let big = r.package_variable("main.Big").unwrap();
    assert_eq!(r.child_count(&big), 200_000);
    let all: usize = {
        let mut n = 0;
        let base = adit::base::LoadAddr(r.word(&big.place, 0).unwrap());
        let mut sum = 0u64;
        r.map_walk(&big.ty, base, &mut |k, v| {
            n += 1;
            let (k, v) = (r.word(&k, 0).unwrap(), r.word(&v, 0).unwrap());
            assert_eq!(v, 2 * k);
            sum += k;
            true
        })
        .unwrap();
        assert_eq!(sum, 199_999 * 100_000);
        n
    };
    assert_eq!(all, 200_000, "{tool}");
    let page = r.children(&big, 150_000, 64).unwrap();
    assert_eq!(page.len(), 64);
}

#[test]
fn own_release() {
    check("");
}

#[test]
fn other_releases() {
    for tool in ["go1.21.13", "go1.23.9", "go1.24.11", "go1.25.5", "go1.27.3"] {
        check(tool);
    }
}

/// Prints every variable of every frame of the main goroutine, to be compared with another debugger's:
/// `ADIT_SHOW=1 cargo test --test values show_all -- --ignored --nocapture`.
#[test]
#[ignore = "for comparison by hand"]
fn show_all() {
    let flags: Vec<String> = std::env::var("ADIT_FLAGS")
        .unwrap_or_default()
        .split('|')
        .filter(|s| !s.is_empty())
        .map(String::from)
        .collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let p = start(&build("values", &std::env::var("ADIT_TOOL").unwrap_or_default(), &flags), &[], &[]);
    let rt = GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap();
    let s = parked(&rt, &p);
    let r = Reader::new(&rt, &p.mem).unwrap();
    for f in &s.stack.frames {
        println!("#{} {} {}:{} {}", f.index, f.at.function, f.at.base_file(), f.at.line, f.inlined);
        let Some(scope) = rt.frame_scope(&s, f.index as usize, None) else { continue };
        for v in r.scope(&scope) {
            println!("{}\t{}\t{}", f.index, v.name, r.variable(&v, Limits::default()).value);
        }
    }
    println!("pid {}", p.child.as_ref().unwrap().id());
    if std::env::var("ADIT_SHOW").is_ok() {
        std::thread::sleep(Duration::from_secs(600));
    }
}
