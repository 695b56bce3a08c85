//! Styles by kind of thing, reduced to the colours that the terminal has.

use crate::config::theme::{StyleSpec, ThemeFile};
use ratatui::style::{Color, Modifier, Style};
use rustc_hash::FxHashMap;

/// Colours that a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// 24 bits.
    True,
    /// xterm's 256.
    Indexed,
    /// The 16 ANSI names.
    Ansi,
    /// None: attributes only.
    Mono,
}

/// What `--color` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// As the environment says.
    #[default]
    Auto,
    /// No colours.
    Never,
    /// As many as the terminal says it has, `NO_COLOR` or not.
    Always,
    /// 24 bits.
    True,
    /// 256.
    Indexed,
    /// 16.
    Ansi,
}

impl Palette {
    /// The palette for a choice and an environment.
    pub fn choose(choice: ColorChoice, low_bandwidth: bool, env: impl Fn(&str) -> Option<String>) -> Palette {
        let set = |k: &str| env(k).filter(|v| !v.is_empty());
        match choice {
            ColorChoice::Never => return Palette::Mono,
            ColorChoice::True => return Palette::True,
            ColorChoice::Indexed => return Palette::Indexed,
            ColorChoice::Ansi => return Palette::Ansi,
            ColorChoice::Auto if set("NO_COLOR").is_some() => return Palette::Mono,
            ColorChoice::Auto | ColorChoice::Always => {}
        }
        let term = set("TERM").unwrap_or_default();
        if term == "dumb" || term == "vt100" || term == "vt220" {
            return Palette::Mono;
        }
        if low_bandwidth || term == "linux" {
            return Palette::Ansi;
        }
        match set("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Palette::True,
            _ if term.contains("direct") => Palette::True,
            _ if term.contains("256") || set("COLORTERM").is_some() => Palette::Indexed,
            _ => Palette::Ansi,
        }
    }
}

/// A theme, ready for use.
#[derive(Clone, Debug)]
pub struct Theme {
    /// Its name.
    pub name: String,
    styles: FxHashMap<String, Style>,
}

impl Theme {
    /// A shipped theme with the user's file over it, in the colours that there are. Problems in words.
    pub fn build(name: &str, user: Option<&ThemeFile>, palette: Palette) -> (Theme, Vec<String>) {
        let mut problems = Vec::new();
        let base = crate::config::theme::shipped(name).or_else(|| {
            problems.push(format!("no theme {name}; using dark"));
            crate::config::theme::shipped("dark")
        });
        let mut file = base.unwrap_or_default();
        if let Some(u) = user.filter(|u| u.name.is_empty() || u.name == file.name) {
            for (k, v) in &u.styles {
                if file.styles.insert(k.clone(), v.clone()).is_none() {
                    problems.push(format!("theme.toml: nothing is called {k}"));
                }
            }
        }
        let mut styles = FxHashMap::default();
        for (k, spec) in &file.styles {
            match style(spec, palette) {
                Ok(s) => {
                    styles.insert(k.clone(), s);
                }
                Err(e) => problems.push(format!("theme {}: {k}: {e}", file.name)),
            }
        }
        (Theme { name: file.name, styles }, problems)
    }

    /// The style of a kind of thing.
    pub fn get(&self, what: &str) -> Style {
        self.styles.get(what).copied().unwrap_or_default()
    }
}

fn style(spec: &StyleSpec, palette: Palette) -> Result<Style, String> {
    let mut s = Style::default();
    if let Some(c) = &spec.fg {
        s.fg = reduce(color(c)?, palette);
    }
    if let Some(c) = &spec.bg {
        s.bg = match reduce(color(c)?, palette) {
            // With 16 colours a fill would fight with the user's own: reverse instead.
            Some(_) if palette == Palette::Ansi && c.starts_with('#') => {
                s = s.add_modifier(Modifier::REVERSED);
                None
            }
            None => {
                s = s.add_modifier(Modifier::REVERSED);
                None
            }
            c => c,
        };
    }
    for (on, m) in [
        (spec.bold, Modifier::BOLD),
        (spec.dim, Modifier::DIM),
        (spec.italic, Modifier::ITALIC),
        (spec.underline, Modifier::UNDERLINED),
        (spec.reverse, Modifier::REVERSED),
    ] {
        if on {
            s = s.add_modifier(m);
        }
    }
    Ok(s)
}

const NAMES: [(&str, Color); 16] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("gray", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("white", Color::White),
];

/// xterm's defaults for the 16 names, to find the nearest.
const RGB: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

fn color(text: &str) -> Result<Color, String> {
    if let Some(hex) = text.strip_prefix('#') {
        let n = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6);
        let n = n.ok_or_else(|| format!("{text} is not #rrggbb"))?;
        return Ok(Color::Rgb((n >> 16) as u8, (n >> 8) as u8, n as u8));
    }
    if let Ok(n) = text.parse::<u8>() {
        return Ok(Color::Indexed(n));
    }
    let name = text.replace("light-", "bright-");
    NAMES.iter().find(|(n, _)| *n == name).map(|(_, c)| *c).ok_or_else(|| format!("{text} is not a colour"))
}

/// The nearest colour of a palette; none in mono.
fn reduce(c: Color, palette: Palette) -> Option<Color> {
    match (palette, c) {
        (Palette::Mono, _) => None,
        (Palette::True, c) => Some(c),
        (Palette::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_256(r, g, b))),
        (Palette::Indexed, c) => Some(c),
        (Palette::Ansi, Color::Rgb(r, g, b)) => Some(nearest_16(r, g, b)),
        (Palette::Ansi, Color::Indexed(n)) => {
            Some(NAMES.get(n as usize).map_or(Color::Reset, |(_, c)| *c)).filter(|c| *c != Color::Reset)
        }
        (Palette::Ansi, c) => Some(c),
    }
}

fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    let level = |v: u8| [0u8, 95, 135, 175, 215, 255].iter().enumerate().min_by_key(|(_, l)| l.abs_diff(v));
    let at = |v: u8| level(v).map_or((0, 0), |(i, l)| (i as u8, *l));
    let ((ri, rl), (gi, gl), (bi, bl)) = (at(r), at(g), at(b));
    let cube = 16 + 36 * ri + 6 * gi + bi;
    let mean = (r as u32 + g as u32 + b as u32) / 3;
    let gray = mean.saturating_sub(3).min(230) / 10;
    let gl8 = (8 + 10 * gray) as u8;
    if distance((r, g, b), (gl8, gl8, gl8)) < distance((r, g, b), (rl, gl, bl)) { 232 + gray as u8 } else { cube }
}

fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    // By hue: pale colours of a theme must not all become white.
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max - min < 32 {
        return match max {
            0..=63 => Color::Black,
            64..=170 => Color::DarkGray,
            _ => Color::Gray,
        };
    }
    let stretch = |v: u8| (((v - min) as u32 * 205) / (max - min) as u32) as u8;
    let c = (stretch(r), stretch(g), stretch(b));
    let i = (1..7).min_by_key(|i| distance(c, RGB[*i])).unwrap_or(7);
    NAMES[i].1
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let d = |x: u8, y: u8| (x.abs_diff(y) as u32).pow(2);
    d(a.0, b.0) + d(a.1, b.1) + d(a.2, b.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |k: &str| pairs.iter().find(|(n, _)| *n == k).map(|(_, v)| v.to_string())
        };
        let auto = |e| Palette::choose(ColorChoice::Auto, false, env(e));
        assert_eq!(auto(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Palette::True);
        assert_eq!(auto(&[("TERM", "xterm-256color")]), Palette::Indexed);
        assert_eq!(auto(&[("TERM", "xterm"), ("NO_COLOR", "1")]), Palette::Mono);
        assert_eq!(auto(&[("TERM", "xterm"), ("NO_COLOR", "")]), Palette::Ansi);
        assert_eq!(auto(&[("TERM", "dumb")]), Palette::Mono);
    }
    #[test]
    fn every_theme_builds_in_every_palette() {
        for (name, _) in crate::config::theme::SHIPPED {
            for p in [Palette::True, Palette::Indexed, Palette::Ansi, Palette::Mono] {
                let (t, problems) = Theme::build(name, None, p);
                assert!(problems.is_empty(), "{name}: {problems:?}");
                if p == Palette::Mono {
                    assert!(t.styles.values().all(|s| s.fg.is_none() && s.bg.is_none()), "{name}");
                }
            }
        }
    }
    #[test]
    fn pale_colours_keep_their_hue() {
        assert_eq!(nearest_16(0xa3, 0xbe, 0x8c), Color::Green);
        assert_eq!(nearest_16(0xe0, 0x69, 0x7a), Color::Red);
    }
}
