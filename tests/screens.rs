//! Golden screens: the app against a scripted host, drawn into a buffer. No process, no terminal, no sleeps.

mod shop;

use adit::backend::protocol::{FromHost, LaunchSpec, Request, TargetSpec};
use adit::config::Config;
use adit::tui::{Options, app::App, prepare, theme::ColorChoice};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect};
use shop::Shop;

/// An app and its host, driven by hand.
struct Stage {
    app: App,
    shop: Shop,
    next: u64,
    size: (u16, u16),
}

fn options() -> Options {
    Options {
        target: Some(TargetSpec::Launch(LaunchSpec::default())),
        color: ColorChoice::Never,
        ascii: true,
        config: Config::default(),
        ..Options::default()
    }
}

impl Stage {
    fn with(shop: Shop, size: (u16, u16), o: Options) -> Stage {
        let (mut app, _, _) = prepare(&o, || {});
        app.session.clock = || "12:04:31Z".into();
        let mut s = Stage { app, shop, next: 1, size };
        s.settle();
        s
    }
    fn new(control: bool, size: (u16, u16)) -> Stage {
        Stage::with(Shop::new(control), size, options())
    }
    fn screen(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }
    /// Until nobody has anything to say.
    fn settle(&mut self) {
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
                let (result, notices) = self.shop.answer(&request);
                self.app.host(FromHost::Reply { id, result });
                for n in notices {
                    self.app.host(FromHost::Notice(n));
                }
            }
        }
        panic!("the screen never stops asking: {:?}", self.shop.asked);
    }
    /// Keys, as in the key map; `<text>` is typed letter by letter.
    fn keys(&mut self, keys: &str) -> &mut Stage {
        for k in keys.split_whitespace() {
            let ctrl = k.strip_prefix("Ctrl-").filter(|r| r.chars().count() == 1);
            let codes: Vec<KeyCode> = match k {
                "Enter" => vec![KeyCode::Enter],
                "Esc" => vec![KeyCode::Esc],
                "Tab" => vec![KeyCode::Tab],
                "S-Tab" => vec![KeyCode::BackTab],
                "Space" => vec![KeyCode::Char(' ')],
                "Down" => vec![KeyCode::Down],
                "PgDn" => vec![KeyCode::PageDown],
                k => ctrl.unwrap_or(k).chars().map(KeyCode::Char).collect(),
            };
            for c in codes {
                let mods = if ctrl.is_some() { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
                self.app.key(KeyEvent::new(c, mods));
                self.settle();
            }
        }
        self
    }
    fn buffer(&mut self) -> Buffer {
        let mut t = Terminal::new(TestBackend::new(self.size.0, self.size.1)).expect("a buffer");
        // Twice: the first drawing asks the worker for colours.
        for _ in 0..2 {
            t.draw(|f| {
                let area = f.area();
                self.app.draw(area, f.buffer_mut());
            })
            .expect("drawn");
            self.app.highlight.settle();
        }
        t.backend().buffer().clone()
    }
    fn text(&mut self) -> String {
        let b = self.buffer();
        let row = |y| (0..b.area.width).map(|x| b[(x, y)].symbol()).collect::<String>();
        (0..b.area.height).map(|y| row(y).trim_end().to_string()).collect::<Vec<_>>().join("\n")
    }
    fn asked(&self, hit: impl Fn(&Request) -> bool) -> usize {
        self.shop.asked.lock().map_or(0, |a| a.iter().filter(|r| hit(r)).count())
    }
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

#[test]
fn debug() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("debug-{w}x{h}"), Stage::new(true, (w, h)).text());
    }
}

#[test]
fn goroutines() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("goroutines-{w}x{h}"), Stage::new(false, (w, h)).text());
    }
}

#[test]
fn log() {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("log-{w}x{h}"), Stage::new(true, (w, h)).keys("9").text());
    }
}
