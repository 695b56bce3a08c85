//! Floor 4: profiles: values by stack, what they sum up to, how two of them differ.
//!
//! It draws nothing and fetches nothing: bytes come in, plain data goes out.

pub mod oncpu;

use crate::model::Profile;

/// Sum of one kind of value over all samples.
pub fn total(p: &Profile, kind: usize) -> i64 {
    let n = p.kinds.len().max(1);
    p.values.iter().skip(kind).step_by(n).fold(0, |a, b| a.saturating_add(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_of_one_kind() {
        let kinds = vec![crate::model::ValueKind::default(); 2];
        let p = Profile { kinds, values: vec![1, 10, 2, 20], ..Profile::default() };
        assert_eq!((total(&p, 0), total(&p, 1)), (3, 30));
    }
}
