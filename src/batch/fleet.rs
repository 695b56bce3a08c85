//! Several programs of one kind (the pods of a deployment) at once: goroutines grouped across them, findings with the pod's name.

use super::{PAGE, Style, diagnose, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{DiagnoseQuery, Failure, GroupQuery, Reply, Request};
use crate::base::text::{printable_str, thousands};
use crate::model::{
    Diagnosis, FindingClass, Goroutine, GoroutineFilter, GoroutineGroup, GroupBy, ReadInfo, TargetInfo,
};
use std::collections::HashMap;
use std::io::Write;

/// Rows of groups in text.
const ROWS: usize = 40;

/// What was seen of one.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The program.
    pub target: TargetInfo,
    /// How it was read.
    pub read: ReadInfo,
    /// Its goroutines, the runtime's own left out.
    pub goroutines: u64,
    /// In groups.
    pub groups: Vec<GoroutineGroup>,
    /// What is wrong with it, if that was asked.
    pub diagnosis: Option<Diagnosis>,
    /// Where a copy of it is, and the file's length, if one was made.
    pub file: Option<(String, u64)>,
}

/// One of several.
#[derive(Debug)]
pub struct Replica {
    /// Its name.
    pub pod: String,
    /// How it was looked at.
    pub way: &'static str,
    /// What was seen, or why nothing.
    pub seen: Result<Seen, Failure>,
}

/// Looks at one: its groups, and its diagnosis where `diagnosed` says how.
///
/// # Errors
/// The host refuses.
pub fn look(client: &mut Client, target: &TargetInfo, diagnosed: Option<DiagnoseQuery>) -> Result<Seen, Failure> {
    let mut groups = Vec::new();
    let (mut read, goroutines) = loop {
        let start = groups.len() as u64;
        let query = GroupQuery { filter: GoroutineFilter::default(), by: GroupBy::User, start, count: PAGE };
        match client.call(Request::Groups(query))? {
            Reply::Groups { read: r, goroutines: n, total, groups: more, .. } => {
                let none = more.is_empty();
                groups.extend(more);
                if none || groups.len() as u64 >= total {
                    break (r, n);
                }
            }
            other => return Err(unexpected(&other)),
        }
    };
    let diagnosis = match diagnosed {
        None => None,
        Some(q) => match client.call(Request::Diagnose(q))? {
            Reply::Diagnosis { diagnosis, read: r, .. } => {
                read = r;
                Some(*diagnosis)
            }
            other => return Err(unexpected(&other)),
        },
    };
    Ok(Seen { target: target.clone(), read, goroutines, groups, diagnosis, file: None })
}

/// Goroutines that do the same in several programs.
struct Across<'a> {
    sample: &'a Goroutine,
    count: u64,
    /// By index of the replica.
    pods: Vec<(usize, u64)>,
}

fn across(all: &[Replica]) -> Vec<Across<'_>> {
    let mut found: Vec<Across<'_>> = Vec::new();
    // What two processes have in common is where they are and what they wait for.
    let mut at: HashMap<(&str, u32, String), usize> = HashMap::new();
    for (i, r) in all.iter().enumerate() {
        for g in r.seen.iter().flat_map(|s| &s.groups) {
            let s = &g.sample;
            let key = (s.user.function.as_ref(), s.user.line, text::state(s));
            let n = *at.entry(key).or_insert_with(|| {
                found.push(Across { sample: s, count: 0, pods: Vec::new() });
                found.len() - 1
            });
            let a = &mut found[n];
            a.count += g.count;
            match a.pods.last_mut().filter(|p| p.0 == i) {
                Some(p) => p.1 += g.count,
                None => a.pods.push((i, g.count)),
            }
        }
    }
    for a in &mut found {
        a.pods.sort_by_key(|p| (std::cmp::Reverse(p.1), p.0));
    }
    found.sort_by_key(|a| std::cmp::Reverse(a.count));
    found
}

/// Tells of all of them. The exit code: that nothing was seen of one; else whether one has a finding at or above `min`.
///
/// # Errors
/// It cannot be written.
pub fn fleet(all: &[Replica], min: FindingClass, style: Style, out: &mut dyn Write) -> Result<u8, Failure> {
    let mut b = Vec::new();
    match style.json {
        true => as_json(&mut b, all),
        false => as_text(&mut b, all, style.color),
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    let findings = |s: &Seen| s.diagnosis.iter().flat_map(|d| &d.findings).any(|f| f.class >= min);
    Ok(match all.iter().any(|r| r.seen.is_err()) {
        true => exit::OPEN,
        false if all.iter().flat_map(|r| &r.seen).any(findings) => exit::FINDINGS,
        false => exit::DONE,
    })
}

fn as_json(b: &mut Vec<u8>, all: &[Replica]) {
    b.extend_from_slice(b"{\"schema\":\"adit/k8s/1\",\"pods\":[");
    for (i, r) in all.iter().enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"pod\":");
        json::string(b, &r.pod);
        if !r.way.is_empty() {
            b.extend_from_slice(b",\"way\":");
            json::string(b, r.way);
        }
        b.push(b',');
        match &r.seen {
            Err(f) => json::error(b, f),
            Ok(s) => {
                json::target(b, &s.target);
                b.push(b',');
                json::read(b, &s.read);
                b.extend_from_slice(b",\"goroutines\":");
                json::number(b, s.goroutines);
                if let Some((file, len)) = &s.file {
                    b.extend_from_slice(b",\"file\":");
                    json::string(b, file);
                    b.extend_from_slice(b",\"file_bytes\":");
                    json::number(b, *len);
                }
                if let Some(d) = &s.diagnosis {
                    b.extend_from_slice(b",\"findings\":[");
                    for (i, f) in d.findings.iter().enumerate() {
                        json::comma(b, i);
                        diagnose::finding_json(b, f);
                    }
                    b.push(b']');
                }
            }
        }
        b.push(b'}');
    }
    b.extend_from_slice(b"],\"groups\":[");
    let mut rows = json::Rows::default();
    for (i, a) in across(all).iter().enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"count\":");
        json::number(b, a.count);
        b.extend_from_slice(b",\"pods\":[");
        for (i, (pod, n)) in a.pods.iter().enumerate() {
            json::comma(b, i);
            b.extend_from_slice(b"{\"pod\":");
            json::string(b, &all[*pod].pod);
            b.extend_from_slice(b",\"count\":");
            json::number(b, *n);
            b.push(b'}');
        }
        b.extend_from_slice(b"],\"sample\":");
        rows.goroutine(b, a.sample);
        b.push(b'}');
    }
    b.extend_from_slice(b"]}\n");
}

fn as_text(b: &mut Vec<u8>, all: &[Replica], color: bool) {
    let (bold, end) = if color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    for r in all {
        let name = printable_str(&r.pod, 253);
        match &r.seen {
            Err(f) => {
                text::line(b, &format!("{name}: not looked at: {}", f.message));
                if let Some(fix) = &f.fix {
                    text::line(b, &format!("       fix: {fix}"));
                }
            }
            Ok(s) => {
                for f in s.diagnosis.iter().flat_map(|d| &d.findings) {
                    b.extend_from_slice(format!("{bold}{name}{end}  ").as_bytes());
                    diagnose::finding_text(b, f, color);
                }
                if let Some((file, len)) = &s.file {
                    let mib = len.div_ceil(1 << 20);
                    let stood = s.read.pause_us as f64 / 1e3;
                    text::line(b, &format!("{name}: {file}: {mib} MiB, the process stood for {stood:.1} ms"));
                }
            }
        }
    }
    let groups = across(all);
    for a in groups.iter().take(ROWS) {
        let pods: Vec<String> =
            a.pods.iter().map(|(i, n)| format!("{} on {}", thousands(*n), printable_str(&all[*i].pod, 253))).collect();
        let place = text::place(&a.sample.user);
        let row = format!("{:>9}  {:<18} {place:<44} {}", thousands(a.count), text::state(a.sample), pods.join(", "));
        text::line(b, &row);
    }
    if groups.len() > ROWS {
        text::line(b, &format!("           … {} more groups (--json has them)", groups.len() - ROWS));
    }
    let seen = all.iter().filter(|r| r.seen.is_ok()).count();
    let goroutines: u64 = all.iter().flat_map(|r| &r.seen).map(|s| s.goroutines).sum();
    let findings: usize =
        all.iter().flat_map(|r| &r.seen).filter_map(|s| Some(s.diagnosis.as_ref()?.findings.len())).sum();
    let diagnosed = all.iter().flat_map(|r| &r.seen).any(|s| s.diagnosis.is_some());
    let found = if diagnosed { format!(", {findings} findings") } else { String::new() };
    let of = if seen == all.len() { String::new() } else { format!(" of {}", all.len()) };
    let pods = if all.len() == 1 { "pod" } else { "pods" };
    text::line(
        b,
        &format!("{} goroutines on {seen}{of} {pods}, {} groups{found}", thousands(goroutines), groups.len()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::protocol::FailureKind;
    use crate::base::LoadAddr;
    use crate::model::Location;
    use std::sync::Arc;

    fn group(f: &str, line: u32, count: u64) -> GoroutineGroup {
        let user = Arc::new(Location { function: f.into(), file: "/s/a.go".into(), line, pc: LoadAddr(1) });
        let sample =
            Goroutine { user: user.clone(), at: user, wait_reason: Some("select".into()), ..Goroutine::default() };
        GoroutineGroup { key: 0, label: String::new(), count, wait_ns: None, sample, ids: Vec::new() }
    }

    fn replica(pod: &str, groups: Vec<GoroutineGroup>) -> Replica {
        let goroutines = groups.iter().map(|g| g.count).sum();
        let seen = Seen {
            target: TargetInfo::default(),
            read: ReadInfo::default(),
            goroutines,
            groups,
            diagnosis: None,
            file: None,
        };
        Replica { pod: pod.into(), way: "debug", seen: Ok(seen) }
    }

    fn all() -> Vec<Replica> {
        vec![
            replica("a", vec![group("main.leak", 7, 12), group("main.main", 1, 1)]),
            replica("b", vec![group("main.leak", 7, 1842), group("main.leak", 9, 2)]),
            Replica { pod: "c".into(), way: "", seen: Err(Failure::new(FailureKind::Permission, "no").fix("ask")) },
        ]
    }

    #[test]
    fn groups_across_pods() {
        let mut out = Vec::new();
        let code = fleet(&all(), FindingClass::Strong, Style::default(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("1,842 on b, 12 on a"), "{text}");
        assert!(text.contains("c: not looked at: no\n       fix: ask"), "{text}");
        assert!(text.ends_with("1,857 goroutines on 2 of 3 pods, 3 groups\n"), "{text}");
        assert_eq!(code, exit::OPEN);
    }

    #[test]
    fn as_json() {
        let mut out = Vec::new();
        fleet(&all(), FindingClass::Strong, Style { json: true, color: false }, &mut out).expect("written");
        let v: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(v["groups"][0]["count"], 1854);
        assert_eq!(v["groups"][0]["pods"][0], serde_json::json!({"pod": "b", "count": 1842}));
        assert_eq!(v["pods"][2]["error"]["fix"], "ask");
        assert_eq!(v["pods"][1]["goroutines"], 1844);
    }
}
