//! The adit binary: everything is in the library.

fn main() -> std::io::Result<()> {
    adit::backend::host::main()
}
