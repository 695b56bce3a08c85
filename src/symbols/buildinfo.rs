//! Go build info: version, main package, module list and build settings, also in stripped files.

use super::image::Image;
use crate::base::{Cursor, GoVersion};

const MAGIC: &[u8; 14] = b"\xff Go buildinf:";
/// The module text stands between two 16-byte marks.
const SENTINEL: usize = 16;

/// What `go version -m` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// Toolchain.
    pub version: GoVersion,
    /// Import path of the main package.
    pub path: String,
    /// Main module and its version.
    pub module: Option<(String, String)>,
    /// Dependencies and their versions (replacements applied).
    pub deps: Vec<(String, String)>,
    /// Replaced dependencies: path and version, by which path and version.
    pub replaced: Vec<[String; 4]>,
    /// `build` lines: `-gcflags`, `CGO_ENABLED`, `vcs.revision`…
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    /// Finds and reads it; none for a program that is not Go's.
    pub fn read(image: &Image) -> Option<BuildInfo> {
        let data: &[u8] = image.bytes();
        if let Some(s) = image.section(".go.buildinfo")
            && let Some(info) = BuildInfo::parse(data.get(s.file.clone())?)
        {
            return Some(info);
        }
        // Without section headers it is at a 16-byte boundary of a writable segment.
        image.segments().iter().filter(|s| s.write).find_map(|s| {
            let seg = data.get(s.offset as usize..(s.offset + s.file_size) as usize)?;
            (0..seg.len()).step_by(16).find(|&i| seg[i..].starts_with(MAGIC)).and_then(|i| BuildInfo::parse(&seg[i..]))
        })
    }

    fn parse(data: &[u8]) -> Option<BuildInfo> {
        if !data.starts_with(MAGIC) || data.get(15)? & 2 == 0 {
            return None;
        }
        let mut c = Cursor::at(data, 32);
        let n = c.uvarint().ok()? as usize;
        let version = GoVersion::parse(&String::from_utf8_lossy(c.take(n).ok()?));
        let n = c.uvarint().ok()? as usize;
        let text = c.take(n).ok()?;
        let mut info = BuildInfo { version, ..BuildInfo::default() };
        if let Some(text) = text.get(SENTINEL..text.len().saturating_sub(SENTINEL)) {
            info.read_lines(&String::from_utf8_lossy(text));
        }
        Some(info)
    }

    fn read_lines(&mut self, text: &str) {
        for line in text.lines() {
            let mut f = line.split('\t');
            let key = f.next().unwrap_or("");
            let a = f.next().unwrap_or("").to_string();
            let b = f.next().unwrap_or("").to_string();
            match key {
                "path" => self.path = a,
                "mod" => self.module = Some((a, b)),
                "dep" => self.deps.push((a, b)),
                "=>" => {
                    if let Some(last) = self.deps.last_mut() {
                        self.replaced.push([last.0.clone(), last.1.clone(), a.clone(), b.clone()]);
                        *last = (a, b);
                    }
                }
                "build" => {
                    let (k, v) = a.split_once('=').unwrap_or((&a, ""));
                    self.settings.push((k.to_string(), unquote(v)));
                }
                _ => {}
            }
        }
    }

    /// A `build` setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// Settings with odd characters are Go string literals.
fn unquote(v: &str) -> String {
    match v.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => v.trim_matches('`').to_string(),
    }
}
