//! Finding types by the names people write.

use crate::symbols::dwarf::{Dwarf, GoType, TypeKind};
use std::sync::Arc;

/// Import paths of packages that a word may mean: full paths, package names, last elements.
pub(super) fn packages(d: &Dwarf, word: &str) -> Vec<String> {
    let mut v: Vec<String> = d
        .units()
        .iter()
        .filter(|u| u.go)
        .filter(|u| u.name == word || u.package == word || u.name.rsplit('/').next() == Some(word))
        .map(|u| u.name.clone())
        .collect();
    // Without DWARF, and for plugins, the program's own types tell which packages there are.
    let known = |d: &crate::symbols::descriptors::Descriptors| {
        let fits = |p: &&String| p.rsplit('/').next() == Some(word);
        d.packages().iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    if v.is_empty() {
        v.extend(d.all_descriptors().flat_map(known));
    }
    if v.is_empty() || !v.iter().any(|p| p == word) {
        v.insert(0, word.to_string());
    }
    // The exact path first.
    v.sort_by_key(|p| p != word);
    v
}

/// A type by name; unqualified names are looked up in `package` too.
pub(super) fn lookup(d: &Dwarf, name: &str, package: &str) -> Option<Arc<GoType>> {
    let name = name.trim();
    if let Some(elem) = name.strip_prefix('*') {
        let elem = lookup(d, elem, package)?;
        let full = format!("*{}", elem.name);
        return Some(match d.type_by_name(&full) {
            Some(o) => d.go_type(o),
            None => made(full, 8, TypeKind::Pointer { elem: Some(elem.off) }),
        });
    }
    if let Some(elem) = name.strip_prefix("[]") {
        let elem = lookup(d, elem, package)?;
        let full = format!("[]{}", elem.name);
        return Some(match d.type_by_name(&full) {
            Some(o) => d.go_type(o),
            None => made(full, 24, TypeKind::Slice { elem: elem.off }),
        });
    }
    if let Some((n, elem)) = name.strip_prefix('[').and_then(|r| r.split_once(']')) {
        let (count, elem) = (n.parse::<u64>().ok()?, lookup(d, elem, package)?);
        let full = format!("[{count}]{}", elem.name);
        return Some(match d.type_by_name(&full) {
            Some(o) => d.go_type(o),
            None => made(full, elem.size.checked_mul(count)?, TypeKind::Array { elem: elem.off, count }),
        });
    }
    let alias = match name {
        "byte" => "uint8",
        "rune" => "int32",
        "any" => "interface {}",
        n => n,
    };
    let in_package = || d.type_by_name(&format!("{package}.{alias}"));
    let elsewhere = || {
        let base = alias.find('[').unwrap_or(alias.len());
        let dot = alias[..base].rfind('.')?;
        packages(d, &alias[..dot]).iter().find_map(|p| d.type_by_name(&format!("{p}{}", &alias[dot..])))
    };
    let off = in_package().or_else(|| d.type_by_name(alias)).or_else(elsewhere)?;
    Some(d.go_type(off))
}

fn made(name: String, size: u64, kind: TypeKind) -> Arc<GoType> {
    Arc::new(GoType { name, size, kind, ..GoType::default() })
}
