//! Floor 6: configuration files: schema, defaults.
