//! `svctl`: operates services, and checks and compiles their definitions.

use service::wire::{Command, Planned};
use std::process::ExitCode;
use svctl::args::{self, Places, Verb};
use svctl::control::{self, Wish};
use svctl::exit::{Exit, Failure};
use svctl::{
    check, events, exposure, help, image, kexec, logs, metrics, output, power, probe, reexec,
    run as transient, status, usage, wait, why,
};

fn main() -> ExitCode {
    let result = args::parse(std::env::args_os()).and_then(|(places, verb)| run(&places, verb));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::complain(&format!("svctl: {failure}"));
            }
            failure.exit.into()
        }
    }
}

fn run(places: &Places, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Help(verb) => {
            let text = help::text(verb.as_deref());
            output::print(&text.ok_or_else(|| Failure::usage("no such verb (svctl --help lists them)"))?)?;
            Ok(Exit::Ok)
        }
        Verb::Version => {
            output::print(concat!("svctl ", env!("CARGO_PKG_VERSION"), "\n"))?;
            Ok(Exit::Ok)
        }
        Verb::Check(tree) => check::check(&check::options(places, tree)),
        Verb::Compile(tree) => check::write(&check::options(places, tree), &places.run, false),
        Verb::Stage(tree) => check::write(&check::options(places, tree), &places.run, true),
        Verb::Status { names, json } => status::run(places, &names, json),
        Verb::Start(names, patience) => control::ask(places, Wish::Start, &names, patience),
        Verb::Stop(names, patience) => control::ask(places, Wish::Stop, &names, patience),
        Verb::Restart(names, patience) => control::restart(places, &names, patience),
        Verb::Once(names, patience) => control::ask(places, Wish::Once, &names, patience),
        Verb::Reexec(names) if names.is_empty() => reexec::run(places),
        Verb::Reexec(names) => control::tell(places, &names, Command::Reexec),
        Verb::Fault(fault) => reexec::fault(places, fault),
        Verb::Pause(names) => control::tell(places, &names, Command::Pause),
        Verb::Continue(names) => control::tell(places, &names, Command::Continue),
        Verb::ReloadTree(patience) => control::reload(places, patience),
        Verb::Switch(name, patience) => control::switch(places, &name, patience),
        Verb::Plan { commands, json } => {
            let planned = commands.iter().filter_map(|command| Planned::parse(command)).collect::<Vec<_>>();
            if planned.len() < commands.len() {
                return Err(Failure::usage("a name that no service can have"));
            }
            control::plan(places, &planned, json)
        }
        Verb::Reload(names) => control::tell(places, &names, Command::Reload),
        Verb::Kill(names, signal) => control::tell(places, &names, Command::Kill(signal)),
        Verb::Logs { names, follow, lines } => logs::run(places, &names, follow, lines),
        Verb::Run(request) => transient::run(places, &request),
        Verb::Update(request) => transient::update::run(places, &request),
        Verb::Usage { names, json } => usage::run(places, &names, json),
        Verb::Destroy(request) => transient::destroy::run(places, &request),
        Verb::Containers { json } => transient::containers::run(places, json),
        Verb::WaitEnded(names, timeout, json) => transient::ended::wait(places, &names, timeout, json),
        Verb::Wait(timeout) => wait::boot(places, timeout),
        Verb::WaitFor(names, aim, timeout) => wait::names(places, &names, aim, timeout),
        Verb::Why(names) => why::run(places, &names),
        Verb::Exposure { names, json } => exposure::run(places, &names, json),
        Verb::Metrics(to) => metrics::run(places, &to),
        Verb::Events { names, json } => events::run(places, &names, json),
        Verb::Probe { target, once: false } => {
            probe::until_ready(&target);
            Ok(Exit::Ok)
        }
        Verb::Probe { target, once: true } => probe::once(&target).map(|()| Exit::Ok),
        Verb::Image(words) => Err(image::execute(places, &words)),
        Verb::Power(power) => power::run(places, power),
        Verb::Kexec(kernel) => kexec::run(places, &kernel),
    }
}
