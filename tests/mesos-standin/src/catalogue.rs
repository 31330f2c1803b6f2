//! The flags of the two programs, and what `--help` says of them.

use crate::flags::{Flag, Flags, Kind};
use crate::{NOTICE, VERSION};

const fn flag(name: &'static str, kind: Kind, default: Option<&'static str>, help: &'static str) -> Flag {
    Flag { name, kind, default, help }
}

const COMMON: &[Flag] = &[
    flag("help", Kind::Boolean, Some("false"), "Prints this help message"),
    flag("version", Kind::Boolean, Some("false"), "Show version and exit"),
    flag("ip", Kind::Text, None, "IP address to listen on; not together with --ip_discovery_command"),
    flag("ip_discovery_command", Kind::Text, None, "program that prints the IP address to listen on"),
    flag("advertise_ip", Kind::Text, None, "IP address told to others"),
    flag("advertise_port", Kind::Number, None, "port told to others"),
    flag("hostname", Kind::Text, None, "host name told to others"),
    flag("hostname_lookup", Kind::Boolean, Some("true"), "without --hostname: the host's name, not its IP"),
    flag("work_dir", Kind::Text, None, "directory for checkpoints; required"),
    flag("external_log_file", Kind::Text, None, "where this program's log can be found"),
];

const MASTER: &[Flag] = &[
    flag("port", Kind::Number, Some("5050"), "port to listen on"),
    flag("zk", Kind::Text, None, "not in the stand-in: it has no ZooKeeper"),
    flag("quorum", Kind::Number, None, "ignored: it is always alone"),
    flag("registry", Kind::Text, Some("replicated_log"), "replicated_log or in_memory"),
    flag("cluster", Kind::Text, None, "name of the cluster"),
];

const AGENT: &[Flag] = &[
    flag("port", Kind::Number, Some("5051"), "port to listen on"),
    flag("master", Kind::Text, None, "host:port of the master; required. It has no ZooKeeper"),
    flag("runtime_dir", Kind::Text, Some("/var/run/mesos"), "directory for what a reboot must lose"),
    flag("resources", Kind::Text, None, "name:number;name:number; default: what the machine has"),
    flag("attributes", Kind::Text, None, "name:text;name:text"),
    flag("reconfiguration_policy", Kind::Text, Some("equal"), "equal or additive"),
    flag("systemd_enable_support", Kind::Boolean, Some("true"), "asks `/sbin/init --version` at start"),
    flag("executor_shutdown_grace_period", Kind::Duration, Some("5secs"), "between TERM and KILL"),
    flag("registration_backoff_factor", Kind::Duration, Some("1secs"), "eight times the first delay"),
    flag("recovery_timeout", Kind::Duration, Some("15mins"), "how long executors wait for an agent"),
    flag("standin_executors", Kind::Number, Some("2"), "how many executors to start when first registered"),
    flag("standin_host_checks", Kind::Boolean, Some("true"), "cgroup2 at its place, programs in PATH"),
    flag("standin_boot_id", Kind::Text, None, "stands for the kernel's boot id"),
];

/// Flags of Mesos that change nothing that a supervisor sees.
const IGNORED: &[&str] = &[
    "acls",
    "agent_ping_timeout",
    "agent_removal_rate_limit",
    "agent_reregister_timeout",
    "agent_subsystems",
    "allocation_interval",
    "appc_simple_discovery_uri_prefix",
    "appc_store_dir",
    "authenticate_agents",
    "authenticate_frameworks",
    "authenticate_http_readonly",
    "authenticate_http_readwrite",
    "cgroups_enable_cfs",
    "cgroups_hierarchy",
    "cgroups_root",
    "container_disk_watch_interval",
    "container_logger",
    "containerizers",
    "credential",
    "credentials",
    "default_role",
    "docker",
    "docker_config",
    "docker_registry",
    "docker_store_dir",
    "domain",
    "domain_socket_location",
    "executor_environment_variables",
    "executor_registration_timeout",
    "executor_reregistration_timeout",
    "fetcher_cache_dir",
    "fetcher_cache_size",
    "firewall_rules",
    "frameworks_home",
    "gc_delay",
    "gc_disk_headroom",
    "hadoop_home",
    "image_provisioner_backend",
    "image_providers",
    "initialize_driver_logging",
    "isolation",
    "launcher",
    "launcher_dir",
    "limit_swap",
    "log_dir",
    "logbufsecs",
    "logging_level",
    "max_agent_ping_timeouts",
    "max_completed_frameworks",
    "modules",
    "modules_dir",
    "network_cni_config_dir",
    "network_cni_plugins_dir",
    "offer_timeout",
    "oversubscribed_resources_interval",
    "quiet",
    "recover",
    "recovery_agent_removal_limit",
    "registry_fetch_timeout",
    "registry_store_timeout",
    "root_submissions",
    "roles",
    "sandbox_directory",
    "slave_subsystems",
    "strict",
    "switch_user",
    "weights",
    "whitelist",
    "xfs_project_range",
    "zk_session_timeout",
];

fn tables(role: &str) -> [&'static [Flag]; 2] {
    [COMMON, if role == "master" { MASTER } else { AGENT }]
}

/// The flags of this process; `--help`, `--version` and a mistake end it, with status 0, 0 and 1.
pub(crate) fn load(role: &str, arguments: &[String]) -> Flags {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let flags = Flags::load(&tables(role), IGNORED, arguments, environment).unwrap_or_else(|message| {
        crate::say(&help(role));
        failure(&message)
    });
    if flags.is_set("help") {
        crate::say(&help(role));
        std::process::exit(0);
    }
    if flags.is_set("version") {
        crate::print_version();
        std::process::exit(0);
    }
    flags
}

/// Ends the process as `EXIT(EXIT_FAILURE)` does.
pub(crate) fn failure(message: &str) -> ! {
    error!("EXIT with status 1: {message}");
    std::process::exit(1)
}

fn help(role: &str) -> String {
    use std::fmt::Write;
    let mut text = format!("Usage: mesos-{role} [options]\n(mesos {VERSION}: {NOTICE})\n\n");
    for flag in tables(role).into_iter().flatten() {
        let form = match flag.kind {
            Kind::Boolean => format!("--[no-]{}", flag.name),
            Kind::Text | Kind::Number | Kind::Duration | Kind::Ignored => format!("--{}=VALUE", flag.name),
        };
        let default = flag.default.map(|value| format!(" (default: {value})")).unwrap_or_default();
        let _ = writeln!(text, "  {form:<44} {}{default}", flag.help);
    }
    text.push_str("\nOther flags of Mesos are accepted and ignored.\n");
    text
}
