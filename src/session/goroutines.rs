//! The goroutine list as a window: however many there are, only rows that can be seen are asked for.

use crate::backend::protocol::{GoroutineQuery, GroupQuery, Request};
use crate::base::GoroutineId;
use crate::model::{Goroutine, GoroutineFilter, GoroutineGroup, GroupBy, ReadInfo};

/// What the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Groups, largest first.
    Groups(GroupBy),
    /// Goroutines of one group.
    Members {
        /// The grouping.
        by: GroupBy,
        /// The group.
        key: u64,
        /// Its name, for the title.
        title: String,
    },
    /// All goroutines by id.
    Flat,
    /// These.
    Ids {
        /// Which.
        ids: Vec<GoroutineId>,
        /// What they have in common, for the title.
        title: String,
        /// How many there are; not all ids may be known.
        of: u64,
    },
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// A group.
    Group(&'a GoroutineGroup),
    /// A goroutine.
    Goroutine(&'a Goroutine),
}

#[derive(Clone, Debug)]
enum Rows {
    Groups(Vec<GoroutineGroup>),
    Goroutines(Vec<Goroutine>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Groups(v) => v.len(),
            Rows::Goroutines(v) => v.len(),
        }
    }
}

/// Where a list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is listed.
    pub listing: Listing,
    /// Which goroutines.
    pub filter: GoroutineFilter,
    top: u64,
    cursor: u64,
    back: Option<(GroupBy, u64, u64)>,
}

/// Rows that are here, and what they answer.
struct Page {
    generation: u64,
    start: u64,
    rows: Rows,
}

/// The list's state: what is listed, where the window is, and the rows that are here.
pub struct GoroutineList {
    /// What the rows are.
    pub listing: Listing,
    /// Which goroutines.
    pub filter: GoroutineFilter,
    /// First row on the screen.
    pub top: u64,
    /// The row under the cursor.
    pub cursor: u64,
    /// Rows of the listing.
    pub total: u64,
    /// Goroutines that the listing is about.
    pub goroutines: u64,
    /// The runtime's own, left out.
    pub hidden_system: u64,
    /// How the rows were read.
    pub read: ReadInfo,
    /// Why there are none.
    pub failure: Option<String>,
    back: Option<(GroupBy, u64, u64)>,
    page: Option<Page>,
}

impl Default for GoroutineList {
    fn default() -> Self {
        GoroutineList {
            listing: Listing::Groups(GroupBy::User),
            filter: GoroutineFilter::default(),
            top: 0,
            cursor: 0,
            total: 0,
            goroutines: 0,
            hidden_system: 0,
            read: ReadInfo::default(),
            failure: None,
            back: None,
            page: None,
        }
    }
}

impl GoroutineList {
    /// The row at an index, if it is here.
    pub fn row(&self, index: u64) -> Option<Row<'_>> {
        let page = self.page.as_ref()?;
        let i = usize::try_from(index.checked_sub(page.start)?).ok()?;
        match &page.rows {
            Rows::Groups(v) => v.get(i).map(Row::Group),
            Rows::Goroutines(v) => v.get(i).map(Row::Goroutine),
        }
    }
    /// The row under the cursor.
    pub fn selected(&self) -> Option<Row<'_>> {
        self.row(self.cursor)
    }
    /// The goroutine under the cursor; for a group its sample.
    pub fn sample(&self) -> Option<&Goroutine> {
        match self.selected()? {
            Row::Group(g) => Some(&g.sample),
            Row::Goroutine(g) => Some(g),
        }
    }
    /// Which generation the rows belong to.
    pub fn generation(&self) -> Option<u64> {
        self.page.as_ref().map(|p| p.generation)
    }
    /// Moves the cursor by rows.
    pub fn move_by(&mut self, by: i64) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.total.saturating_sub(1));
    }
    /// Moves the window so that the cursor is in it.
    pub fn scroll(&mut self, height: u64) {
        self.cursor = self.cursor.min(self.total.saturating_sub(1));
        if self.cursor < self.top {
            self.top = self.cursor;
        } else if height > 0 && self.cursor >= self.top + height {
            self.top = self.cursor + 1 - height;
        }
        self.top = self.top.min(self.total.saturating_sub(height));
    }
    /// The next grouping; after the last one the flat list.
    pub fn cycle(&mut self) {
        let all = GroupBy::ALL;
        let next = match &self.listing {
            Listing::Flat | Listing::Ids { .. } => Listing::Groups(all[0]),
            Listing::Groups(by) | Listing::Members { by, .. } => {
                let i = all.iter().position(|b| b == by).unwrap_or(0);
                all.get(i + 1).map_or(Listing::Flat, |b| Listing::Groups(*b))
            }
        };
        self.set_listing(next);
    }
    /// Shows something else, from its first row.
    pub fn set_listing(&mut self, listing: Listing) {
        self.listing = listing;
        self.back = None;
        self.restart();
    }
    /// Opens the group under the cursor.
    pub fn open_group(&mut self) {
        let Some(Row::Group(g)) = self.selected() else { return };
        let Listing::Groups(by) = self.listing else { return };
        let (key, title) = (g.key, group_title(g, by));
        self.back = Some((by, self.top, self.cursor));
        self.listing = Listing::Members { by, key, title };
        self.restart();
    }
    /// Back from a group's members to the groups. False when it shows no members.
    pub fn close_group(&mut self) -> bool {
        let by = match self.listing {
            Listing::Members { by, .. } => by,
            Listing::Ids { .. } => self.back.map_or(GroupBy::User, |(by, _, _)| by),
            _ => return false,
        };
        self.listing = Listing::Groups(by);
        let back = self.back.take();
        self.restart();
        if let Some((_, top, cursor)) = back {
            (self.top, self.cursor, self.total) = (top, cursor, cursor + 1);
        }
        true
    }
    /// Shows these goroutines.
    pub fn show_ids(&mut self, ids: Vec<GoroutineId>, title: String, of: u64) {
        let back = match self.listing {
            Listing::Groups(by) => Some((by, self.top, self.cursor)),
            _ => self.back,
        };
        self.set_listing(Listing::Ids { ids, title, of });
        self.back = back;
    }
    /// Where the list is, to come back to it.
    pub fn place(&self) -> Place {
        Place {
            listing: self.listing.clone(),
            filter: self.filter.clone(),
            top: self.top,
            cursor: self.cursor,
            back: self.back,
        }
    }
    /// Goes back to where it was.
    pub fn go(&mut self, p: Place) {
        if self.listing != p.listing || self.filter != p.filter {
            (self.listing, self.filter) = (p.listing, p.filter);
            self.restart();
            self.total = p.cursor + 1;
        }
        (self.top, self.cursor, self.back) = (p.top, p.cursor, p.back);
    }
    /// A new filter: `!text` keeps what does not match.
    pub fn set_filter(&mut self, text: &str) {
        self.filter.inverse = text.starts_with('!');
        self.filter.text = text.strip_prefix('!').unwrap_or(text).to_string();
        self.restart();
    }
    /// The filter as it was typed.
    pub fn filter_text(&self) -> String {
        if self.filter.inverse { format!("!{}", self.filter.text) } else { self.filter.text.clone() }
    }
    /// Shows or hides the runtime's own.
    pub fn toggle_system(&mut self) {
        self.filter.system = !self.filter.system;
        self.restart();
    }
    fn restart(&mut self) {
        (self.top, self.cursor, self.page, self.failure) = (0, 0, None, None);
    }
    /// What must be asked so that `height` rows from the window's top are here, if anything. `fresh`: rows of an older
    /// generation are not good enough.
    pub fn request(&self, height: u64, generation: u64, fresh: bool) -> Option<Request> {
        if let Some(p) = &self.page {
            let here = p.start..p.start + p.rows.len() as u64;
            let want_end = (self.top + height).min(self.total);
            let covered = (self.top >= here.start && want_end <= here.end) || self.total == 0;
            if covered && (p.generation == generation || !fresh) {
                return None;
            }
        } else if self.failure.is_some() && !fresh {
            return None;
        }
        let start = self.top.saturating_sub(height / 2);
        let count = (self.top - start) + height + height / 2;
        Some(match &self.listing {
            Listing::Groups(by) => Request::Groups(GroupQuery { filter: self.filter.clone(), by: *by, start, count }),
            Listing::Members { by, key, .. } => Request::GroupMembers {
                query: GroupQuery { filter: self.filter.clone(), by: *by, start: 0, count: 0 },
                key: *key,
                start,
                count,
            },
            // They are few.
            Listing::Ids { ids, .. } => Request::GoroutinesById { ids: ids.clone() },
            Listing::Flat => Request::Goroutines(GoroutineQuery {
                filter: self.filter.clone(),
                start,
                count,
                stack: 0,
                defers: false,
                names: false,
            }),
        })
    }
    /// Groups that arrived for a request made by [`GoroutineList::request`].
    pub fn put_groups(&mut self, generation: u64, start: u64, groups: Vec<GoroutineGroup>, total: u64) {
        self.total = total;
        self.failure = None;
        let had = match self.selected() {
            Some(Row::Group(g)) => Some(g.key),
            _ => None,
        };
        let now = had.and_then(|key| groups.iter().position(|g| g.key == key));
        self.page = Some(Page { generation, start, rows: Rows::Groups(groups) });
        if let Some(i) = now {
            self.follow(start + i as u64);
        }
    }
    /// Goroutines that arrived.
    pub fn put_goroutines(&mut self, generation: u64, start: u64, rows: Vec<Goroutine>, total: u64) {
        self.total = total;
        if self.listing == Listing::Flat {
            self.goroutines = total;
        }
        self.failure = None;
        let had = match self.selected() {
            Some(Row::Goroutine(g)) => Some(g.id),
            _ => None,
        };
        let now = had.and_then(|id| rows.iter().position(|g| g.id == id));
        self.page = Some(Page { generation, start, rows: Rows::Goroutines(rows) });
        if let Some(i) = now {
            self.follow(start + i as u64);
        }
    }
    /// The row under the cursor is elsewhere now: the cursor goes with it, and the window with the cursor.
    fn follow(&mut self, to: u64) {
        self.top = (self.top + to).saturating_sub(self.cursor);
        self.cursor = to;
    }
}

/// What a group is, in a few words.
pub fn group_title(g: &GoroutineGroup, by: GroupBy) -> String {
    let s = &g.sample;
    match by {
        _ if !g.label.is_empty() => g.label.clone(),
        GroupBy::User | GroupBy::Stack => s.user.short_function().to_string(),
        GroupBy::Wait => s.wait_reason.as_deref().unwrap_or(s.state.name()).to_string(),
        GroupBy::State => s.state.name().to_string(),
        GroupBy::Creator => s.created_by.as_ref().map_or("no creator", |c| c.at.short_function()).to_string(),
        GroupBy::Entry => s.entry.as_ref().map_or("unknown entry", |e| e.short_function()).to_string(),
        GroupBy::Label => "no labels".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn asks_for_the_window_only() {
        let mut l = GoroutineList { listing: Listing::Flat, ..GoroutineList::default() };
        let Some(Request::Goroutines(q)) = l.request(20, 1, true) else { panic!("asks") };
        assert_eq!((q.start, q.count), (0, 30));
        l.put_goroutines(1, 0, vec![Goroutine::default(); 30], 100_000);
        assert_eq!(l.request(20, 1, true), None);
        l.move_by(50_000);
        l.scroll(20);
        let Some(Request::Goroutines(q)) = l.request(20, 1, true) else { panic!("asks") };
        assert!(q.count <= 40 && q.start <= l.top, "{q:?}");
        assert_eq!(l.request(20, 2, false).is_some(), l.request(20, 1, true).is_some());
    }
    #[test]
    fn cycles_through_every_grouping_and_flat() {
        let mut l = GoroutineList::default();
        for _ in 0..GroupBy::ALL.len() {
            assert!(matches!(l.listing, Listing::Groups(_)));
            l.cycle();
        }
        assert_eq!(l.listing, Listing::Flat);
        l.cycle();
        assert_eq!(l.listing, Listing::Groups(GroupBy::User));
    }
}
