//! `up` of a oneshot, one command line: the words that Debian's execlineb makes of it, and those of the compiler. And a
//! longrun of s6-rc, which is what s6-supervise is given.

use service::definition::Definition;
use tests::oracle::s6::same;
use tests::oracle::{Ask, POLITE, directory, theirs};
use tests::{Fixture, Signal};

/// Scripts that both take.
const GOOD: &[&str] = &[
    "a b\tc\r\nd",
    "# nothing\na # b\n#c\nd#e",
    "\"a b\"c\"\" \"\"",
    "if { test -e \"/x y\" } foreground { if { a } b } c",
    "\"{\" \\{ {x x} }y",
    "a\\ b \\\n c",
    r#""\t\n\r\a\b\v\f\0x41\0101\65\q\"\\""#,
    "\"a\\\nb\"",
    r#""\1234" "\0x417""#,
    "sh -c \"echo 'a  b' $x ${y} `z`\"",
    "{ } { { } }",
    "a\x0bb\x0cc",
    "ä\"ö\" \"\\0xc3\\0xbc\"",
];

/// Scripts that neither takes.
const BAD: &[&str] = &["a }", "if { a", "a \"b", r#"a "\256""#, r#"a "\0z""#];

fn fixture(script: &str) -> Fixture {
    let show = "for word; do printf '<%s>' \"$word\"; done";
    let up = format!("@T/services/a/show {script}");
    let fixture = Fixture::new().directory("a").executable("show", show);
    let fixture = fixture.file("services/a/type", "oneshot\n").file("services/a/up", &up);
    fixture.compile();
    fixture
}

/// What execlineb executes; or its exit code.
fn their_words(fixture: &Fixture) -> Result<String, Option<i32>> {
    // In usr/bin is a script that calls it.
    let mut command = theirs("../lib/execline/bin/execlineb");
    let output = command.arg("-P").arg(fixture.path("services/a/up")).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        Err(output.status.code())
    }
}

/// What the definition has.
fn our_words(fixture: &Fixture) -> Option<String> {
    let text = fixture.read("run/service/a/definition");
    let definition = Definition::decode(&text).ok()?;
    Some(definition.command.iter().skip(1).map(|word| format!("<{word}>")).collect())
}

#[test]
fn a_command_line_is_the_same_words() {
    for script in GOOD {
        let fixture = fixture(script);
        let theirs = their_words(&fixture);
        assert_eq!(our_words(&fixture), Some(theirs.unwrap()), "{script:?}");
    }
}

#[test]
fn a_command_line_that_is_none_is_refused() {
    for script in BAD {
        let fixture = fixture(script);
        assert_eq!(their_words(&fixture), Err(Some(100)), "{script:?}");
        assert_eq!(our_words(&fixture), None, "{script:?}");
    }
}

#[test]
fn a_longrun_of_s6_rc_is_run_as_s6_supervise_runs_what_it_is_compiled_to() {
    let files = directory(&format!("echo >&3\n{POLITE}"))
        .script("finish", "note finish $1 $2 $3")
        .file("type", "longrun\n")
        .file("notification-fd", "3\n")
        .file("timeout-kill", "60000\n")
        .file("flag-essential", "");
    same(&files, |player| {
        player.see("run");
        player.until("ready", |view| view.up && view.ready);
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256 9 a");
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.see_next();
        player.until_down();
    });
}
