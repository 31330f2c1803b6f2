//! What a container's processes find in their environment.

use super::Given;
use crate::error::{Error, Result};
use crate::messages::Command;
use std::collections::BTreeMap;

/// What agents of some version set for executors; the rest of the environment is the agent's own affair, as with its own
/// containerizers.
const HANDED_ON: [&str; 12] = [
    "HADOOP_HOME",
    "LIBPROCESS_IP",
    "LIBPROCESS_PORT",
    "MESOS_AGENT_ENDPOINT",
    "MESOS_CHECKPOINT",
    "MESOS_EXECUTOR_ID",
    "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
    "MESOS_FRAMEWORK_ID",
    "MESOS_HTTP_COMMAND_EXECUTOR",
    "MESOS_RECOVERY_TIMEOUT",
    "MESOS_SLAVE_ID",
    "MESOS_SUBSCRIPTION_BACKOFF_MAX",
];

/// What names something on this machine's own root; and where `svctl` finds who supervises.
const OUTSIDE: [&str; 5] =
    ["MAINSTAY_RUN", "MESOS_LIBEXEC_DIRECTORY", "MESOS_NATIVE_JAVA_LIBRARY", "MESOS_NATIVE_LIBRARY", "PATH"];

/// What Mesos 1.0 sets if there is none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Given<'_> {
    /// The environment of a command whose sandbox is at `sandbox`.
    pub(super) fn environment(&self, sandbox: &str, command: &Command) -> Result<BTreeMap<String, String>> {
        let outside = sandbox == self.sandbox;
        let names = HANDED_ON.iter().chain(if outside { &OUTSIDE[..] } else { &[] });
        let own = |name: &&str| Some(((*name).to_owned(), self.surroundings.variables.get(*name)?.clone()));
        let mut environment: BTreeMap<String, String> = names.filter_map(own).collect();
        if outside {
            environment.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        }
        let launch = self.launch;
        let said = [
            ("MESOS_DIRECTORY", Some(sandbox)),
            ("MESOS_SANDBOX", Some(sandbox)),
            ("MESOS_EXECUTOR_ID", Some(self.executor.id.as_str())),
            ("MESOS_FRAMEWORK_ID", self.executor.framework.as_deref()),
            ("MESOS_SLAVE_ID", launch.agent.as_deref()),
            ("MESOS_SLAVE_PID", launch.agent_pid.as_deref()),
            ("MESOS_CHECKPOINT", Some(if launch.checkpoint { "1" } else { "0" })),
        ];
        for (name, value) in said {
            environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
        for (name, value) in &command.environment {
            if name.is_empty() || name.contains('=') {
                return Err(Error::new(format!("launch: there is no variable {name:?}")));
            }
            environment.insert(name.clone(), value.clone());
        }
        Ok(environment)
    }
}
