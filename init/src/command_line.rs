//! What the kernel's command line says to init.

use crate::message::Level;

/// The words that mean something to init.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `mainstay.bundle=NAME`; `rescue`, `single`, `S` and `1` are the bundle `rescue`.
    pub(crate) bundle: Option<String>,
    /// `mainstay.log=LEVEL`.
    pub(crate) log: Option<Level>,
}

/// Reads a command line. Later words win; what is not understood belongs to others.
pub(crate) fn parse(line: &str) -> CommandLine {
    let mut found = CommandLine::default();
    for word in line.split_whitespace() {
        match word.split_once('=') {
            Some(("mainstay.bundle", name)) => found.bundle = Some(name.to_owned()),
            Some(("mainstay.log", level)) => found.log = Level::parse(level).or(found.log),
            None if ["rescue", "single", "S", "1"].contains(&word) => {
                found.bundle = Some("rescue".to_owned());
            }
            Some(_) | None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_found_among_unknown_ones() {
        let found = parse("console=ttyS0 quiet mainstay.log=debug mainstay.bundle=small root=x\n");
        assert_eq!(found, CommandLine { bundle: Some("small".to_owned()), log: Some(Level::Debug) });
        assert_eq!(parse("ro single").bundle.as_deref(), Some("rescue"));
        assert_eq!(parse("mainstay.log=loud"), CommandLine::default());
    }
}
