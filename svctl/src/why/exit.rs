//! What the end of a process usually means.

use service::exit::WaitStatus;

/// A wait status in words, with what is meant by it where there is a convention.
pub(super) fn explain(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(code) => {
            let meaning = match code {
                0 => " (success)",
                100 => " (wrong usage, by the convention of s6)",
                111 => " (the system refused something, by the convention of s6)",
                126 => " (a shell could not execute a command)",
                127 => " (a shell did not find a command)",
                129..=159 => return format!("exited with {code}{}", by_shell(code)),
                _ => "",
            };
            format!("exited with {code}{meaning}")
        }
        WaitStatus::Signalled { signal, core } => {
            let meaning = match signal.to_string().as_str() {
                "KILL" => " (by somebody, after a time limit, or by the kernel for want of memory)",
                "SEGV" | "BUS" | "ILL" | "FPE" => " (a bug in it)",
                "ABRT" => " (it gave up by itself)",
                "SYS" => " (a system call that it may not make)",
                _ => "",
            };
            let core = if core { ", core dumped" } else { "" };
            format!("was ended by the signal {signal}{meaning}{core}")
        }
        WaitStatus::Unknown => "ended, and nobody could learn how".to_owned(),
    }
}

/// A shell tells of a signal that ended its child with 128 more than its number.
fn by_shell(code: u8) -> String {
    service::Signal::from_number(i32::from(code) - 128)
        .map(|signal| format!(" (the way a shell tells of the signal {signal})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::Signal;

    #[test]
    fn conventions_are_told() {
        for (status, text) in [
            (WaitStatus::Exited(0), "exited with 0 (success)"),
            (WaitStatus::Exited(3), "exited with 3"),
            (WaitStatus::Exited(127), "exited with 127 (a shell did not find a command)"),
            (WaitStatus::Exited(143), "exited with 143 (the way a shell tells of the signal TERM)"),
            (WaitStatus::Signalled { signal: Signal::TERM, core: false }, "was ended by the signal TERM"),
        ] {
            assert_eq!(explain(status), text);
        }
    }
}
