//! The real terminal: entering, leaving in every case, one write for each frame.

use crossterm::{
    cursor,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    queue,
    terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::{Backend, ClearType, CrosstermBackend, WindowSize},
    buffer::Cell,
    layout::{Position, Rect, Size},
};
use std::{
    cell::RefCell,
    io::{self, IsTerminal, Write},
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::ThreadId,
};

/// Is the terminal ours now? The panic hook asks.
static ENTERED: AtomicBool = AtomicBool::new(false);
/// The thread that draws.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);

/// Must a panic on this thread give the terminal back? A worker's must not: the screen goes on without it.
pub fn panic_ends_it() -> bool {
    let owner = OWNER.try_lock().map_or(None, |o| *o);
    !ENTERED.load(Ordering::SeqCst) || owner.is_none_or(|o| o == std::thread::current().id())
}

/// Collects a frame, which is then sent in one write.
#[derive(Clone, Default)]
pub struct Frame {
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl Write for Frame {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.borrow_mut().extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does a frame change what is seen? One without a printed character or a cursor position does not: it is not sent.
fn shows_something(bytes: &[u8]) -> bool {
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] != 0x1b {
            return true;
        }
        i += 1;
        if bytes.get(i) == Some(&b'[') {
            i += 1;
            while i < bytes.len() && !(0x40..=0x7e).contains(&bytes[i]) {
                i += 1;
            }
            if matches!(bytes.get(i), Some(b'H' | b'J' | b'K')) {
                return true;
            }
        }
        i += 1;
    }
    false
}

/// The backend: crossterm's, with sizes that make sense.
pub struct Screen {
    inner: CrosstermBackend<Frame>,
}

/// The terminal's size; terminals that say 0x0 have 80x24.
pub fn size() -> Size {
    match terminal::size() {
        Ok((w, h)) if w > 0 && h > 0 => Size::new(w, h),
        _ => Size::new(80, 24),
    }
}

impl Backend for Screen {
    type Error = io::Error;
    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        self.inner.draw(content)
    }
    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }
    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }
    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }
    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }
    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }
    fn size(&self) -> io::Result<Size> {
        Ok(size())
    }
    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: size(), pixels: Size::ZERO })
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal while it is ours. Dropping it gives it back.
pub struct Tty {
    terminal: Terminal<Screen>,
    frame: Frame,
    sync: bool,
    mouse: bool,
}

fn tty_error(e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("the terminal cannot be set up: {e}"))
}

impl Tty {
    /// Takes the terminal over.
    pub fn enter(sync: bool, mouse: bool) -> io::Result<Tty> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other("this needs a terminal"));
        }
        take(mouse).map_err(tty_error)?;
        let frame = Frame::default();
        let backend = Screen { inner: CrosstermBackend::new(frame.clone()) };
        let s = size();
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, s.width, s.height)) };
        Ok(Tty { terminal: Terminal::with_options(backend, options)?, frame, sync, mouse })
    }

    /// Draws a frame; nothing is sent when nothing changed.
    pub fn draw(
        &mut self,
        draw: impl FnOnce(Rect, &mut ratatui::buffer::Buffer) -> Option<(u16, u16)>,
    ) -> io::Result<usize> {
        self.terminal.draw(|f| {
            let area = f.area();
            let cursor = draw(area, f.buffer_mut());
            if let Some((x, y)) = cursor {
                f.set_cursor_position((x.min(area.right().saturating_sub(1)), y.min(area.bottom().saturating_sub(1))));
            }
        })?;
        self.commit()
    }

    fn commit(&mut self) -> io::Result<usize> {
        let bytes = std::mem::take(&mut *self.frame.bytes.borrow_mut());
        if !shows_something(&bytes) {
            return Ok(0);
        }
        let mut out = Vec::with_capacity(bytes.len() + 24);
        if self.sync {
            queue!(out, BeginSynchronizedUpdate)?;
        }
        out.extend_from_slice(&bytes);
        if self.sync {
            queue!(out, EndSynchronizedUpdate)?;
        }
        write_all(&out)?;
        Ok(out.len())
    }

    /// A new size: everything is drawn again.
    pub fn resize(&mut self) -> io::Result<()> {
        let s = size();
        self.terminal.resize(Rect::new(0, 0, s.width, s.height))
    }

    /// Everything is drawn again.
    pub fn repaint(&mut self) -> io::Result<()> {
        self.resize()?;
        self.terminal.clear()
    }

    /// Gives the terminal back for a while.
    pub fn leave(&mut self) {
        restore();
    }

    /// Takes it again.
    pub fn again(&mut self) -> io::Result<()> {
        take(self.mouse)?;
        self.repaint()
    }

    /// Mouse on or off.
    pub fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        let mut out = Vec::new();
        if on {
            queue!(out, EnableMouseCapture)?;
        } else {
            queue!(out, DisableMouseCapture)?;
        }
        write_all(&out)
    }

    /// Bytes for the terminal itself, such as OSC 52.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(bytes)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        restore();
    }
}

fn write_all(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn take(mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    if let Ok(mut o) = OWNER.lock() {
        *o = Some(std::thread::current().id());
    }
    ENTERED.store(true, Ordering::SeqCst);
    let mut out = Vec::new();
    queue!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        queue!(out, EnableMouseCapture)?;
    }
    write_all(&out)
}

/// Gives the terminal back as it was; harmless when it is not ours. The panic hook calls it, too.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = Vec::new();
    // Writing into a Vec cannot fail; writing to a terminal that is gone may, and there is nobody to tell.
    let _queued = queue!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        cursor::Show,
        LeaveAlternateScreen
    );
    let _gone = write_all(&out);
    let _gone = terminal::disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn an_empty_frame_is_not_sent() {
        assert!(!shows_something(b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m\x1b[?25l"));
        assert!(shows_something(b"\x1b[1;1Hx"));
        assert!(shows_something(b"\x1b[?25h\x1b[24;3H"));
    }
}
