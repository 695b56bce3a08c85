//! Floor 9: one-shot commands: text and JSON.
