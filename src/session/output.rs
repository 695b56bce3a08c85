//! What the program writes, through a terminal emulator of ours: nothing of it reaches the user's terminal raw.

/// The program's terminal.
pub struct Output {
    parser: vt100::Parser,
    /// Bytes seen so far.
    pub bytes: u64,
    size: (u16, u16),
}

/// Lines kept above the screen.
const SCROLLBACK: usize = 5_000;

impl Default for Output {
    fn default() -> Self {
        Output { parser: vt100::Parser::new(24, 80, SCROLLBACK), bytes: 0, size: (80, 24) }
    }
}

impl Output {
    /// Bytes from the program.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.parser.process(bytes);
    }
    /// A new size: columns, rows. True when it differs.
    pub fn resize(&mut self, cols: u16, rows: u16) -> bool {
        if (cols, rows) == self.size || cols == 0 || rows == 0 {
            return false;
        }
        self.size = (cols, rows);
        self.parser.screen_mut().set_size(rows, cols);
        true
    }
    /// Looks `lines` above the newest; returns how far it could.
    pub fn scroll(&mut self, lines: usize) -> usize {
        self.parser.screen_mut().set_scrollback(lines);
        self.parser.screen().scrollback()
    }
    /// The screen.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }
}
