//! The loop: waits for keys, the host, signals and deadlines; handles all that is there; draws once.

use super::app::{App, Effect};
use super::terminal::Tty;
use crate::backend::client::Client;
use crate::session::Tone;
use crossterm::event::{Event, EventStream, MouseEventKind};
use futures::StreamExt;
use std::{
    io,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// Shortest time between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// The same when the line is slow or it was asked for.
const SLOW_FRAME: Duration = Duration::from_millis(250);
/// Time for handling what is queued before a frame.
const DRAIN: Duration = Duration::from_millis(4);
/// A turn longer than this is a defect of ours.
const SLOW_TURN: Duration = Duration::from_millis(50);
/// Sizes come in bursts while a window is dragged.
const RESIZE: Duration = Duration::from_millis(50);

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The user left.
    Quit,
    /// A signal asked for it.
    Signal(i32),
    /// The terminal is gone.
    Hangup,
}

enum Turn {
    Key(Option<io::Result<Event>>),
    Host(Option<crate::backend::protocol::FromHost>),
    Signal(i32),
    Suspend,
    Continue,
    Woken,
    Deadline,
}

struct Signals {
    hup: Signal,
    int: Signal,
    term: Signal,
    quit: Signal,
    stop: Signal,
    cont: Signal,
}

/// Runs the app until it ends.
pub async fn run(
    app: &mut App,
    client: &mut Client,
    tty: &mut Tty,
    wake: Arc<Notify>,
    low_bandwidth: bool,
) -> io::Result<End> {
    let mut keys = EventStream::new();
    let mut signals = Signals {
        hup: signal(SignalKind::hangup())?,
        int: signal(SignalKind::interrupt())?,
        term: signal(SignalKind::terminate())?,
        quit: signal(SignalKind::quit())?,
        stop: signal(SignalKind::from_raw(nix::libc::SIGTSTP))?,
        cont: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
    };
    let mut next_frame = Instant::now();
    let mut resize_at: Option<Instant> = None;
    let mut host_alive = true;
    loop {
        app.session.now = Instant::now();
        app.want(screen_rect());
        app.session.flush(|r| client.send(r));
        let now = Instant::now();
        if app.dirty && now >= next_frame && resize_at.is_none() {
            let begun = Instant::now();
            tty.draw(|area, buf| app.draw(area, buf))?;
            let took = begun.elapsed();
            // A line that takes its time gets fewer frames.
            next_frame = begun + if low_bandwidth || took > SLOW_TURN { SLOW_FRAME } else { FRAME };
        }
        let frame = (app.dirty && resize_at.is_none()).then_some(next_frame);
        let deadline = [resize_at, frame, app.session.deadline()].into_iter().flatten().min();
        let turn = tokio::select! {
            biased;
            _ = signals.hup.recv() => Turn::Signal(nix::libc::SIGHUP),
            _ = signals.term.recv() => Turn::Signal(nix::libc::SIGTERM),
            _ = signals.quit.recv() => Turn::Signal(nix::libc::SIGQUIT),
            _ = signals.int.recv() => Turn::Signal(nix::libc::SIGINT),
            _ = signals.stop.recv() => Turn::Suspend,
            _ = signals.cont.recv() => Turn::Continue,
            k = keys.next() => Turn::Key(k),
            m = client.recv(), if host_alive => Turn::Host(m),
            _ = wake.notified() => Turn::Woken,
            _ = sleep_until(deadline), if deadline.is_some() => Turn::Deadline,
        };
        let begun = Instant::now();
        app.session.now = begun;
        match turn {
            Turn::Signal(n) => return Ok(End::Signal(n)),
            Turn::Suspend => app.run_line("suspend", true),
            Turn::Continue => {
                tty.again()?;
                app.dirty = true;
            }
            Turn::Key(None) => return Ok(End::Hangup),
            Turn::Key(Some(Err(e))) => return Err(e),
            Turn::Key(Some(Ok(e))) => event(app, e, &mut resize_at),
            Turn::Host(None) => {
                host_alive = false;
                app.host_gone();
            }
            Turn::Host(Some(m)) => {
                app.host(m);
                while begun.elapsed() < DRAIN {
                    let Some(m) = client.try_recv() else { break };
                    app.host(m);
                }
            }
            Turn::Woken => app.dirty = true,
            Turn::Deadline => {
                let now = Instant::now();
                if resize_at.is_some_and(|t| t <= now) {
                    resize_at = None;
                    tty.resize()?;
                }
                app.dirty = true;
            }
        }
        app.session.flush(|r| client.send(r));
        for effect in std::mem::take(&mut app.effects) {
            match effect {
                Effect::Quit => {
                    // A detach that was asked for must reach the host before its pipe closes.
                    app.session.flush(|r| client.send(r));
                    return Ok(End::Quit);
                }
                Effect::Suspend => suspend(tty)?,
                Effect::Redraw => tty.repaint()?,
                Effect::Mouse(on) => {
                    tty.mouse(on)?;
                    app.session.say(Tone::Note, if on { "mouse on (Shift-drag selects text)" } else { "mouse off" });
                }
                Effect::Copy(text) => copy(app, tty, &text)?,
                Effect::Edit(file, line) => edit(app, tty, &file, line)?,
            }
            app.dirty = true;
        }
        let took = begun.elapsed();
        if took > SLOW_TURN {
            tracing::warn!("a turn of the screen took {} ms", took.as_millis());
        }
    }
}

fn screen_rect() -> ratatui::layout::Rect {
    let s = super::terminal::size();
    ratatui::layout::Rect::new(0, 0, s.width, s.height)
}

async fn sleep_until(t: Option<Instant>) {
    match t {
        Some(t) => tokio::time::sleep_until(t.into()).await,
        None => std::future::pending().await,
    }
}

fn event(app: &mut App, e: Event, resize_at: &mut Option<Instant>) {
    match e {
        Event::Key(k) => app.key(k),
        Event::Paste(text) => app.paste(&text),
        Event::Resize(..) => *resize_at = Some(Instant::now() + RESIZE),
        Event::Mouse(m) => match m.kind {
            MouseEventKind::ScrollDown => app.wheel(m.column, m.row, 3),
            MouseEventKind::ScrollUp => app.wheel(m.column, m.row, -3),
            MouseEventKind::Down(_) => app.click(m.column, m.row),
            _ => {}
        },
        Event::FocusGained | Event::FocusLost => {}
    }
}

/// Gives the terminal back and stops; goes on after SIGCONT.
fn suspend(tty: &mut Tty) -> io::Result<()> {
    tty.leave();
    // SIGTSTP is ours to hear; SIGSTOP stops for certain, and the shell says so.
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).map_err(io::Error::from)?;
    tty.again()
}

fn copy(app: &mut App, tty: &mut Tty, text: &str) -> io::Result<()> {
    const CAP: usize = 74_000;
    let end = (0..=CAP.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let text = &text[..end];
    let tmux = std::env::var_os("TMUX").is_some();
    if tmux && tmux_copy(text) {
        app.session.say(Tone::Note, "sent to tmux's clipboard");
        return Ok(());
    }
    let mut out = Vec::new();
    crossterm::queue!(out, crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))?;
    tty.raw(&out)?;
    app.session.say(Tone::Note, "sent to the terminal's clipboard (:write FILE if it has none)");
    Ok(())
}

fn tmux_copy(text: &str) -> bool {
    use std::io::Write;
    let child = Command::new("tmux")
        .args(["load-buffer", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let wrote = child.stdin.take().is_some_and(|mut i| i.write_all(text.as_bytes()).is_ok());
    wrote && child.wait().is_ok_and(|s| s.success())
}

fn edit(app: &mut App, tty: &mut Tty, file: &str, line: u32) -> io::Result<()> {
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_default();
    let mut words = crate::command::split_words(&editor).into_iter();
    let Some(program) = words.next().filter(|_| std::path::Path::new(file).exists()) else {
        app.session.say(Tone::Note, &format!("{file}:{line}"));
        return Ok(());
    };
    tty.leave();
    let status = Command::new(&program).args(words).arg(format!("+{line}")).arg(file).status();
    tty.again()?;
    if let Err(e) = status {
        app.session.say(Tone::Error, &format!("{program}: {e}"));
    }
    Ok(())
}
