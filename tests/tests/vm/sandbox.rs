//! Sandboxes and roots of containers on the image's own kernel, which is older than most that this is built on.

use crate::debian::Debian;

#[test]
fn what_is_shut_in_on_a_new_kernel_is_shut_in_on_the_images_own() {
    if !tests::images::are_we_root("sandboxes and roots on the image's kernel") {
        return;
    }
    let debian = Debian::boot(&[("tests", "--test sandbox"), ("image", "--lib")]);
    let version = debian.machine.run("uname -r").unwrap();
    assert!(version.starts_with("6.1."), "{version}");
    // Where the settings and their tests are listed is not on that disk.
    let said = debian.test("sandbox", "--skip table::");
    for name in
        ["landlock_leaves_the_ports_that_are_listed", "control_groups_of_its_own_are_all_that_it_sees"]
    {
        assert!(said.contains(&format!("{name} ... ok")), "{said}");
    }
    // A tmpfs of this kernel does not keep attributes that users may set (xattr(7)), which the model expects.
    debian.test("lib", "backend:: --skip all_ways_make_the_same_root --skip many_attributes");
    debian.machine.power_off().unwrap();
}
