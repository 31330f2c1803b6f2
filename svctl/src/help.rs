//! The help: one table of verbs, from which both the overview and each verb's page are made.

use crate::exit::TABLE;
use std::fmt::Write;

/// A verb as people are told of it.
pub struct Help {
    /// The word.
    pub name: &'static str,
    /// What follows it.
    pub usage: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The options that mean something for it, apart from those for all.
    pub options: &'static [&'static str],
    /// The rest of the page.
    pub details: &'static str,
}

const WAITING: &[&str] = &["wait", "no-wait", "timeout", "plan", "json"];
const WAITING_TEXT: &str = "
  --no-wait            return as soon as the request is taken
  -t, --timeout TIME   wait no longer than this (5m), then exit 99
  --plan               show what would be started and stopped, in order, and do nothing
  --json               with --plan, an array of objects, for programs";

/// Every verb.
pub const VERBS: &[Help] = &[
    Help {
        name: "status",
        usage: "[NAME…] [--json]",
        summary: "show how services are",
        options: &["json"],
        details: "Without names: a table of all. With names: more about each, and its last log lines.
A bundle stands for its members.

  --json               an array of objects, for programs",
    },
    Help {
        name: "start",
        usage: "NAME… [--no-wait] [-t TIME]",
        summary: "want services up, and what they require",
        options: WAITING,
        details: WAITING_TEXT,
    },
    Help {
        name: "stop",
        usage: "NAME… [--no-wait] [-t TIME]",
        summary: "want services down, after what requires them",
        options: WAITING,
        details: WAITING_TEXT,
    },
    Help {
        name: "restart",
        usage: "NAME… [--no-wait] [-t TIME]",
        summary: "stop services and start them again, each by its own supervisor",
        options: WAITING,
        details:
            "Returns when each is ready again in a new process, or has failed. One that is down is started.
",
    },
    Help {
        name: "once",
        usage: "NAME… [--no-wait] [-t TIME]",
        summary: "run services until they end, and leave them down then",
        options: WAITING,
        details: WAITING_TEXT,
    },
    Help {
        name: "reexec",
        usage: "[NAME…]",
        summary: "replace the supervisors of services in place by the program on disk; without names everything",
        options: &[],
        details: "No service notices. Without names init, every supervisor and the logger are replaced, once all of the
programs on disk have said that they can go on with what these keep; else nothing is.",
    },
    Help {
        name: "fault",
        usage: "segv|abort|panic|overflow",
        summary: "",
        options: &[],
        details: "Has init fail in this way, to see it recover. For root, with the kernel argument mainstay.debug.",
    },
    Help {
        name: "pause",
        usage: "NAME…",
        summary: "stop the processes of services where they are (SIGSTOP)",
        options: &[],
        details: "What is wanted does not change. A stop lets them go on first.",
    },
    Help {
        name: "continue",
        usage: "NAME…",
        summary: "let paused services go on (SIGCONT)",
        options: &[],
        details: "",
    },
    Help {
        name: "reload",
        usage: "[NAME…]",
        summary: "have services read their configuration again; without names, init its definitions",
        options: WAITING,
        details: "With names: sends the reload signal of the definition (HUP), or runs its reload command.
Without: the tree of definitions is compiled again, and what differs is applied: services that are new
start if a boot would start them, services that are gone are stopped and forgotten, a service whose process
would be another is restarted, and nothing else is touched. If the tree cannot be compiled nothing changes.
  --no-wait            return as soon as it is applied
  -t, --timeout TIME   wait no longer than this (5m) for what it starts and stops, then exit 99
  --plan               show what would be done, in order, and do nothing
  --json               with --plan, an array of objects, for programs",
    },
    Help {
        name: "switch",
        usage: "BUNDLE [--no-wait] [-t TIME]",
        summary: "start a bundle and what it needs, and stop everything else",
        options: WAITING,
        details: WAITING_TEXT,
    },
    Help {
        name: "kill",
        usage: "NAME… [SIGNAL]",
        summary: "send the main process of services a signal (TERM)",
        options: &["signal"],
        details: "What is wanted does not change: a service that dies of it is started again.

  -s, --signal SIGNAL  the signal, if it might be taken for a name",
    },
    Help {
        name: "why",
        usage: "NAME…",
        summary: "tell what services wait for, and what is to blame",
        options: &[],
        details: "Reads files and asks nobody. Exits 1 unless everything told of is as it should be.",
    },
    Help {
        name: "exposure",
        usage: "[NAME…] [--json]",
        summary: "tell what services could still do to the machine",
        options: &["json"],
        details: "Without names: a table of all, the most exposed first. With names: everything that is open or closed, by
subject, with its weight and what would close it. Reads the compiled definitions and asks nobody.

  --json               an array of objects, for programs",
    },
    Help {
        name: "metrics",
        usage: "[--output FILE | --listen [--idle TIME]]",
        summary: "tell how services are, for Prometheus",
        options: &["output", "listen", "idle"],
        details: "In Prometheus's text format: states, restarts, exits, kills for want of memory, pressure, use of memory,
processors, I/O and processes, and sizes of logs. Reads files and asks nobody.

  -o, --output FILE    replace this file as a whole, for the node exporter's textfile collector (a name in .prom)
  --listen             answer GET /metrics at the sockets that are given by LISTEN_FDS
  --idle TIME          with --listen, end when nobody has asked for this long (5m)",
    },
    Help {
        name: "events",
        usage: "[NAME…] [--json]",
        summary: "show every change of state as it happens",
        options: &["json"],
        details: "
  --json               a line with an object for each, for programs",
    },
    Help {
        name: "logs",
        usage: "[-f] [-n N] [NAME…]",
        summary: "show logs, several interleaved by time",
        options: &["follow", "lines"],
        details: "Without names: all of them.

  -n, --lines N        only the last N lines
  -f, --follow         go on with what is logged from now on, after the last 10 lines (or N)",
    },
    Help {
        name: "wait",
        usage: "NAME… [--up|--ready|--down|--done|--ended] [-t TIME] | --boot [-t TIME]",
        summary: "wait until services are ready, or every one of the boot has settled",
        options: &["boot", "timeout", "up", "ready", "down", "done", "ended", "json"],
        details: "Exits 1 if one has failed, cannot be started, or is passed over by its conditions.

  --up                 until each runs, ready or not
  --ready              until each is ready; this is what is waited for if nothing is said
  --down               until nothing of them runs
  --done               until each has done its work
  --ended              until each has ended for good, however; shows how, and takes as long as it takes
  --json               with --ended, an array of objects, for programs
  --boot               until every service of the boot has settled
  -t, --timeout TIME   wait no longer than this (5m), then exit 99",
    },
    Help {
        name: "run",
        usage: "[OPTION…] [--] [COMMAND [ARGUMENT…]]",
        summary: "make a transient service, and start it",
        options: &[
            "name", "image", "env", "env-file", "as-user", "directory", "volume", "limit", "property", "restart",
            "label", "wait", "no-wait", "rm", "timeout", "json",
        ],
        details: RUN,
    },
    Help {
        name: "update",
        usage: "NAME KEY=VALUE… | NAME --reset",
        summary: "change the limits of a service while it runs",
        options: &["reset", "json"],
        details: "The keys are those of [limits] that are of the control group, such as memory.max and cpu.weight. They stand in
RUN/services.d/NAME/service.d/50-update.toml, and are in force until a reboot. The process is not restarted.

  --reset              forget what was changed
  --json               an object, for programs",
    },
    Help {
        name: "usage",
        usage: "NAME… [--json]",
        summary: "show what services use: processor, memory, processes, input and output",
        options: &["json"],
        details: "By the control group of its own that a service has; without one, of the processes that there are.

  --json               an array of objects, for programs",
    },
    Help {
        name: "containers",
        usage: "[--json]",
        summary: "show transient services, and those that run from images",
        options: &["json"],
        details: "
  --json               an array of objects, for programs",
    },
    Help {
        name: "destroy",
        usage: "NAME… [--now] [--with-log] [-t TIME]",
        summary: "stop transient services, and take away all that is of them",
        options: &["now", "with-log", "timeout", "json"],
        details: "
  --now                kill all of its processes, instead of asking it to stop
  --with-log           its log too, which is kept otherwise
  -t, --timeout TIME   wait no longer than this (5m) for each, then exit 99
  --json               an array of objects, for programs",
    },
    Help {
        name: "check",
        usage: "[--root DIR | --no-programs] [--settings FILE] [--instance NAME]… [DIR]",
        summary: "show every mistake in the service definitions of a tree (/etc/services.d)",
        options: &["root", "no-programs", "prober", "settings", "instance"],
        details: "
  --root DIR           look for programs, users and groups in this root, and for the tree if none is named
  --no-programs        do not look for programs
  --settings FILE      the settings of the machine (init.toml beside the tree)
  --instance NAME      an instance of a template to look at as well",
    },
    Help {
        name: "compile",
        usage: "[--root DIR | --no-programs] [--prober PATH] [--settings FILE] [--instance NAME]…",
        summary: "write the compiled definitions, the settings and the plan below the run directory",
        options: &["root", "no-programs", "prober", "settings", "instance", "stage"],
        details:
            "This is what init runs. A broken definition is reported, and hurts one service. The lines of
RUN/init/instances name instances as --instance does.

  --prober PATH        the program that probes ports and pages for readiness (this one)
  --stage              write what differs to where init takes it over from, as for svctl reload",
    },
    Help {
        name: "probe",
        usage: "tcp ADDRESS | http URL [--status N] [--json KEY=VALUE]… [--once]",
        summary: "wait until a port or a web page answers as it should",
        options: &["status", "expect-json", "once"],
        details: "This is what [ready] tcp and http become. Asks after 10 ms, then twice as long, up to 1 s.

  --status N           the page's status, instead of 200 to 299
  --json KEY=VALUE     a key of the page's JSON object, or a JSON pointer, and the value it must have
  --once               ask once, and exit 1 if the answer is not right",
    },
    Help {
        name: "image",
        usage: "VERB …",
        summary: "keep container images, and make roots of them (svctl image --help)",
        options: &[],
        details: "This executes svctl-image, which is looked for beside svctl; svctl-image(8) has its verbs.",
    },
    Help {
        name: "poweroff",
        usage: "",
        summary: "stop every service and switch the machine off",
        options: &["plan", "json"],
        details: POWER,
    },
    Help {
        name: "reboot",
        usage: "",
        summary: "stop every service and boot anew",
        options: &["plan", "json"],
        details: POWER,
    },
    Help {
        name: "halt",
        usage: "",
        summary: "stop every service and the processor",
        options: &["plan", "json"],
        details: POWER,
    },
    Help {
        name: "kexec",
        usage: "[KERNEL [INITRAMFS]] [--append WORDS]",
        summary: "stop every service and start another kernel, without the firmware",
        options: &["plan", "json", "append"],
        details: KEXEC,
    },
    Help { name: "help", usage: "[VERB]", summary: "explain a verb", options: &[], details: "" },
    Help { name: "version", usage: "", summary: "tell the version", options: &[], details: "" },
];

const RUN: &str = "The service is called NAME, and is there until it is destroyed, or the machine is booted. Nothing starts it but this
and svctl start. Returns when a process of it runs, or it is ready, if it says how it becomes so; and prints its name.

  --name NAME          what it is called (run-XXXXXXXX)
  --image REFERENCE    run from a container image; COMMAND stands for what the image runs
  -v, --volume SOURCE:TARGET[:ro]
                       a directory of the machine in the image
  -e, --env NAME=VALUE, --env-file FILE
                       its environment
  --user USER[:GROUP]  who it is
  --directory DIR      where it is run
  --limit KEY=VALUE    a key of [limits], such as memory.max=64MiB
  -p, --property KEY=VALUE
                       any key of service.toml(5), such as stop.timeout=5s
  --restart WHEN       never, on-failure or always (never)
  --label KEY=VALUE    kept for whoever asks (svctl containers)
  --wait               wait until it has ended, and exit as it did; 128 and the number of a signal
  --rm                 with --wait, destroy it then, with its log
  --no-wait            return as soon as the request is taken
  -t, --timeout TIME   wait no longer than this (20m) for its start, then exit 99
  --json               an object, for programs";

const POWER: &str =
    "Asks init. If init does not answer within 5 seconds, PID 1 is sent the signal that means the same.";

const KEXEC: &str = "
Loads the kernel, if one is named, and asks init, which refuses unless one was loaded (kexec_file_load(2)).

  --append WORDS       the kernel's command line, instead of the one that this one was given";

const GLOBAL: &str = "Options for every verb:
  --run DIR            the run directory (what MAINSTAY_RUN says, else that of the init that is there)
  --user               the run directory of your own init (init --user)
  --services DIR       the tree of service directories (that of the init, or /etc/services.d)
  --logs DIR           the directory of logs (that of the init, or /var/log)
  -h, --help           this, or a verb's own page
  -V, --version        the version
";

/// The overview, or a verb's page; none if there is no such verb.
#[must_use]
pub fn text(verb: Option<&str>) -> Option<String> {
    let mut text = String::new();
    let Some(name) = verb else {
        text.push_str("svctl: operates services, and checks and compiles their definitions\n\n");
        text.push_str("usage: svctl [OPTION…] VERB …\n\nVerbs:\n");
        for help in VERBS.iter().filter(|help| !help.summary.is_empty()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:<10} {}", help.name, help.summary);
        }
        let _ = write!(text, "\n{GLOBAL}\nTimes are written as 200ms, 10s, 5m or 1h30m.\n\nExit codes:\n");
        for (_, number, meaning) in TABLE {
            let _ = writeln!(text, "  {number:<4} {meaning}");
        }
        return Some(text);
    };
    let help = VERBS.iter().find(|help| help.name == name)?;
    let _ = writeln!(text, "svctl {}: {}\n", help.name, help.summary);
    let _ = writeln!(text, "usage: {}", format!("svctl {} {}", help.name, help.usage).trim_end());
    let details = help.details.trim_matches('\n');
    if !details.is_empty() {
        let _ = writeln!(text, "\n{details}");
    }
    if help.name == "restart" {
        let _ = writeln!(text, "{WAITING_TEXT}");
    }
    let _ = write!(text, "\n{GLOBAL}");
    Some(text)
}
