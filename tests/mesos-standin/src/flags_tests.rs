use super::*;

const TABLE: &[Flag] = &[
    Flag { name: "port", kind: Kind::Number, default: Some("5051"), help: "" },
    Flag { name: "ip", kind: Kind::Text, default: None, help: "" },
    Flag { name: "strict", kind: Kind::Boolean, default: Some("true"), help: "" },
    Flag { name: "grace", kind: Kind::Duration, default: Some("5secs"), help: "" },
];

/// Arguments, environment, and what is expected of them.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Flags, String> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Flags::load(&[TABLE], &["launcher"], &arguments, environment)
}

#[test]
fn a_flag_comes_from_the_command_line_before_the_environment_before_its_default() {
    let cases: &[Case<'_>] = &[
        (&[], &[], "5051"),
        (&[], &[("MESOS_PORT", "1")], "1"),
        (&["--port=2"], &[("MESOS_PORT", "1")], "2"),
        (&["--port=2"], &[], "2"),
        (&["port=2", "--", "--port=3"], &[], "5051"),
    ];
    for (arguments, environment, port) in cases {
        let flags = load(arguments, environment).unwrap();
        assert_eq!(flags.text("port"), Some(*port), "{arguments:?} {environment:?}");
    }
}

#[test]
fn booleans_have_four_spellings() {
    for (argument, expected) in
        [("--strict", true), ("--no-strict", false), ("--strict=1", true), ("--strict=false", false)]
    {
        assert_eq!(load(&[argument], &[]).unwrap().is_set("strict"), expected, "{argument}");
    }
    assert!(!load(&[], &[("MESOS_STRICT", "0")]).unwrap().is_set("strict"));
}

#[test]
fn what_mesos_refuses_is_refused() {
    let cases: &[Case<'_>] = &[
        (&["--prot=1"], &[], "unknown flag 'prot'"),
        (&["--no-prot"], &[], "unknown flag"),
        (&["--port=1", "--port=1"], &[], "already loaded"),
        (&["--strict", "--no-strict"], &[], "already loaded"),
        (&["--port"], &[], "Missing value"),
        (&["--no-port"], &[], "non-boolean flag 'port'"),
        (&["--no-strict=true"], &[], "via 'no-strict'"),
        (&["--port=many"], &[], "Failed to load value 'many'"),
        (&[], &[("MESOS_PORT", "many")], "Failed to load value 'many'"),
        (&["--grace=5"], &[], "Not a Duration"),
        (&["--ip=file:///does/not/exist"], &[], "Failed to fetch value"),
    ];
    for (arguments, environment, text) in cases {
        let error = load(arguments, environment).unwrap_err();
        assert!(error.contains(text), "{arguments:?} {environment:?}: {error}");
    }
}

#[test]
fn an_unknown_variable_and_a_flag_that_means_nothing_here_are_accepted() {
    let flags = load(&["--launcher=linux"], &[("MESOS_PROT", "1"), ("HOME", "/")]).unwrap();
    assert_eq!(flags.text("port"), Some("5051"));
    assert!(load(&["--no-launcher"], &[]).is_ok());
}

#[test]
fn a_file_url_stands_for_the_content() {
    let path = std::env::temp_dir().join(format!("mesos-standin-flag-{}", std::process::id()));
    std::fs::write(&path, "192.0.2.1").unwrap();
    let flags = load(&[&format!("--ip=file://{}", path.display())], &[]).unwrap();
    assert_eq!(flags.text("ip"), Some("192.0.2.1"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn durations_are_in_the_units_of_mesos() {
    assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(parse_duration("5secs"), Some(Duration::from_secs(5)));
    assert_eq!(parse_duration("15mins"), Some(Duration::from_secs(900)));
    for wrong in ["5s", "secs", "5", "", "-1secs", "99999999999weeks"] {
        assert_eq!(parse_duration(wrong), None, "{wrong}");
    }
}
