//! Every setting has a test in which what it forbids is tried: the keys as the manual page has them, and the words as the
//! compiler lists them, held against the table below, and that against the tests themselves.

use std::fs;
use std::path::Path;
use std::process::Command;
use tests::Fixture;
use tests::programs::program;

/// What is said in a test, and the test: it says `forbids`, or compares the outcomes with and without by itself.
const TABLE: &[(&str, &str)] = &[
    ("system = \"full\"", "a_system_that_is_read_only_is_so_but_for_its_exceptions"),
    ("system = \"strict\"", "a_system_that_is_read_only_is_so_but_for_its_exceptions"),
    ("read-only = ", "places_can_be_read_only_with_what_is_writable_below_them"),
    ("writable = ", "places_can_be_read_only_with_what_is_writable_below_them"),
    ("hidden = ", "what_is_hidden_cannot_be_read_by_root"),
    ("home = \"hidden\"", "homes_are_hidden_or_read_only"),
    ("home = \"read-only\"", "homes_are_hidden_or_read_only"),
    ("temporary = ", "what_is_temporary_is_empty_and_what_is_written_there_is_seen_by_nobody"),
    ("private-tmp = true", "a_tmp_of_its_own_is_empty_and_nobody_else_sees_what_is_in_it"),
    ("private-tmp = true", "a_device_that_is_made_in_a_tmp_of_its_own_cannot_be_used"),
    ("private-devices = true", "devices_of_its_own_are_those_that_do_no_harm"),
    ("network = \"private\"", "a_network_of_its_own_reaches_nothing_but_itself"),
    ("network = \\\"{file}\\\"", "a_network_that_is_there_is_joined"),
    ("private-pids = true", "process_numbers_of_its_own_show_nobody_else"),
    ("private-ipc = true", "host_name_and_queues_are_its_own"),
    ("private-control-groups = true", "control_groups_of_its_own_are_all_that_it_sees"),
    ("hostname = \"inner\"", "host_name_and_queues_are_its_own"),
    ("private-users = true", "users_of_its_own_have_no_privilege_outside"),
    ("user-map = ", "maps_leave_out_whoever_is_not_in_them"),
    ("group-map = ", "maps_leave_out_whoever_is_not_in_them"),
    ("protect = \"all\"", "what_is_protected_is_out_of_reach"),
    ("protect = [\"tunables\"]", "what_is_protected_is_out_of_reach"),
    ("protect = [\"modules\"]", "what_is_protected_is_out_of_reach"),
    ("protect = [\"logs\"]", "what_is_protected_is_out_of_reach"),
    ("protect = [\"control-groups\"]", "what_is_protected_is_out_of_reach"),
    ("protect = [\"clock\"]", "what_is_protected_is_out_of_reach"),
    ("protect = [\"hostname\"]", "what_is_protected_is_out_of_reach"),
    ("deny = \"setuid-files\"", "nothing_is_made_that_gives_away_the_rights_of_its_owner"),
    ("deny = [\"namespaces\"]", "no_namespace_is_made_or_entered"),
    ("deny = [\"write-execute\"]", "memory_is_not_executable_and_writable"),
    ("deny = [\"real-time\"]", "neither_real_time_nor_another_personality_is_had"),
    ("deny = [\"personality\"]", "neither_real_time_nor_another_personality_is_had"),
    ("address-families = ", "sockets_are_of_the_families_that_are_listed"),
    ("system-calls = ", "calls_that_are_not_listed_fail_kill_or_are_noted"),
    ("system-calls = ", "calls_by_the_convention_of_32_bits_end_the_process"),
    ("system-calls = ", "calls_by_the_convention_of_x32_are_refused_before_the_kernel_is_asked"),
    ("denied-calls = \"kill\"", "calls_that_are_not_listed_fail_kill_or_are_noted"),
    ("denied-calls = \"log\"", "calls_that_are_not_listed_fail_kill_or_are_noted"),
    ("denied-calls = \"error\"", "calls_that_are_not_listed_fail_kill_or_are_noted"),
    ("landlock = { read", "landlock_puts_everything_out_of_reach_that_is_not_listed"),
    ("landlock = { write", "landlock_puts_everything_out_of_reach_that_is_not_listed"),
    ("landlock = { execute", "landlock_puts_everything_out_of_reach_that_is_not_listed"),
    ("landlock = { bind", "landlock_leaves_the_ports_that_are_listed"),
    ("landlock = { connect", "landlock_leaves_the_ports_that_are_listed"),
    ("kernel-lacks = \"error\"", "a_step_that_fails_is_named_and_nothing_runs"),
    ("kernel-lacks = \"warning\"", "a_step_that_may_fail_is_warned_of_and_the_service_runs"),
    ("[user] name = ", "a_user_has_no_capability_but_those_that_it_is_given"),
    ("[user] group = ", "the_group_the_groups_and_the_mask_decide_what_is_reached"),
    ("[user] groups = ", "the_group_the_groups_and_the_mask_decide_what_is_reached"),
    ("[user] umask = ", "the_group_the_groups_and_the_mask_decide_what_is_reached"),
    ("[user] capabilities = ", "a_capability_that_is_not_named_is_not_had"),
    ("[user] ambient-capabilities = ", "a_user_has_no_capability_but_those_that_it_is_given"),
    ("[user] no-new-privileges = ", "what_is_executed_gains_no_privilege"),
];

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The keys that a section of the manual page explains.
fn documented(section: &str) -> Vec<String> {
    let page = file("../docs/service.toml.5");
    let text = page.split("\n.SS ").find(|text| text.starts_with(section)).unwrap();
    let heads = text.lines().filter_map(|line| line.strip_prefix(".BR ")?.split_once("\" = "));
    let keys = heads.flat_map(|(keys, _)| keys.split(" \", \"").map(|key| key.trim().replace("\\-", "-")));
    keys.collect()
}

/// The words that the compiler would take, by what it says of another.
fn words(key: &str) -> Vec<String> {
    let fixture =
        Fixture::new().service("a", &format!("command = [\"/bin/true\"]\n[sandbox]\n{key} = \"?\""));
    let services = fixture.path("services");
    let output =
        Command::new(program("svctl")).arg("check").arg("--no-programs").arg(services).output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let list = told.split("expected one of ").nth(1).unwrap_or_else(|| panic!("{key}: {told}"));
    let list = list.split(", found").next().unwrap();
    list.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Every setting that there is, as the table has it.
fn settings() -> Vec<String> {
    let mut settings: Vec<String> =
        documented("[user]").iter().map(|key| format!("[user] {key} =")).collect();
    for key in documented("[sandbox]") {
        match key.as_str() {
            "system" | "home" | "protect" | "deny" | "denied-calls" | "kernel-lacks" => {
                let words = words(&key);
                assert!(words.len() >= 2, "{key}: {words:?}");
                settings.extend(words.iter().map(|word| format!("{key} = \"{word}\"")));
            }
            "landlock" => {
                let rights = ["read", "write", "execute", "bind", "connect"];
                settings.extend(rights.map(|right| format!("landlock = {{ {right}")));
            }
            _ => settings.push(format!("{key} =")),
        }
    }
    assert!(settings.len() > 40, "all was read: {settings:?}");
    settings
}

/// The tests, by name.
fn bodies() -> Vec<(String, String)> {
    let mut bodies = Vec::new();
    for name in ["calls", "files", "lacking", "machine", "namespaces", "rights"] {
        let text = file(&format!("tests/sandbox/{name}.rs"));
        for test in text.split("#[test]\n").skip(1) {
            let (_, rest) = test.split_once("fn ").unwrap();
            let name = rest.split('(').next().unwrap().to_owned();
            let body = rest.split("\n}\n").next().unwrap();
            bodies.push((name, body.replace("\\\"", "\"")));
        }
    }
    bodies
}

#[test]
fn every_setting_has_a_test_in_which_what_it_forbids_is_tried() {
    let plain = |text: &str| text.replace(['[', ']'], "");
    let has =
        |setting: &String| TABLE.iter().any(|(in_table, _)| plain(in_table).starts_with(&plain(setting)));
    let missing: Vec<String> = settings().into_iter().filter(|setting| !has(setting)).collect();
    assert!(missing.is_empty(), "documented, or taken by the compiler, and tried by no test: {missing:?}");
}

#[test]
fn every_test_of_the_table_tries_its_setting_with_and_without() {
    let bodies = bodies();
    for (setting, test) in TABLE {
        let found = bodies.iter().find(|(name, _)| name == test);
        let (_, body) = found.unwrap_or_else(|| panic!("there is no test {test}"));
        let key = setting.trim_start_matches("[user] ").split(" = ").next().unwrap();
        // What is so unless it is said need not be said.
        let implied = ["kernel-lacks = \"error\"", "denied-calls = \"error\""].contains(setting);
        let said = body.contains(&format!("{key} = ")) || (key == "name" && body.contains("NOBODY"));
        assert!(implied || said, "{test} says nothing of {key}");
        let compared = ["forbids(", "shuts_in(", "outcome(", "ended("].iter().any(|one| body.contains(one));
        assert!(compared || key == "kernel-lacks" || key == "network", "{test} compares nothing");
        if let Some(word) = setting.split('"').nth(1).filter(|word| !word.contains('{')) {
            assert!(implied || body.contains(&format!("\"{word}\"")), "{test} says nothing of \"{word}\"");
        }
    }
}
