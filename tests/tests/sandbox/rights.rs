//! What `[user]` takes away: the forbidden thing is tried, fails, and succeeds without the setting.

use crate::{Place, privileged, said};
use std::os::unix::fs::PermissionsExt;
use tests::Fixture;

/// What a script says with these settings of `[user]`.
fn outcome(settings: &str, script: &str) -> String {
    let toml = "command = [\"/bin/sh\", \"@T/script\"]\n[restart]\nwhen = \"never\"\n[user]\n";
    let fixture = Fixture::new().file("script", script).service("a", &format!("{toml}{settings}"));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(fixture.place(), mode).unwrap();
    said(&fixture.start())
}

#[track_caller]
fn forbids(setting: &str, base: &str, script: &str, with: &str, without: &str) {
    assert_eq!(outcome(base, script), without, "without {setting}: {script}");
    assert_eq!(outcome(&format!("{base}\n{setting}"), script), with, "with {setting}: {script}");
}

const NOBODY: &str = "name = \"nobody\"";

#[test]
fn a_capability_that_is_not_named_is_not_had() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let give = place.text("chown 4711 @P/open/file 2>/dev/null && echo '> given'; echo '> end'");
    forbids("capabilities = [\"net-bind-service\"]", "", &give, "end", "given end");
    assert_eq!(outcome("capabilities = [\"chown\"]", &give), "given end");
}

#[test]
fn a_user_has_no_capability_but_those_that_it_is_given() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let give = place.text("chown 4711 @P/open/file 2>/dev/null && echo '> given'; echo '> end'");
    forbids(NOBODY, "", &give, "end", "given end");
    // The other way: this one gives something.
    forbids("ambient-capabilities = [\"chown\"]", NOBODY, &give, "given end", "end");
}

#[test]
fn what_is_executed_gains_no_privilege() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let program = place.0.join("open/id");
    std::fs::copy("/usr/bin/id", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let who = format!("echo \"> $({} -u)\"", program.display());
    forbids("no-new-privileges = true", NOBODY, &who, "65534", "0");
}

#[test]
fn the_group_the_groups_and_the_mask_decide_what_is_reached() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let file = place.0.join("open/file");
    std::os::unix::fs::chown(&file, Some(0), Some(4712)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let read = place.text("cat @P/open/file 2>/dev/null | sed 's/^/> /'; echo '> end'");
    let member = format!("{NOBODY}\ngroups = [\"4712\"]");
    assert_eq!(outcome(&member, &read), "text end");
    forbids("groups = []", NOBODY, &read, "end", "end");
    assert_eq!(outcome(&format!("{NOBODY}\ngroup = \"4712\""), &read), "text end");
    let make = "touch made; stat -c '> %a' made; rm made";
    let make = format!("cd /tmp && mkdir u-$$ && cd u-$$ && {make}; cd .. && rmdir u-$$");
    forbids("umask = \"077\"", "", &make, "600", "644");
}
