//! The ways in which a machine goes down.

/// How the machine is to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Switch the machine off.
    PowerOff,
    /// Boot it anew.
    Reboot,
    /// Stop the processor and leave the power on.
    Halt,
    /// Start the kernel that was loaded for it (kexec_load(2)).
    Kexec,
}

impl Power {
    /// The verb for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Power::PowerOff => "poweroff",
            Power::Reboot => "reboot",
            Power::Halt => "halt",
            Power::Kexec => "kexec",
        }
    }

    /// The power state that the verb `word` asks for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Power> {
        [Power::PowerOff, Power::Reboot, Power::Halt, Power::Kexec]
            .into_iter()
            .find(|power| power.word() == word)
    }
}
