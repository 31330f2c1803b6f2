//! `external-containerizer`: what an agent of Mesos with `--containerizers=external` executes, one verb at a time.

use containerizer::plan::Surroundings;
use containerizer::svctl::{OVERRIDE, Svctl};
use containerizer::verbs::{Failed, Machine, VERBS};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-h" | "--help"] => help(),
        ["-V" | "--version"] => {
            let _ = writeln!(std::io::stdout(), "external-containerizer {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["observe", service] => observe(service),
        [verb] => carry_out(verb),
        _ => wrong(&format!("expected one verb, found {} words (see --help)", words.len())),
    }
}

fn machine() -> Machine {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("external-containerizer"));
    let svctl = Svctl::find(variables.get(OVERRIDE).map(String::as_str), &own);
    Machine { svctl, surroundings: Surroundings { variables, program: own.to_string_lossy().into_owned() } }
}

fn carry_out(verb: &str) -> ExitCode {
    // Without a buffer: one call for one message, and nothing of it is left behind.
    let opened = std::io::stdin().as_fd().try_clone_to_owned().and_then(|input| {
        let output = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok((File::from(input), File::from(output)))
    });
    let (mut input, output) = match opened {
        Ok(opened) => opened,
        Err(error) => return wrong(&format!("unable to begin: {error}")),
    };
    match machine().run(verb, &mut input, &output) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => wrong(&format!("there is no verb {verb:?} (see --help)")),
        Err(Failed { container: None, error }) => wrong(&format!("unable to {error}")),
        Err(Failed { container: Some(container), error }) => {
            say(&format!("external-containerizer {container}: unable to {error}"));
            ExitCode::FAILURE
        }
    }
}

fn observe(service: &str) -> ExitCode {
    match machine().observe(service) {
        Ok(code) => ExitCode::from(code),
        Err(error) => wrong(&format!("unable to {error}")),
    }
}

fn help() -> ExitCode {
    let mut text = "usage: external-containerizer VERB < MESSAGE > MESSAGE\n\n\
                    Speaks the external containerizer protocol of Mesos 0.19 to 1.0: see external-containerizer(8).\n\n"
        .to_owned();
    for (verb, what) in VERBS {
        text += &format!("  {verb:<16} {what}\n");
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn wrong(text: &str) -> ExitCode {
    say(&format!("external-containerizer: {text}"));
    ExitCode::FAILURE
}

/// Whoever has closed stderr does not want to know.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
