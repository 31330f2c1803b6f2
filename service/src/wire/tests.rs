use super::*;
use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::status::{State, Want};
use proptest::prelude::*;

#[test]
fn every_command_parses_back_from_its_text() {
    let pid = Pid::new(7).unwrap();
    for command in [
        Command::Start,
        Command::Once,
        Command::Stop,
        Command::Restart,
        Command::Reload,
        Command::Kill(Signal::USR1),
        Command::Pause,
        Command::Continue,
        Command::Reexec,
        Command::Halt,
        Command::Exit,
        Command::Status,
        Command::Events,
        Command::Died(pid, WaitStatus::Exited(3)),
        Command::Connect(PipeEnd::Input),
        Command::Connect(PipeEnd::Output),
        Command::Disconnect,
    ] {
        assert_eq!(Command::parse(&command.to_string()), Some(command));
    }
    for command in [
        InitCommand::Start("a"),
        InitCommand::Stop("b"),
        InitCommand::Restart("c"),
        InitCommand::Once("d"),
        InitCommand::Switch("e"),
        InitCommand::ReloadService("f"),
        InitCommand::Refresh("l"),
        InitCommand::Kill("g", Signal::USR1),
        InitCommand::Pause("h"),
        InitCommand::Continue("i"),
        InitCommand::Reload,
        InitCommand::Reexec,
        InitCommand::ReexecService("j"),
        InitCommand::Plan(Planned::Switch("k")),
        InitCommand::Plan(Planned::Reload),
        InitCommand::Plan(Planned::PowerOff),
        InitCommand::Fault(Fault::Panic),
        InitCommand::Power(Power::Halt),
        InitCommand::Events,
    ] {
        assert_eq!(InitCommand::parse(&command.to_string()), Some(command));
    }
    for command in
        [LogCommand::Finish, LogCommand::Forget("b"), LogCommand::Keep { name: "a", size: 1, keep: 0 }]
    {
        assert_eq!(LogCommand::parse(&command.to_string()), Some(command));
    }
}

#[test]
fn what_a_supervisor_says_parses_back_and_a_plan_of_a_plan_is_none() {
    let pid = Pid::new(7).unwrap();
    for message in [
        SupervisorMessage::Keep("ready"),
        SupervisorMessage::Drop("x"),
        SupervisorMessage::Awaits(pid),
        SupervisorMessage::Taken(2),
    ] {
        assert_eq!(SupervisorMessage::parse(&message.to_string()), Some(message));
    }
    for line in ["plan plan start a", "plan events", "start", "start a b", "kill a", "fault x"] {
        assert_eq!(InitCommand::parse(line), None, "{line}");
    }
}

#[test]
fn a_report_parses_back_from_its_text() {
    for reason in ["", "unable to execute x: No such file or directory"] {
        let report = Report {
            name: "sshd",
            state: State::Backoff,
            want: Want::Up,
            overdue: false,
            pid: Pid::new(12),
            starts: 4,
            reason,
        };
        assert_eq!(Report::parse(&report.to_string()), Some(report));
    }
}

proptest! {
    #[test]
    fn no_line_makes_a_parser_panic(line in ".*") {
        let _ = (Command::parse(&line), InitCommand::parse(&line), LogCommand::parse(&line), Report::parse(&line));
    }
}
