//! The child that compiles the definitions: started, tried again, its plan taken.

use crate::runtime::Init;
use service::graph::Graph;
use service::{Signal, Tick, WaitStatus};
use std::ffi::OsStr;
use std::time::Duration;

/// How long the compiler may take for all definitions.
pub(crate) const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);

/// What its command line begins with.
pub(crate) const COMPILER: [&str; 2] = ["svctl", "compile"];

/// How often that is tried, and the wait between two tries.
const COMPILATIONS_MAX: u32 = 5;

const COMPILE_DELAY: Duration = Duration::from_secs(1);

impl Init {
    pub(crate) fn compile(&mut self) {
        self.compile_at = None;
        self.compilations = self.compilations.saturating_add(1);
        // The one of a run before this one must not be taken for the new one.
        let _ = std::fs::remove_file(self.options.run.join("init/plan"));
        match self.spawn_compiler(&[]) {
            Ok(()) => self.uncompiled = None,
            Err(problem) => self.compiler_refused(problem),
        }
    }

    /// A compiler that cannot even be started is tried for as long as it takes: processes or memory may be short
    /// for longer than anybody would guess, and without it there are no services.
    fn compiler_refused(&mut self, problem: String) {
        if self.going.is_some() {
            return;
        }
        self.compile_at = Some(sys::clock::now().after(COMPILE_DELAY));
        // Told once: it is tried every second.
        if self.uncompiled.as_ref() != Some(&problem) {
            self.messages.error(&format!("unable to compile the definitions: {problem} (trying again)"));
            self.uncompiled = Some(problem);
        }
        if self.compilations == COMPILATIONS_MAX {
            self.start_shell("there are no services");
        }
    }

    /// Starts the compiler, with these options too.
    pub(crate) fn spawn_compiler(&mut self, more: &[&str]) -> Result<(), String> {
        let [_, output, error] = sys::fd::standard();
        let [program, verb] = COMPILER;
        let mut arguments = vec![OsStr::new(verb), OsStr::new("--services")];
        arguments.extend([self.options.services.as_os_str(), OsStr::new("--run")]);
        arguments.push(self.options.run.as_os_str());
        arguments.extend(more.iter().map(OsStr::new));
        let pid = self.spawn_program(program, &arguments, &[(output, 1), (error, 2)])?;
        self.compiler = Some((pid, sys::clock::now().after(COMPILE_TIMEOUT)));
        Ok(())
    }

    /// Ends a compiler that takes too long.
    pub(crate) fn hurry_compiler(&mut self, now: Tick) {
        if let Some((pid, _)) = self.compiler.filter(|(_, deadline)| *deadline <= now) {
            self.messages.error("compiling the definitions takes too long (killing the compiler)");
            let _ = sys::process::signal(pid, Signal::KILL);
            self.compiler = Some((pid, now.after(COMPILE_TIMEOUT)));
        }
    }

    /// The plan is there, or never will be.
    pub(crate) fn compiled(&mut self, status: WaitStatus) {
        self.compiler = None;
        // Nobody may wait any more, if the init that was asked has failed.
        if self.planned || self.reloads() {
            return self.compiled_again(status);
        }
        let file = self.options.run.join("init/plan");
        match crate::reload::read_plan(&file) {
            Ok(entries) => self.begin_with(entries),
            Err(problem) => {
                let file = file.display();
                self.compile_failed(&format!(
                    "unable to read {file}: {problem} (the compiler ended with {status})"
                ));
            }
        }
        self.next_reload();
    }

    /// There is a plan.
    pub(crate) fn begin_with(&mut self, entries: Vec<service::plan::Entry>) {
        self.planned = true;
        self.compile_at = None;
        self.read_settings();
        self.start_watchdog(false);
        self.begin_services(entries);
    }

    /// Without a plan there are no services. What is short now may not be in a moment.
    fn compile_failed(&mut self, problem: &str) {
        if self.going.is_none() && self.compilations < COMPILATIONS_MAX {
            self.messages.error(&format!("unable to compile the definitions: {problem} (trying again)"));
            self.compile_at = Some(sys::clock::now().after(COMPILE_DELAY));
        } else {
            self.messages.error(&format!("no services: unable to compile the definitions: {problem}"));
            self.start_shell("there are no services");
        }
    }

    /// Compiles with as many tries as at the first time.
    pub(crate) fn compile_anew(&mut self) {
        if !self.planned && self.compiler.is_none() {
            self.compilations = 0;
            self.compile();
        }
    }

    pub(crate) fn begin_services(&mut self, mut entries: Vec<service::plan::Entry>) {
        self.add_main(&mut entries);
        let count = entries.len();
        self.graph = Graph::new(entries);
        for index in 0..count {
            let service = self.new_service(index);
            self.services.push(service);
            self.provide_input(index);
        }
        if self.going.is_some() {
            self.graph.shut_down();
        } else {
            self.want_bundle();
        }
        // That there is a plan is on record together with what is wanted of it, and before the logger has the pipes.
        self.renew_ledger();
        self.owe_logs();
    }

    /// Wants what a boot wants.
    fn want_bundle(&mut self) {
        let bundle = self.options.bundle.clone().unwrap_or_else(|| "default".to_owned());
        match (self.graph.find(&bundle), &self.options.bundle) {
            (Some(index), _) => self.graph.start_bundle(index),
            (None, None) => self.graph.start_everything(),
            (None, Some(_)) => {
                self.messages.error(&format!("there is no service {bundle} to start (starting all)"));
                self.graph.start_everything();
            }
        }
        self.start_main();
    }
}
