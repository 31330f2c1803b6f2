//! What settings are called, and what they may be.

use super::*;

#[test]
fn the_first_drafts_names_and_mesoss_mean_the_same() {
    let set = |pairs: &[(&str, &str)]| {
        let mut settings = Settings::default();
        pairs.iter().for_each(|(name, value)| settings.set(name, value).unwrap());
        format!("{settings:?}")
    };
    let ours = [
        ("kinds", "appc,docker"),
        ("store", "/s"),
        ("local", "/l"),
        ("appc-prefix", "http://x/"),
        ("backend", "copy"),
    ];
    let seed = [
        ("provisioners", "appc,docker"),
        ("provisioner_store_dir", "/s"),
        ("provisioner_local_dir", "/l"),
        ("appc-prefix", "http://x/"),
        ("provisioner_discovery", "simple"),
        ("provisioner_backend", "copy"),
    ];
    let mesos = [
        ("image_providers", "APPC,DOCKER"),
        ("docker_store_dir", "/s"),
        ("appc_store_dir", "/s"),
        ("docker_registry", "file:///l"),
        ("appc_simple_discovery_uri_prefix", "http://x/"),
        ("image_provisioner_backend", "copy"),
    ];
    assert_eq!(set(&ours), set(&seed));
    assert_eq!(set(&ours), set(&mesos));
    assert_eq!(set(&[("containers", "/c")]), set(&[("provisioner_rootfs_dir", "/c")]));
    assert_eq!(set(&[("docker_registry", "https://r.io")]), set(&[("registry", "https://r.io")]));
}

#[test]
fn a_setting_that_is_wrong_is_named() {
    let mut settings = Settings::default();
    for (name, value) in [
        ("store", "rel"),
        ("kinds", "rkt"),
        ("backend", "aufs"),
        ("nosuch", "1"),
        ("devices", "maybe"),
        ("max-bytes", "0"),
    ] {
        let error = settings.set(name, value).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    settings.set("max-bytes", "2 GiB").unwrap();
    assert_eq!(settings.unpack.limits.bytes, 2 << 30);
}

#[test]
fn a_file_has_words_numbers_and_lists() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "kinds = [\"docker\"]\ndevices = true\nmax-entries = 7\n").unwrap();
    let mut settings = Settings::default();
    settings.read(file.path()).unwrap();
    assert_eq!(
        (settings.kinds, settings.unpack.devices, settings.unpack.limits.entries),
        (vec![Kind::Docker], true, 7)
    );
    std::fs::write(&file, "nosuch = 1\n").unwrap();
    assert!(Settings::default().read(file.path()).is_err());
}
