//! A flame graph as one SVG file: nothing outside it is needed, every box says in full what it is.

use super::flame::{flame, widths};
use super::tree::ROOT;
use super::units::{change, human, percent};
use super::view::View;
use crate::base::text::printable_str;
use crate::model::FlameCell;
use std::io::{self, Write};

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 17.0;
const HEAD: f64 = 34.0;
/// Columns: boxes of less than half a unit are folded.
const COLUMNS: u32 = 2_400;
/// Levels drawn.
const DEPTH: u32 = 250;
/// Width of a letter of the font that is asked for.
const LETTER: f64 = 6.6;

/// Writes the flame graph of a view, root on top; of a compared one, red has more than before and blue less.
pub fn write(v: &View, title: &str, out: &mut dyn Write) -> io::Result<()> {
    let f = flame(v, &widths(v), ROOT, COLUMNS, DEPTH, &[]);
    let levels = f.cells.iter().map(|c| c.depth).max().unwrap_or(0) + 1;
    let height = HEAD + f64::from(levels) * ROW + 8.0;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"monospace\" font-size=\"11\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fdfdfd\"/>")?;
    let total = v.selected();
    let unit = &v.kind.unit;
    let sum = if v.compared {
        format!("{} to {} ({})", human(total.base, unit), human(total.new, unit), change(total.base, total.new))
    } else {
        human(total.new, unit)
    };
    let head = escape(&format!("{title}: {} {sum}", v.kind.name));
    writeln!(out, "<text x=\"{}\" y=\"22\" text-anchor=\"middle\" font-size=\"14\">{head}</text>", WIDTH / 2.0)?;
    let scale = if f.width == 0 { 0.0 } else { WIDTH / f.width as f64 };
    for c in &f.cells {
        draw(out, v, c, scale)?;
    }
    writeln!(out, "</svg>")
}

fn draw(out: &mut dyn Write, v: &View, c: &FlameCell, scale: f64) -> io::Result<()> {
    let (x, w) = (c.start as f64 * scale, c.width as f64 * scale);
    let y = HEAD + f64::from(c.depth) * ROW;
    let unit = &v.kind.unit;
    let name = match c.folded {
        0 => printable_str(&c.name, 300),
        n => format!("{n} narrow ones"),
    };
    let value = if v.compared {
        let p = c.value;
        format!("{} to {} ({})", human(p.base, unit), human(p.new, unit), change(p.base, p.new))
    } else {
        format!("{}, {}", human(c.value.new, unit), percent(c.value.new, v.selected().new))
    };
    let room = (w / LETTER) as usize;
    write!(
        out,
        "<g><title>{}</title><rect x=\"{x:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\" rx=\"1\"/>",
        escape(&format!("{name} ({value})")),
        (w - 0.4).max(0.2),
        ROW - 1.0,
        if v.compared { changed(c) } else { colour(c) },
    )?;
    if room >= 4 {
        let short = short_name(&name);
        let text: String = if short.chars().count() < room {
            short.into()
        } else {
            short.chars().take(room - 2).chain(['…']).collect()
        };
        write!(out, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 3.0, y + 12.0, escape(&text))?;
    }
    writeln!(out, "</g>")
}

/// `(*Cart).Total` and its package, without the path to it.
fn short_name(name: &str) -> &str {
    let head = name.find(['(', '[']).unwrap_or(name.len());
    name[..head].rfind('/').map_or(name, |i| &name[i + 1..])
}

/// The same name has the same warm colour in every graph.
fn colour(c: &FlameCell) -> String {
    if c.folded > 0 {
        return "#d8d8d8".into();
    }
    let h = c.name.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("#{:02x}{:02x}{:02x}", 220 + (h % 32), 120 + (h >> 8) % 96, 60 + (h >> 16) % 48)
}

/// Red for more, blue for less, the paler the smaller the change is against the larger of both.
fn changed(c: &FlameCell) -> String {
    let weight = c.value.weight();
    if weight == 0 || c.value.change() == 0 {
        return "#eeeeee".into();
    }
    let part = c.value.change() as f64 / weight as f64;
    let pale = (235.0 - 155.0 * part.abs().min(1.0)) as u8;
    if part > 0.0 { format!("#f5{pale:02x}{pale:02x}") } else { format!("#{pale:02x}{pale:02x}f5") }
}

/// Text for XML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::calls::Builder;
    use crate::profile::folded;
    use crate::profile::view::Selection;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut b = Builder::new();
        folded::read("main;<script>&\"\u{1b}[2J 3\nmain;f 1\n".as_bytes(), &mut b).expect("read");
        b.begin_base();
        folded::read("main;f 2\n".as_bytes(), &mut b).expect("read");
        let mut out = Vec::new();
        write(&View::new(&b.finish(), &Selection::default()), "a<b", &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(
            !text.contains("<script") && !text.contains('\u{1b}') && text.contains("&lt;script&gt;&amp;&quot;"),
            "{text}"
        );
        assert!(text.contains("a&lt;b: samples 2 to 4 (+100%)") && text.contains("#f5"), "{text}");
        assert_eq!(text.matches("<g>").count(), text.matches("</g>").count());
    }
}
