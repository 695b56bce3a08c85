//! Functions: by address, by name, by the loose names that people type.

use super::Symbols;
use super::pclntab::{Function, func_flag};
use crate::base::FileAddr;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Candidates shown for an ambiguous name.
pub const MAX_CANDIDATES: usize = 5;

/// Facts about a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFlags {
    /// Outermost frame of a stack (`runtime.goexit`, `runtime.mstart`…).
    pub top_frame: bool,
    /// Writes SP, so the unwinder must not trust its frame size unless it is innermost.
    pub sp_write: bool,
    /// Assembly.
    pub asm: bool,
    /// Compiler-made wrapper of a method.
    pub wrapper: bool,
    /// Where it calls `runtime.deferreturn`.
    pub deferreturn: Option<FileAddr>,
}

/// What a typed function name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionMatch {
    /// Nothing has such a name.
    None,
    /// One function, perhaps in several instances and inlined copies.
    Found {
        /// Its name without type arguments.
        name: String,
        /// Physical functions.
        functions: Vec<Function>,
        /// First statement of each inlined copy.
        inlined: Vec<FileAddr>,
    },
    /// Several functions; the first few of them.
    Ambiguous(Vec<String>),
}

impl Symbols {
    /// The function that contains an address.
    pub fn function_at(&self, pc: FileAddr) -> Option<Function> {
        let own = self.pclntab().function_at(pc);
        own.or_else(|| self.modules().find_map(|m| Some(m.outside(m.symbols.function_at(m.down(pc))?))))
    }
    /// Its full name.
    pub fn function_name(&self, f: Function) -> &str {
        match self.module_of(f) {
            Some((m, own)) => m.symbols.function_name(own),
            None => self.pclntab().record(f).and_then(|r| self.pclntab().name(r.name_off)).unwrap_or(""),
        }
    }
    /// Every function in address order.
    pub fn functions(&self) -> impl Iterator<Item = Function> + '_ {
        (0..self.pclntab().len()).filter_map(|i| self.pclntab().function(i))
    }
    /// Facts about a function.
    pub fn function_flags(&self, f: Function) -> FunctionFlags {
        let Some(r) = self.function_record(f) else { return FunctionFlags::default() };
        FunctionFlags {
            top_frame: r.flag & func_flag::TOP_FRAME != 0,
            sp_write: r.flag & func_flag::SP_WRITE != 0,
            asm: r.flag & func_flag::ASM != 0,
            wrapper: r.func_id == self.wrapper_id(),
            deferreturn: (r.deferreturn != 0).then(|| f.entry.add(u64::from(r.deferreturn))),
        }
    }
    /// `abi.FuncIDWrapper` of this release: it has always been the one after `systemstack_switch`'s.
    pub fn wrapper_id(&self) -> u8 {
        *self.wrapper_id.get_or_init(|| {
            let f = self.find_function("runtime.systemstack_switch");
            f.and_then(|f| self.pclntab().record(f)).map_or(0xff, |r| r.func_id.wrapping_add(1))
        })
    }

    /// The first function of this name, without building the name index (for a few look-ups at start).
    pub fn find_function(&self, name: &str) -> Option<Function> {
        if self.names.get().is_some() {
            return self.functions_by_name(name).first().copied();
        }
        self.functions().find(|&f| self.function_name(f) == name)
    }

    /// Indices by name.
    fn name_index(&self) -> &[u32] {
        self.names.get_or_init(|| {
            let mut v: Vec<(&str, u32)> = (0..self.pclntab().len() as u32)
                .into_par_iter()
                .filter_map(|i| Some((self.function_name(self.pclntab().function(i as usize)?), i)))
                .collect();
            v.par_sort_unstable();
            v.into_iter().map(|e| e.1).collect()
        })
    }

    /// All functions of exactly this name.
    pub fn functions_by_name(&self, name: &str) -> Vec<Function> {
        let index = self.name_index();
        let name_of = |i: u32| self.pclntab().function(i as usize).map_or("", |f| self.function_name(f));
        let a = index.partition_point(|&i| name_of(i) < name);
        let own =
            index[a..].iter().take_while(|&&i| name_of(i) == name).filter_map(|&i| self.pclntab().function(i as usize));
        let others = |m: &'_ super::modules::Module| {
            m.symbols.functions_by_name(name).into_iter().map(|f| m.outside(f)).collect::<Vec<_>>()
        };
        own.chain(self.modules().flat_map(others)).collect()
    }

    /// Functions whose name matches, by name, at most `limit`.
    pub fn match_functions(&self, re: &regex::Regex, limit: usize) -> Vec<Function> {
        let others = |m: &'_ super::modules::Module| {
            m.symbols.match_functions(re, limit).into_iter().map(|f| m.outside(f)).collect::<Vec<_>>()
        };
        self.name_index()
            .iter()
            .filter_map(|&i| self.pclntab().function(i as usize))
            .filter(|&f| re.is_match(self.function_name(f)))
            .chain(self.modules().flat_map(others))
            .take(limit)
            .collect()
    }

    /// Every name by which code is known, inlined-everywhere functions included, sorted.
    pub fn function_names(&self) -> Vec<&str> {
        let mut v: Vec<&str> = self
            .name_index()
            .iter()
            .filter_map(|&i| self.pclntab().function(i as usize))
            .map(|f| self.function_name(f))
            .collect();
        if let Some(d) = self.dwarf() {
            v.extend(d.abstract_names().map(|n| n.0));
        }
        for m in self.modules() {
            v.extend(m.symbols.function_names());
        }
        v.sort_unstable();
        v.dedup();
        v
    }

    /// Resolves a function as Delve's locations do: `Func`, `pkg.Func`, `T.Method`, `(*T).Method`, `pkg/path.(*T).Method`;
    /// type arguments may be left out, and then all instances are meant.
    pub fn resolve_function_suffix(&self, typed: &str) -> FunctionMatch {
        let spec = Spec::parse(typed);
        let mut found: BTreeMap<Cow<'_, str>, Vec<&str>> = BTreeMap::new();
        let mut exact = None;
        for name in self.function_names() {
            let plain = without_type_args(name);
            if name == typed || plain == typed {
                exact = Some(plain.clone());
            } else if !spec.as_ref().is_some_and(|s| s.matches(&plain)) {
                continue;
            }
            found.entry(plain).or_default().push(name);
        }
        if let Some(e) = exact {
            found.retain(|k, _| *k == e);
            if let Some(names) = found.get_mut(&e)
                && names.contains(&typed)
            {
                names.retain(|n| *n == typed);
            }
        }
        let mut it = found.into_iter();
        match (it.next(), it.next()) {
            (None, _) => FunctionMatch::None,
            (Some((name, names)), None) => {
                let functions = names.iter().flat_map(|n| self.functions_by_name(n)).collect();
                let mut inlined: Vec<FileAddr> = names.iter().flat_map(|n| self.inlined_entries(n)).collect();
                inlined.sort_unstable();
                inlined.dedup();
                FunctionMatch::Found { name: name.into_owned(), functions, inlined }
            }
            (Some(a), Some(b)) => {
                let names = [a, b].into_iter().chain(it).map(|e| e.0.into_owned()).take(MAX_CANDIDATES);
                FunctionMatch::Ambiguous(names.collect())
            }
        }
    }

    /// First statement of every inlined copy of a function.
    pub fn inlined_entries(&self, name: &str) -> Vec<FileAddr> {
        let others = |m: &'_ super::modules::Module| {
            m.symbols.inlined_entries(name).into_iter().map(|a| m.up(a)).collect::<Vec<_>>()
        };
        let mut out: Vec<FileAddr> = self.modules().flat_map(others).collect();
        let Some(d) = self.dwarf() else { return out };
        for origin in d.abstract_functions(name) {
            for call in d.index().inlined_calls_of(origin) {
                let Some(die) = d.die(call.off) else { continue };
                let Some((low, high)) = die.ranges().into_iter().min() else { continue };
                let (_, rows) = d.rows_between(die.unit(), FileAddr(low), FileAddr(high));
                out.push(rows.iter().find(|r| r.is_stmt).map_or(FileAddr(low), |r| r.pc));
            }
        }
        out
    }

    /// Bytes between SP and the return address at `pc`.
    pub fn sp_delta(&self, pc: FileAddr) -> Option<i32> {
        self.sp_delta_in(self.function_at(pc)?, pc)
    }
    /// PCDATA `table` at `pc`; -1 when there is none.
    pub fn pcdata(&self, f: Function, table: u32, pc: FileAddr) -> i32 {
        match self.module_of(f) {
            Some((m, own)) => m.symbols.pcdata(own, table, m.down(pc)),
            None => self.pclntab().pcdata(f, table, pc),
        }
    }
    /// Address of FUNCDATA `i`.
    pub fn funcdata(&self, f: Function, i: u32) -> Option<FileAddr> {
        if let Some((m, own)) = self.module_of(f) {
            return Some(m.up(m.symbols.funcdata(own, i)?));
        }
        let off = self.pclntab().funcdata_offset(f, i)?;
        Some(self.moduledata()?.gofunc.add(u64::from(off)))
    }
}

/// `main.gen[go.shape.int].func1` to `main.gen.func1`.
pub fn without_type_args(name: &str) -> Cow<'_, str> {
    match (name.find('['), name.rfind(']')) {
        (Some(a), Some(b)) if a < b => Cow::Owned(format!("{}{}", &name[..a], &name[b + 1..])),
        _ => Cow::Borrowed(name),
    }
}

/// Package path, receiver without decoration and base name of a full function name without type arguments.
pub fn split_name(name: &str) -> (&str, &str, &str) {
    let path_end = name.rfind('/').map_or(0, |i| i + 1);
    let Some(dot) = name[path_end..].find('.').map(|i| i + path_end) else { return ("", "", name) };
    let package = &name[..dot];
    match name.rfind('.') {
        Some(last) if last > dot => (package, undecorated(&name[dot + 1..last]), &name[last + 1..]),
        _ => (package, "", &name[dot + 1..]),
    }
}

fn undecorated(receiver: &str) -> &str {
    receiver.strip_prefix("(*").and_then(|r| r.strip_suffix(')')).unwrap_or(receiver)
}

/// A typed function name taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spec<'a> {
    package: &'a str,
    absolute: bool,
    receiver: &'a str,
    package_or_receiver: &'a str,
    base: &'a str,
}

impl<'a> Spec<'a> {
    fn parse(typed: &'a str) -> Option<Spec<'a>> {
        let path_end = typed.rfind('/').unwrap_or(0);
        let dots: Vec<usize> = typed[path_end..].match_indices('.').map(|m| m.0 + path_end).collect();
        let mut s = match dots[..] {
            [] => Spec { base: typed, ..Spec::default() },
            [d] => {
                let (head, base) = (&typed[..d], &typed[d + 1..]);
                let bare = undecorated(head);
                if bare != head {
                    Spec { receiver: bare, base, ..Spec::default() }
                } else if head.contains('/') {
                    Spec { package: head, base, ..Spec::default() }
                } else {
                    Spec { package_or_receiver: head, base, ..Spec::default() }
                }
            }
            [a, b] => Spec {
                package: &typed[..a],
                receiver: undecorated(&typed[a + 1..b]),
                base: &typed[b + 1..],
                ..Spec::default()
            },
            _ => return None,
        };
        if let Some(p) = s.package.strip_prefix('/') {
            s.package = p;
            s.absolute = true;
        }
        (!s.base.is_empty() && !s.base.contains('/')).then_some(s)
    }

    fn matches(&self, name: &str) -> bool {
        let (package, receiver, base) = split_name(name);
        base == self.base
            && (self.receiver.is_empty() || receiver == self.receiver)
            && (self.package.is_empty()
                || if self.absolute { package == self.package } else { package_matches(package, self.package) })
            && (self.package_or_receiver.is_empty()
                || package_matches(package, self.package_or_receiver)
                || receiver == self.package_or_receiver)
    }
}

fn package_matches(package: &str, typed: &str) -> bool {
    package.strip_suffix(typed).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn loose_names() {
        let m = |typed: &str, name: &str| Spec::parse(typed).is_some_and(|s| s.matches(name));
        assert!(m("serve", "net/http.(*conn).serve"));
        assert!(m("conn.serve", "net/http.(*conn).serve"));
        assert!(m("(*conn).serve", "net/http.(*conn).serve"));
        assert!(m("http.conn.serve", "net/http.(*conn).serve"));
        assert!(m("net/http.(*conn).serve", "net/http.(*conn).serve"));
        assert!(m("/net/http.(*conn).serve", "net/http.(*conn).serve"));
        assert!(m("http.Get", "net/http.Get"));
        assert!(!m("ttp.Get", "net/http.Get"));
        assert!(!m("/http.Get", "net/http.Get"));
        assert!(!m("Get", "net/http.Getter"));
        assert_eq!(without_type_args("main.gen[go.shape.[]int].func1"), "main.gen.func1");
        assert_eq!(split_name("a/b.(*T).M"), ("a/b", "T", "M"));
    }
}
