//! `adit goroutines`.

use super::{PAGE, Style, add_read, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, GoroutineQuery, GroupQuery, Reply, Request};
use crate::model::{Goroutine, GoroutineFilter, GoroutineGroup, GroupBy, ReadInfo, TargetInfo};
use std::io::Write;

/// What to list, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goroutines {
    /// Frames of each.
    pub stack: u32,
    /// Pending defers of each.
    pub defers: bool,
    /// The runtime's own, too.
    pub all: bool,
    /// In groups.
    pub group: Option<GroupBy>,
    /// Only those that match; `!text` leaves out those that match.
    pub filter: String,
    /// Text or JSON.
    pub style: Style,
}

/// Lists them; returns the exit code.
pub fn goroutines(
    client: &mut Client,
    target: &TargetInfo,
    args: &Goroutines,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let inverse = args.filter.starts_with('!');
    let text = args.filter.strip_prefix('!').unwrap_or(&args.filter).to_string();
    let filter = GoroutineFilter { system: args.all, text, inverse };
    match args.group {
        Some(by) => groups(client, target, args, filter, by, out)?,
        None => rows(client, target, args, filter, out)?,
    }
    out.flush().map_err(write_failure)?;
    Ok(exit::DONE)
}

fn page(
    client: &mut Client,
    args: &Goroutines,
    filter: &GoroutineFilter,
    start: u64,
) -> Result<(ReadInfo, u64, Vec<Goroutine>), Failure> {
    // Rows with stacks are larger: fewer of them at once.
    let count = PAGE / u64::from(args.stack / 8 + 1);
    let query = GoroutineQuery {
        filter: filter.clone(),
        start,
        count,
        stack: args.stack,
        defers: args.defers,
        names: args.style.json,
    };
    match client.call(Request::Goroutines(query))? {
        Reply::Goroutines { read, total, rows, .. } => Ok((read, total, rows)),
        other => Err(unexpected(&other)),
    }
}

fn rows(
    client: &mut Client,
    target: &TargetInfo,
    args: &Goroutines,
    filter: GoroutineFilter,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (mut read, total, mut rows) = page(client, args, &filter, 0)?;
    let mut buf = Vec::with_capacity(1 << 20);
    let mut json_rows = json::Rows::default();
    let mut table = text::Table::default();
    if args.style.json {
        head(&mut buf, "adit/goroutines/1", target, &read);
        buf.extend_from_slice(b",\"count\":");
        json::number(&mut buf, total);
        buf.extend_from_slice(b",\"goroutines\":[");
    }
    let mut done = 0u64;
    while !rows.is_empty() {
        for g in &rows {
            if args.style.json {
                json::comma(&mut buf, done as usize);
                json_rows.goroutine(&mut buf, g);
            } else {
                table.goroutine(&mut buf, g, args.style.color);
            }
            done += 1;
        }
        out.write_all(&buf).map_err(write_failure)?;
        buf.clear();
        if done >= total {
            break;
        }
        let (more, _, next) = page(client, args, &filter, done)?;
        add_read(&mut read, more, false);
        rows = next;
    }
    if args.style.json {
        buf.extend_from_slice(b"]}\n");
    } else {
        text::summary(&mut buf, done, &read, args.style.color);
    }
    out.write_all(&buf).map_err(write_failure)
}

fn groups(
    client: &mut Client,
    target: &TargetInfo,
    args: &Goroutines,
    filter: GoroutineFilter,
    by: GroupBy,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut buf = Vec::new();
    let mut json_rows = json::Rows::default();
    let mut done = 0u64;
    loop {
        let query = GroupQuery { filter: filter.clone(), by, start: done, count: PAGE };
        let (read, goroutines, hidden, total, groups) = match client.call(Request::Groups(query))? {
            Reply::Groups { read, goroutines, hidden_system, total, groups, .. } => {
                (read, goroutines, hidden_system, total, groups)
            }
            other => return Err(unexpected(&other)),
        };
        if done == 0 && args.style.json {
            head(&mut buf, "adit/goroutines/1", target, &read);
            buf.extend_from_slice(b",\"count\":");
            json::number(&mut buf, goroutines);
            buf.extend_from_slice(b",\"group_by\":");
            json::string(&mut buf, by.name());
            buf.extend_from_slice(b",\"groups\":[");
        }
        for g in &groups {
            if args.style.json {
                json::comma(&mut buf, done as usize);
                group_json(&mut buf, &mut json_rows, g);
            } else {
                text::group(&mut buf, g, by, args.style.color);
            }
            done += 1;
        }
        if groups.is_empty() || done >= total {
            if args.style.json {
                buf.extend_from_slice(b"]}\n");
            } else {
                text::group_summary(&mut buf, goroutines, total, hidden, &read, args.style.color);
            }
            return out.write_all(&buf).map_err(write_failure);
        }
        out.write_all(&buf).map_err(write_failure)?;
        buf.clear();
    }
}

fn group_json(buf: &mut Vec<u8>, rows: &mut json::Rows, g: &GoroutineGroup) {
    buf.extend_from_slice(b"{\"count\":");
    json::number(buf, g.count);
    if !g.label.is_empty() {
        buf.extend_from_slice(b",\"label\":");
        json::string(buf, &g.label);
    }
    if let Some((min, max)) = g.wait_ns {
        for (key, n) in [(",\"wait_ns_min\":", min), (",\"wait_ns_max\":", max)] {
            buf.extend_from_slice(key.as_bytes());
            json::number(buf, n);
        }
    }
    buf.extend_from_slice(b",\"ids\":[");
    for (i, id) in g.ids.iter().enumerate() {
        json::comma(buf, i);
        json::number(buf, id.0);
    }
    buf.extend_from_slice(b"],\"sample\":");
    rows.goroutine(buf, &g.sample);
    buf.push(b'}');
}

/// `{"schema":…,"target":…,"read":…`.
pub(super) fn head(buf: &mut Vec<u8>, schema: &str, target: &TargetInfo, read: &ReadInfo) {
    buf.extend_from_slice(b"{\"schema\":");
    json::string(buf, schema);
    buf.push(b',');
    json::target(buf, target);
    buf.push(b',');
    json::read(buf, read);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::replay::{not_in_script, scripted};
    use crate::base::{GoroutineId, LoadAddr, StopEpoch};
    use crate::model::{CreatedBy, Location};
    use std::sync::Arc;

    fn many(n: u64) -> Client {
        let at = |f: &str| {
            let pc = LoadAddr(0x4a0000);
            Arc::new(Location { function: f.into(), file: "/src/main.go".into(), line: 10, pc })
        };
        let (user, park, main) = (at("main.worker"), at("runtime.gopark"), at("main.main"));
        let reason: Arc<str> = Arc::from("chan receive");
        scripted(Box::new(move |r| {
            let Request::Goroutines(q) = r else { return (not_in_script(r), Vec::new()) };
            let rows = (q.start..(q.start + q.count).min(n))
                .map(|i| Goroutine {
                    id: GoroutineId(i + 1),
                    wait_reason: Some(reason.clone()),
                    wait_ns: Some(123),
                    at: park.clone(),
                    user: user.clone(),
                    created_by: Some(CreatedBy { at: main.clone(), goroutine: GoroutineId(1) }),
                    ..Goroutine::default()
                })
                .collect();
            (Ok(Reply::Goroutines { epoch: StopEpoch(1), read: ReadInfo::default(), total: n, rows }), Vec::new())
        }))
    }

    #[test]
    fn json_is_the_contracts() {
        let args = Goroutines { style: Style { json: true, color: false }, ..Goroutines::default() };
        let target = TargetInfo {
            pid: Some(1),
            exe: "/x".into(),
            go: "go1.26.6".into(),
            arch: "amd64".into(),
            ..TargetInfo::default()
        };
        let mut out = Vec::new();
        goroutines(&mut many(1), &target, &args, &mut out).expect("listed");
        let loc = |f: &str| format!(r#""function":"{f}","file":"/src/main.go","line":10,"pc":"0x4a0000""#);
        let want = format!(
            concat!(
                r#"{{"schema":"adit/goroutines/1","target":{{"kind":"process","pid":1,"exe":"/x","go":"go1.26.6","arch":"amd64","#,
                r#""stripped":false,"optimised":false}},"read":{{"mode":"observed","pause_us":0,"retries":0,"took_us":0}},"count":1,"#,
                r#""goroutines":[{{"id":1,"state":"waiting","wait_reason":"chan receive","wait_ns":123,"system":false,"#,
                r#""at":{{{}}},"user":{{{}}},"created_by":{{{},"goroutine":1}}}}]}}"#,
                "\n"
            ),
            loc("runtime.gopark"),
            loc("main.worker"),
            loc("main.main")
        );
        assert_eq!(String::from_utf8(out).expect("utf-8"), want);
    }

    #[test]
    fn a_hundred_thousand_come_page_by_page() {
        let args = Goroutines { style: Style { json: true, color: false }, ..Goroutines::default() };
        let mut out = Vec::new();
        goroutines(&mut many(100_000), &TargetInfo::default(), &args, &mut out).expect("listed");
        let v: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(v["goroutines"].as_array().map(Vec::len), Some(100_000));
        assert_eq!(v["count"], 100_000);
    }
}
