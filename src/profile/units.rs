//! Values as a person reads them.

use crate::base::text::thousands;

/// A value with its unit: `1.20s`, `512.03kB`, `1,842`.
pub fn human(value: i64, unit: &str) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let n = value.unsigned_abs();
    let text = match unit {
        "nanoseconds" => time(n as f64),
        "microseconds" => time(n as f64 * 1e3),
        "milliseconds" => time(n as f64 * 1e6),
        "seconds" => time(n as f64 * 1e9),
        "bytes" => bytes(n as f64),
        _ => thousands(n),
    };
    format!("{sign}{text}")
}

/// As [`human`], with a sign for what grew.
pub fn signed(value: i64, unit: &str) -> String {
    if value > 0 { format!("+{}", human(value, unit)) } else { human(value, unit) }
}

fn steps(n: f64, of: &[(f64, &str)]) -> String {
    for (size, name) in of {
        if n >= *size {
            let v = n / size;
            return if v >= 1000.0 || v.fract() == 0.0 && v >= 1.0 && *size == 1.0 {
                format!("{v:.0}{name}")
            } else {
                format!("{v:.2}{name}")
            };
        }
    }
    format!("{n:.0}")
}

fn time(ns: f64) -> String {
    steps(ns, &[(3600e9, "h"), (60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")])
}

fn bytes(n: f64) -> String {
    const K: f64 = 1024.0;
    steps(n, &[(K * K * K, "GB"), (K * K, "MB"), (K, "kB"), (1.0, "B")])
}

/// `12.3%`; nothing of nothing.
pub fn percent(part: i64, whole: i64) -> String {
    if whole == 0 {
        return "0%".into();
    }
    let p = part as f64 * 100.0 / whole as f64;
    if p.abs() >= 99.95 { format!("{p:.0}%") } else { format!("{p:.2}%") }
}

/// By how much something changed: `+120%`, `-3%`; `new` and `gone` where there is nothing to compare with.
pub fn change(base: i64, new: i64) -> String {
    match (base, new) {
        (b, n) if b == n => "0%".into(),
        (0, _) => "new".into(),
        (_, 0) => "gone".into(),
        (b, n) => {
            let p = (n as f64 - b as f64) * 100.0 / (b as f64).abs();
            if p.abs() < 0.05 {
                "0%".into()
            } else if p.abs() >= 9.95 {
                format!("{p:+.0}%")
            } else {
                format!("{p:+.1}%")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        for (v, unit, want) in [
            (1_200_000_000, "nanoseconds", "1.20s"),
            (10_000_000, "nanoseconds", "10.00ms"),
            (-7, "nanoseconds", "-7ns"),
            (0, "nanoseconds", "0"),
            (524_312, "bytes", "512.02kB"),
            (100, "bytes", "100B"),
            (1_234_567, "count", "1,234,567"),
        ] {
            assert_eq!(human(v, unit), want);
        }
        assert_eq!(change(100_000, 99_999), "0%");
        assert_eq!((percent(1, 3), percent(3, 3), percent(1, 0)), ("33.33%".into(), "100%".into(), "0%".into()));
        assert_eq!((change(10, 22), change(0, 5), change(100, 97)), ("+120%".into(), "new".into(), "-3.0%".into()));
    }
}
