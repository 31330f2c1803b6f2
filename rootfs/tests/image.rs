//! Whole builds, of a recipe with made-up packages.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on is a test that fails"
)]

mod fixture;

use std::fs;

use fixture::Fixture;

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let fixture = Fixture::new();
    fixture.build("one", &[]);
    fixture.build("two", &[]);
    for name in ["vmlinuz", "initramfs", "manifest.json", "image.json"] {
        let [one, two] = ["one", "two"].map(|out| fs::read(fixture.path(out).join(name)).unwrap());
        assert!(one == two, "{name} differs");
    }
}

#[test]
fn an_image_is_built_again_only_when_something_changed() {
    let fixture = Fixture::new();
    fixture.build("out", &[]);
    assert_eq!(fixture.build("out", &[]), "rootfs: image up to date in out\n");
    fixture.write("services/sshd/service.toml", "two");
    assert!(!fixture.build("out", &[]).contains("up to date"), "a changed service went unnoticed");
    fs::write(fixture.path("out/initramfs"), "cut short").unwrap();
    assert!(!fixture.build("out", &[]).contains("up to date"), "a damaged image went unnoticed");
}

#[test]
fn libraries_come_from_the_packages_that_a_program_depends_on() {
    let fixture = Fixture::new();
    fixture.build("out", &[]);
    let library = fixture.entry("out", "/usr/lib/x86_64-linux-gnu/libc.so.6").unwrap();
    assert_eq!(library["package"], "libtest6");
    assert!(fixture.entry("out", "/usr/lib64/ld-linux-x86-64.so.2").is_some(), "no program interpreter");
    let manifest = fixture.manifest("out");
    let names: Vec<&str> =
        manifest["packages"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["libtest6", "linux-image-1.0", "tools"]);
}

#[test]
fn a_missing_library_is_named_with_the_program_that_needs_it() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path("cache/libtest6_1_amd64/usr/lib/x86_64-linux-gnu/libc.so.6")).unwrap();
    let said = fixture.fail(&[]);
    assert!(said.contains("/usr/bin/tool") && said.contains("libc.so.6"), "{said}");
}

#[test]
fn a_library_without_the_symbols_of_a_program_is_named_with_both() {
    let fixture = Fixture::new();
    fixture.write("versions", "OLD_1 { global: given; };\n");
    let options = ["-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-Wl,--version-script=versions"];
    let library = "cache/libtest6_1_amd64/usr/lib/libown.so.1";
    fixture.program(library, "int given(void) { return 0; }", &options);
    fixture.write("newer", "OLD_1 { global: given; };\nNEW_2 { global: more; };\n");
    let mut newer = options;
    newer[3] = "-Wl,--version-script=newer";
    fixture.program("libown.so", "int given(void) { return 0; } int more(void) { return 0; }", &newer);
    let source = "int more(void); int main(void) { return more(); }";
    fixture.program("cache/tools_1_amd64/usr/bin/tool", source, &["libown.so"]);
    let said = fixture.fail(&[]);
    assert!(said.contains("include /usr/bin/tool: it needs NEW_2 of libown.so.1"), "{said}");
}

#[test]
fn a_script_without_its_interpreter_is_named_with_it() {
    let fixture = Fixture::new();
    fixture.script("services/sshd/run", "#!/usr/bin/python3 -u\n");
    let said = fixture.fail(&[]);
    assert!(said.contains("/etc/services.d/sshd/run") && said.contains("/usr/bin/python3"), "{said}");
    fixture.script("services/sshd/run", "#!/bin/sh\n");
    fixture.build("out", &[]);
}

#[test]
fn a_file_that_a_package_does_not_have_is_named_with_it() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path("cache/tools_1_amd64/usr/bin/tool")).unwrap();
    assert!(fixture.fail(&[]).contains("take /usr/bin/tool: package tools has no such file"));
}

#[test]
fn a_program_that_is_not_built_is_named() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path("programs/init")).unwrap();
    assert!(fixture.fail(&[]).contains("read programs/init: "));
}

#[test]
fn a_later_services_directory_replaces_a_service_whole() {
    let fixture = Fixture::new();
    fixture.write("services/sshd/finish", "old");
    fixture.write("services/other/service.toml", "stays");
    fixture.write("more/sshd/service.toml", "new");
    fixture.build("out", &["--services", "more"]);
    let size = |path| fixture.entry("out", path).map(|entry| entry["size"].as_u64().unwrap());
    assert_eq!(size("/etc/services.d/sshd/service.toml"), Some(3));
    assert_eq!(size("/etc/services.d/sshd/finish"), None);
    assert_eq!(size("/etc/services.d/other/service.toml"), Some(5));
}

#[test]
fn an_extra_tree_is_laid_over_the_image() {
    let fixture = Fixture::new();
    fixture.script("extra/bin/mine", "#!/bin/sh\n");
    fixture.build("out", &["--extra", "extra"]);
    let mine = fixture.entry("out", "/usr/bin/mine").unwrap();
    assert_eq!((mine["mode"].as_str(), mine["from"].as_str()), (Some("0755"), Some("extra")));
}

#[test]
fn services_that_the_checker_refuses_stop_the_build() {
    let fixture = Fixture::new();
    fixture.script("programs/svctl", "#!/bin/sh\necho \"$4/sshd/service.toml: bad\"; exit 1\n");
    assert!(fixture.fail(&[]).contains("\n/etc/services.d/sshd/service.toml: bad"));
    fixture.build("out", &["--no-check"]);
}

#[test]
fn the_key_lets_root_in_and_its_place_is_no_part_of_the_image() {
    let fixture = Fixture::new();
    fixture.write("key", "private");
    fixture.build("out", &[]);
    let key = fixture.entry("out", "/root/.ssh/authorized_keys").unwrap();
    assert_eq!((key["mode"].as_str(), key["size"].as_u64()), (Some("0600"), Some(22)));
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.path("out/image.json")).unwrap()).unwrap();
    assert_eq!(state["ssh_key"].as_str(), fixture.path("key").to_str());
    let manifest = fs::read_to_string(fixture.path("out/manifest.json")).unwrap();
    assert!(!manifest.contains(fixture.directory.path().to_str().unwrap()), "a path of this machine got in");
}
