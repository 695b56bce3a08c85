mod common;
use common::headless::{Server, releases};
use common::screen::Screen;
use common::*;

#[test]
fn smoke() {
    for r in releases() {
        let exe = build_with("shop", DEBUG, r.go);
        let server = Server::start(&r.dlv, &["exec", exe.to_str().unwrap(), "--accept-multiclient", "--", "seven", "--flag"]);
        let mut s = Screen::start(120, 40, &["connect", &server.address]);
        std::thread::sleep(std::time::Duration::from_secs(2));
        println!("== {} start\n{}", r.name, s.text());
        for (what, keys) in [("break", ":break main.(*Cart).Total\r"), ("cont", "c"), ("next", "n"), ("next", "n"), ("next","n"), ("step", "s"), ("out", "o"), ("gs", "2"), ("log", "9"), ("regs", "3:regs\r"), ("t", "\x1b1"), ("w", "5"),("quit","3q")] {
            s.send(keys);
            std::thread::sleep(std::time::Duration::from_millis(1200));
            println!("== {} {what}\n{}", r.name, s.text());
        }
    }
}
