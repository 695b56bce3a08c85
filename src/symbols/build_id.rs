//! Build ids: the GNU one that files share with their debug files, and Go's own.

use super::image::Image;
use crate::base::Cursor;
use crate::base::text::hex;

/// Ids by which a file is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildIds {
    /// `.note.gnu.build-id`, lower-case hex; empty when absent.
    pub gnu: String,
    /// `.note.go.buildid`; empty when absent.
    pub go: String,
}

impl BuildIds {
    /// Reads both notes.
    pub fn read(image: &Image) -> BuildIds {
        let note = |name: &str| {
            let s = image.section(name)?;
            desc(image.bytes().get(s.file.clone())?)
        };
        BuildIds {
            gnu: note(".note.gnu.build-id").map_or_else(String::new, hex),
            go: note(".note.go.buildid").map_or_else(String::new, |d| String::from_utf8_lossy(d).into_owned()),
        }
    }
}

/// Description of the first note in a note section.
fn desc(data: &[u8]) -> Option<&[u8]> {
    let mut c = Cursor::new(data);
    let namesz = c.u32().ok()? as usize;
    let descsz = c.u32().ok()? as usize;
    c.u32().ok()?;
    c.take(namesz.checked_next_multiple_of(4)?).ok()?;
    c.take(descsz).ok()
}
