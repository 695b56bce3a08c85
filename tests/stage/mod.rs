//! The app on a stage: a scripted host, keys by hand, time by hand.
#![allow(dead_code)] // each test file uses a part

use super::shop::Shop;
use adit::backend::protocol::{FromHost, LaunchSpec, Request, TargetSpec};
use adit::config::Config;
use adit::tui::{Options, app::App, prepare, theme::ColorChoice};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect};

/// An app and its host, driven by hand.
pub struct Stage {
    pub app: App,
    pub shop: Shop,
    pub next: u64,
    pub size: (u16, u16),
    /// Requests that the host is slow to answer.
    pub slow: Option<fn(&Request) -> bool>,
    pub late: Vec<(u64, Request)>,
}

pub fn options() -> Options {
    Options {
        target: Some(TargetSpec::Launch(LaunchSpec::default())),
        color: ColorChoice::Never,
        ascii: true,
        config: Config::default(),
        ..Options::default()
    }
}

impl Stage {
    pub fn with(shop: Shop, size: (u16, u16), o: Options) -> Stage {
        let mut s = Stage::begin(shop, size, o);
        s.settle();
        s.draw();
        s
    }
    pub fn begin(shop: Shop, size: (u16, u16), o: Options) -> Stage {
        let (mut app, _, _) = prepare(&o, || {});
        app.session.clock = || "12:04:31Z".into();
        // Not what the terminal that runs the tests can show.
        app.look.ascii = o.ascii;
        Stage { app, shop, next: 1, size, slow: None, late: Vec::new() }
    }
    pub fn new(control: bool, size: (u16, u16)) -> Stage {
        Stage::with(Shop::new(control), size, options())
    }
    pub fn screen(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }
    /// Until nobody has anything to say.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            self.app.want(self.screen());
            let mut out = Vec::new();
            let next = &mut self.next;
            self.app.session.flush(|r| {
                out.push((*next, r));
                *next += 1;
                *next - 1
            });
            if out.is_empty() {
                return;
            }
            for (id, request) in out {
                if self.slow.is_some_and(|slow| slow(&request)) {
                    self.late.push((id, request));
                    continue;
                }
                let (result, notices) = self.shop.answer(&request);
                self.app.host(FromHost::Reply { id, result });
                for n in notices {
                    self.app.host(FromHost::Notice(n));
                }
            }
        }
        panic!("the screen never stops asking: {:?}", self.shop.asked);
    }
    /// Time goes by.
    pub fn wait(&mut self, ms: u64) -> &mut Stage {
        self.app.session.now += std::time::Duration::from_millis(ms);
        self.settle();
        self
    }
    /// What was slow is answered.
    pub fn answer_late(&mut self) -> &mut Stage {
        self.slow = None;
        for (id, request) in std::mem::take(&mut self.late) {
            let (result, _) = self.shop.answer(&request);
            self.app.host(FromHost::Reply { id, result });
        }
        self.settle();
        self
    }
    /// A command line.
    pub fn line(&mut self, line: &str) -> &mut Stage {
        self.keys(":");
        self.app.paste(line);
        self.keys("Enter")
    }
    /// Keys, as in the key map; `<text>` is typed letter by letter.
    pub fn keys(&mut self, keys: &str) -> &mut Stage {
        for k in keys.split_whitespace() {
            let ctrl = k.strip_prefix("Ctrl-").filter(|r| r.chars().count() == 1);
            let codes: Vec<KeyCode> = match k {
                "Enter" => vec![KeyCode::Enter],
                "Esc" => vec![KeyCode::Esc],
                "Tab" => vec![KeyCode::Tab],
                "S-Tab" => vec![KeyCode::BackTab],
                "Space" => vec![KeyCode::Char(' ')],
                "Down" => vec![KeyCode::Down],
                "Backspace" => vec![KeyCode::Backspace],
                "PgDn" => vec![KeyCode::PageDown],
                k => ctrl.unwrap_or(k).chars().map(KeyCode::Char).collect(),
            };
            for c in codes {
                let mods = if ctrl.is_some() { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
                self.app.key(KeyEvent::new(c, mods));
                self.settle();
                self.draw();
            }
        }
        self
    }
    pub fn draw(&mut self) -> Buffer {
        let mut t = Terminal::new(TestBackend::new(self.size.0, self.size.1)).expect("a buffer");
        t.draw(|f| {
            let area = f.area();
            self.app.draw(area, f.buffer_mut());
        })
        .expect("drawn");
        t.backend().buffer().clone()
    }
    pub fn buffer(&mut self) -> Buffer {
        // Twice: the first drawing asks the worker for colours.
        self.draw();
        self.app.highlight.settle();
        self.draw()
    }
    pub fn text(&mut self) -> String {
        let b = self.buffer();
        let row = |y| (0..b.area.width).map(|x| b[(x, y)].symbol()).collect::<String>();
        (0..b.area.height).map(|y| row(y).trim_end().to_string()).collect::<Vec<_>>().join("\n")
    }
    pub fn asked(&self, hit: impl Fn(&Request) -> bool) -> usize {
        self.shop.asked.lock().map_or(0, |a| a.iter().filter(|r| hit(r)).count())
    }
}

pub const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];
