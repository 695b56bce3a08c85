//! Floor 2: bytes in, facts out; opens no files itself.
