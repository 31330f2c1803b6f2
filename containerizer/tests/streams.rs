//! Byte streams made by another implementation, and what they come to; answers, and what another implementation reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use containerizer::messages::{self, Reason, Statistics, TaskState, Termination};
use containerizer::plan::{Plan, Surroundings, plan};
use proptest::prelude::*;
use tests::protobuf::{decode, encode};

/// What an agent of 0.19 sends for a task that is a command, in an image.
const COMMAND_TASK: &str = r#"
container_id { value: "558e0a69-70da-4d71-b4c4-c2820b1d6345" }
task_info {
  name: "sleeper" task_id { value: "task.1" } slave_id { value: "S1" }
  resources { name: "cpus" type: SCALAR scalar { value: 1 } role: "*" }
  resources { name: "mem" type: SCALAR scalar { value: 128 } }
  command { value: "echo $GREETING; sleep 1000" environment { variables { name: "GREETING" value: "hello" } }
            container { image: "docker:///busybox:1.36" } }
}
executor_info {
  executor_id { value: "task.1" } framework_id { value: "F1" } name: "Command Executor" source: "task.1"
  command { value: "/usr/libexec/mesos/mesos-executor" environment { variables { name: "GREETING" value: "hello" } }
            container { image: "docker:///busybox:1.36" } }
  resources { name: "cpus" type: SCALAR scalar { value: 1 } }
  resources { name: "mem" type: SCALAR scalar { value: 128 } }
  resources { name: "cpus" type: SCALAR scalar { value: 0.5 } role: "web" }
  resources { name: "ports" type: RANGES ranges { range { begin: 31000 end: 31001 } } }
}
directory: "/var/lib/mesos/slaves/S1/runs/1" user: "nobody" slave_id { value: "S1" }
slave_pid: "slave(1)@127.0.0.1:5051" checkpoint: true
"#;

/// What an agent sends for an executor of a framework's own.
const EXECUTOR: &str = r#"
container_id { value: "e1" }
executor_info {
  executor_id { value: "mine" } framework_id { value: "F1" }
  command { shell: false value: "/bin/executor" arguments: "executor" arguments: "--a" arguments: "b c"
            uris { value: "http://example.com/a.tar.gz" } uris { value: "/b" executable: true extract: false } }
  container { type: MESOS mesos { image { type: DOCKER docker { name: "alpine:3" } } }
              volumes { container_path: "/data" host_path: "/srv/a:b" mode: RO }
              volumes { container_path: "/work" host_path: "work" mode: RW } }
  resources { name: "mem" type: SCALAR scalar { value: 64 } }
}
directory: "/sandbox" slave_id { value: "S1" } slave_pid: "slave(1)@127.0.0.1:5051"
"#;

fn surroundings() -> Surroundings {
    let variables = [
        ("MESOS_WORK_DIRECTORY", "/var/lib/mesos"),
        ("MESOS_LIBEXEC_DIRECTORY", "/usr/libexec/mesos"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_MASTER", "zk://secret@master/mesos"),
        ("LIBPROCESS_PORT", "0"),
        ("PATH", "/agent/bin"),
    ];
    Surroundings {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        program: "/usr/sbin/external-containerizer".to_owned(),
    }
}

fn planned(text: &str) -> Plan {
    plan(&messages::launch(&encode("Launch", text)).unwrap(), &surroundings()).unwrap()
}

fn refused(text: &str) -> String {
    let launch = messages::launch(&encode("Launch", text)).unwrap();
    plan(&launch, &surroundings()).unwrap_err().to_string()
}

/// A launch of an executor with this command, and more.
fn executor(command: &str, more: &str) -> String {
    format!(
        "container_id {{ value: \"c\" }} directory: \"/sandbox\" \
         executor_info {{ executor_id {{ value: \"e\" }} command {{ {command} }} {more} }}"
    )
}

#[test]
fn a_command_in_an_image_is_a_service_beside_its_executor() {
    let plan = planned(COMMAND_TASK);
    let [task, executor] = plan.services.as_slice() else { panic!("{plan:?}") };
    assert_eq!(task.image.as_deref(), Some("docker:///busybox:1.36"));
    assert_eq!(task.command, ["/bin/sh", "-c", "echo $GREETING; sleep 1000"]);
    assert_eq!((task.directory.as_str(), task.user.as_deref()), ("/mnt/mesos/sandbox", Some("nobody")));
    assert_eq!(task.limits, ["cpu.weight=150", "memory.max=134217728"]);
    assert_eq!(task.environment["GREETING"], "hello");
    assert_eq!(task.environment["MESOS_DIRECTORY"], "/mnt/mesos/sandbox");
    assert!(!task.environment.contains_key("PATH"), "the image has its own");
    assert_eq!(executor.image, None);
    assert_eq!(
        executor.command,
        [
            "/bin/sh",
            "-c",
            "exec /usr/libexec/mesos/mesos-executor --override \"$0\" \"$@\"",
            "/usr/sbin/external-containerizer",
            "observe",
            task.name.as_str(),
        ]
    );
    assert_eq!(executor.directory, "/var/lib/mesos/slaves/S1/runs/1");
    assert_eq!(executor.limits, [""; 0], "the task has them");
    for (name, value) in [
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
        ("MESOS_SLAVE_ID", "S1"),
        ("MESOS_FRAMEWORK_ID", "F1"),
        ("MESOS_EXECUTOR_ID", "task.1"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_SANDBOX", "/var/lib/mesos/slaves/S1/runs/1"),
        ("LIBPROCESS_PORT", "0"),
        ("PATH", "/agent/bin"),
    ] {
        assert_eq!(executor.environment[name], value, "{name}");
    }
    assert!(!executor.environment.contains_key("MESOS_MASTER"), "what is the agent's alone stays with it");
    assert_ne!(task.name, executor.name);
}

#[test]
fn an_executor_in_an_image_is_one_service() {
    let plan = planned(EXECUTOR);
    let [service] = plan.services.as_slice() else { panic!("{plan:?}") };
    assert_eq!(service.image.as_deref(), Some("alpine:3"));
    assert_eq!(service.command, ["/bin/executor", "--a", "b c"], "the first argument is its name");
    assert_eq!(service.limits, ["memory.max=67108864"]);
    let volumes = &service.properties.iter().find(|(key, _)| *key == "image.volumes").unwrap().1;
    assert_eq!(
        volumes,
        "[{ source = \"/sandbox\", target = \"/mnt/mesos/sandbox\", writable = true }, \
         { source = \"/srv/a:b\", target = \"/data\", writable = false }, \
         { source = \"/sandbox/work\", target = \"/work\", writable = true }]"
    );
    assert!(plan.uris[0].extract && !plan.uris[0].executable, "unless it says otherwise");
    assert!(!plan.uris[1].extract && plan.uris[1].executable);
    let words = service.arguments();
    assert_eq!(words[..4], ["run", "--no-wait", "--name", service.name.as_str()]);
    let end = words.iter().position(|word| word == "--").unwrap();
    assert_eq!(words[end + 1..], service.command);
    assert!(words.windows(2).any(|pair| pair == ["--label", "mesos.container=e1"]), "{words:?}");
    assert!(words.windows(2).any(|pair| pair == ["--property", "process.stderr=\"/sandbox/stderr\""]));
}

#[test]
fn without_an_image_the_executor_runs_on_the_machines_own_root() {
    let plan = planned(&executor("value: \"exec mine\"", ""));
    let [service] = plan.services.as_slice() else { panic!("{plan:?}") };
    assert_eq!((service.image.as_ref(), &plan.user), (None, &None));
    assert_eq!(service.command, ["/bin/sh", "-c", "exec mine"]);
    assert_eq!(service.directory, "/sandbox");
    let task =
        "container_id { value: \"c\" } directory: \"/s\" task_info { name: \"n\" task_id { value: \"t\" }
                slave_id { value: \"s\" } command { value: \"true\" user: \"daemon\" } }";
    let plan = planned(task);
    assert_eq!(
        plan.services[0].command,
        ["/usr/libexec/mesos/mesos-executor"],
        "a task by itself has Mesos's"
    );
    assert_eq!(plan.services[0].user.as_deref(), Some("daemon"));
}

#[test]
fn what_runs_in_an_image_follows_the_rules_of_mesos() {
    let command = |command: &str| {
        let text = executor(&format!("{command} container {{ image: \"i\" }}"), "");
        let service = planned(&text).services.remove(0);
        let arguments = service.properties.into_iter().find(|(key, _)| *key == "image.arguments");
        (service.command.join(" "), arguments.map(|(_, value)| value))
    };
    assert_eq!(command("shell: false"), (String::new(), None), "what the image says");
    let arguments = Some("[\"a\", \"\\\"b\\u007f\"]".to_owned());
    assert_eq!(command("shell: false arguments: \"a\" arguments: '\"b\\177'"), (String::new(), arguments));
    assert_eq!(
        command("shell: false value: \"/p\" arguments: \"x\" arguments: \"y\""),
        ("/p y".to_owned(), None)
    );
    assert_eq!(command("value: \"a b\" arguments: \"x\""), ("/bin/sh -c a b".to_owned(), None));
    assert!(refused(&executor("container { image: \"i\" }", "")).contains("no command for the shell"));
    assert!(refused(&executor("shell: false", "")).contains("no image to have one"));
}

#[test]
fn the_image_is_what_is_said_closest_to_the_command() {
    let image = |text: &str, default: Option<&str>| {
        let mut around = surroundings();
        let default = default.map(|image| ("MESOS_DEFAULT_CONTAINER_IMAGE".to_owned(), image.to_owned()));
        around.variables.extend(default);
        plan(&messages::launch(&encode("Launch", text)).unwrap(), &around).unwrap().services.remove(0).image
    };
    let docker = "container { type: DOCKER docker { image: \"docker\" } }";
    let appc = "container { type: MESOS mesos { image { type: APPC appc { name: \"x/y\" id: \"sha512-1\" \
                labels { labels { key: \"version\" value: \"1\" } } } } } }";
    let command = "value: \"v\" container { image: \"docker://r.example.com/a/b:tag\" }";
    assert_eq!(image(&executor("value: \"v\"", ""), None), None);
    assert_eq!(image(&executor("value: \"v\"", ""), Some("d")).as_deref(), Some("d"));
    assert_eq!(image(&executor("value: \"v\"", docker), Some("d")).as_deref(), Some("docker"));
    assert_eq!(
        image(&executor(command, docker), Some("d")).as_deref(),
        Some("docker://r.example.com/a/b:tag")
    );
    assert_eq!(
        image(&executor("value: \"v\"", appc), None).as_deref(),
        Some("appc:x/y,version=1,id=sha512-1")
    );
}

#[test]
fn an_executor_of_1_0_is_told_of_the_task_in_its_own_way() {
    let text = COMMAND_TASK.replace(
        "value: \"/usr/libexec/mesos/mesos-executor\"",
        "shell: false value: \"/usr/libexec/mesos/mesos-executor\" arguments: \"mesos-executor\" \
         arguments: \"--launcher_dir=/usr/libexec/mesos\"",
    );
    let plan = planned(&text);
    let command = &plan.services[1].command;
    assert_eq!(command[..2], ["/usr/libexec/mesos/mesos-executor", "--launcher_dir=/usr/libexec/mesos"]);
    let json: serde_json::Value =
        serde_json::from_str(command[2].strip_prefix("--task_command=").unwrap()).unwrap();
    assert_eq!(json["shell"], false);
    assert_eq!(json["value"], "/usr/sbin/external-containerizer");
    assert_eq!(json["arguments"][2], plan.services[0].name.as_str());
}

#[test]
fn a_command_of_0_19_with_a_health_check_is_understood() {
    let command = encode("CommandInfo019", "value: \"true\" health_check { consecutive_failures: 3 }");
    // Put in by hand where `protoc` knows field 6 as a boolean.
    let id = encode("ExecutorID", "value: \"e\"");
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let executor = [field(1, &id), field(7, &command)].concat();
    let launch =
        [field(1, &encode("ContainerID", "value: \"c\"")), field(3, &executor), field(4, b"/s")].concat();
    let launch = messages::launch(&launch).unwrap();
    let command = launch.executor.unwrap().command;
    assert_eq!((command.value.as_deref(), command.shell), (Some("true"), true));
}

#[test]
fn what_the_operator_wants_every_container_gets_and_of_the_image_only_one_in_it() {
    let mut around = surroundings();
    let wanted = "sandbox.private-tmp=true\n\n image.backend=\"copy\" \n".to_owned();
    around.variables.insert("EXTERNAL_CONTAINERIZER_PROPERTIES".to_owned(), wanted);
    let services = |text: &str| {
        let launch = messages::launch(&encode("Launch", text)).unwrap();
        plan(&launch, &around).unwrap().services.into_iter().map(|service| service.more).collect::<Vec<_>>()
    };
    let both = ["sandbox.private-tmp=true", "image.backend=\"copy\""];
    assert_eq!(services(COMMAND_TASK), [&both[..], &both[..1]]);
    assert_eq!(services(EXECUTOR), [both]);
    assert_eq!(services(&executor("value: \"v\"", "")), [&both[..1]]);
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let options = "value: \"v\" container { image: \"i\" options: \"--privileged\" }";
    assert!(refused(&executor(options, "")).contains("\"--privileged\" is not known"));
    let variable = "value: \"v\" environment { variables { name: \"A=B\" value: \"\" } }";
    assert!(refused(&executor(variable, "")).contains("there is no variable \"A=B\""));
    let volume = "container { type: MESOS volumes { container_path: \"/a\" host_path: \"/b\" mode: RW } }";
    assert!(refused(&executor("value: \"v\"", volume)).contains("volumes are for images"));
    assert!(
        refused("container_id { value: \"c\" } directory: \"/s\"").contains("neither an executor nor a task")
    );
    assert!(refused(&executor("value: \"v\"", "").replace("/sandbox", "a")).contains("not absolute"));
    assert!(refused("container_id { value: \"c\" }").contains("no directory"));
}

#[test]
fn what_is_required_is_demanded() {
    let wrong = |bytes: &[u8]| messages::launch(bytes).unwrap_err().to_string();
    assert_eq!(wrong(b""), "understand the message: container_id is missing");
    assert_eq!(wrong(&[0x0a, 0]), "understand the message: container_id.value is missing");
    assert!(wrong(&encode("Launch", "container_id { value: \"a\\nb\" }")).contains("is no container's id"));
    assert!(wrong(&encode("Launch", "container_id { value: \"\" }")).contains("is no container's id"));
    let executor = [encode("ContainerID", "value: \"c\"").as_slice(), &[]].concat();
    let launch = [&[0x0a, u8::try_from(executor.len()).unwrap()], executor.as_slice(), &[0x1a, 0]].concat();
    assert_eq!(wrong(&launch), "understand the message: executor_info.executor_id is missing");
    let update = |text: &str| messages::update(&encode("Update", text));
    let id = "container_id { value: \"c\" }";
    assert_eq!(update(id).unwrap(), ("c".to_owned(), [].into()));
    for (value, told) in [("nan", "NaN of cpus"), ("-1", "-1 of cpus"), ("inf", "inf of cpus")] {
        let text = format!("{id} resources {{ name: \"cpus\" type: SCALAR scalar {{ value: {value} }} }}");
        let error = update(&text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let text = format!("{id} resources {{ name: \"cpus\" type: SCALAR }}");
    assert!(update(&text).unwrap_err().to_string().contains("a resource's value is missing"));
    for kind in ["Wait", "Usage", "Destroy"] {
        assert_eq!(messages::of_container(&encode(kind, id)).unwrap(), "c");
    }
}

#[test]
fn answers_are_read_by_others_as_they_were_meant() {
    let termination = Termination {
        killed: true,
        message: "its memory was over the limit".to_owned(),
        status: Some(9),
        state: TaskState::Failed,
        reason: Reason::Memory,
    };
    assert_eq!(
        decode("Termination", &termination.encode()),
        "killed: true\nmessage: \"its memory was over the limit\"\nstatus: 9\nstate: TASK_FAILED\n\
         reasons: REASON_CONTAINER_LIMITATION_MEMORY\n"
    );
    let none = Termination { killed: false, message: String::new(), status: None, ..termination };
    assert!(decode("Termination", &none.encode()).starts_with("killed: false\nmessage: \"\"\nstate:"));
    let statistics = Statistics {
        timestamp: 1_795_286_766.25,
        cpus_user: Some(0.5),
        periods: Some(u64::MAX),
        mem_total: Some(1 << 40),
        mem_anon: Some(5),
        ..Statistics::default()
    };
    assert_eq!(
        decode("ResourceStatistics", &statistics.encode()),
        "timestamp: 1795286766.25\ncpus_user_time_secs: 0.5\nmem_rss_bytes: 5\ncpus_nr_periods: 4294967295\n\
         mem_anon_bytes: 5\nmem_total_bytes: 1099511627776\n"
    );
    let containers = messages::containers(["a", "b \u{fc}"]);
    assert_eq!(
        decode("Containers", &containers),
        "containers {\n  value: \"a\"\n}\ncontainers {\n  value: \"b \\303\\274\"\n}\n"
    );
    assert_eq!(messages::containers([]), [0; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_message_with_bytes_changed_is_understood_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
        length in any::<proptest::sample::Index>(),
    ) {
        for text in [COMMAND_TASK, EXECUTOR] {
            let whole = encode("Launch", text);
            let mut changed = whole.clone();
            for (at, byte) in &changes {
                let at = at.index(changed.len());
                changed[at] = *byte;
            }
            for bytes in [changed.as_slice(), &whole[..length.index(whole.len())]] {
                if let Ok(launch) = messages::launch(bytes)
                    && let Ok(plan) = plan(&launch, &surroundings())
                {
                    prop_assert!(!plan.services.is_empty());
                    for service in &plan.services {
                        prop_assert!(service::definition::valid_name(&service.name));
                    }
                }
            }
        }
    }

    #[test]
    fn any_values_come_through(
        id in "[^\\p{Cc}]{1,40}", value in "[^\\x00]{0,60}", numbers in proptest::collection::vec(0.0..1e6_f64, 0..5),
    ) {
        let escaped: String = value.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        let escaped_id: String = id.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        let resources: String = numbers
            .iter()
            .map(|number| format!("resources {{ name: \"mem\" type: SCALAR scalar {{ value: {number} }} }} "))
            .collect();
        let text = executor(&format!("value: \"{escaped}\""), &resources)
            .replace("value: \"c\"", &format!("value: \"{escaped_id}\""));
        let launch = messages::launch(&encode("Launch", &text)).unwrap();
        prop_assert_eq!(&launch.container, &id);
        let executor = launch.executor.unwrap();
        prop_assert_eq!(executor.command.value.as_deref(), Some(value.as_str()));
        let sum: f64 = numbers.iter().sum();
        prop_assert!((executor.resources.get("mem").copied().unwrap_or(0.0) - sum).abs() < 1e-3);
    }
}
