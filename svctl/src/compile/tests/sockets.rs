//! What `[sockets]` becomes, and each mistake in it, with its place and what was meant.

use super::super::read_toml;
use super::told;
use service::definition::{Address, Definition, UnixKind};

fn read(text: &str) -> Definition {
    let toml = format!("command = [\"x\"]\n[sockets]\n{text}");
    let service = read_toml("a", "/etc/services.d/a", "F", &toml, "/usr/sbin/svctl");
    assert!(service.diagnostics.is_empty(), "{:?}", service.diagnostics);
    service.definition
}

#[test]
fn every_kind_is_read_with_its_address_and_what_is_not_said() {
    let all = read(
        "a = \"tcp 0.0.0.0:80\"\nb = \"udp [::1]:53\"\nc = \"unix /run/c\"\nd = \"unix-datagram @d\"\n\
         e = \"unix-packet /run/e\"\nf = \"vsock 7\"\ng = \"fifo /run/g\"",
    );
    let unix = |path: &str, kind| Address::Unix { path: path.to_owned(), kind };
    let addresses: Vec<&Address> = all.sockets.iter().map(|socket| &socket.address).collect();
    assert_eq!(
        addresses,
        [
            &Address::Tcp("0.0.0.0:80".to_owned()),
            &Address::Udp("[::1]:53".to_owned()),
            &unix("/run/c", UnixKind::Stream),
            &unix("@d", UnixKind::Datagram),
            &unix("/run/e", UnixKind::Packet),
            &Address::Vsock(7),
            &Address::Fifo("/run/g".to_owned()),
        ]
    );
    let names: String = all.sockets.iter().map(|socket| socket.name.as_str()).collect();
    assert_eq!((names.as_str(), all.start_on_connection), ("abcdefg", false));
    let first = &all.sockets[0];
    assert_eq!((first.backlog, first.mode, first.both), (4096, 0o666, true));
}

#[test]
fn a_table_says_more_of_a_socket() {
    let all = read(
        "start = \"on-connection\"\n[sockets.a]\nlisten = \"unix /run/a\"\nbacklog = 7\nmode = \"0660\"\n\
         user = \"root\"\ngroup = \"4\"\n[sockets.b]\nlisten = \"tcp [::]:80\"\nboth = false",
    );
    let (a, b) = (&all.sockets[0], &all.sockets[1]);
    assert!(all.start_on_connection && !b.both);
    assert_eq!((a.backlog, a.mode), (7, 0o660));
    assert_eq!((a.user.as_deref(), a.group.as_deref()), (Some("root"), Some("4")));
}

#[test]
fn addresses_that_can_be_open_together_are_no_mistake() {
    read(
        "a = \"tcp 127.0.0.1:80\"\nb = \"tcp 127.0.0.2:80\"\nc = \"udp 127.0.0.1:80\"\nd = \"tcp [::1]:80\"",
    );
    read("a = \"tcp 0.0.0.0:80\"\n[sockets.b]\nlisten = \"tcp [::]:80\"\nboth = false");
}

#[test]
fn each_mistake_in_sockets_is_told_with_its_place_and_what_was_meant() {
    let long = "x".repeat(107);
    let table = [
        (
            "a = 80",
            "1:5: expected an address such as \"tcp 0.0.0.0:80\", or a table with listen, found an integer",
        ),
        ("a = \"\"", "1:5: expected a string that is not empty"),
        (
            "a = \"80\"",
            "1:5: expected a kind and an address, such as \"tcp 0.0.0.0:80\" (did you mean \"tcp 0.0.0.0:80\"?)",
        ),
        (
            "a = \":80\"",
            "1:5: expected a kind and an address, such as \"tcp 0.0.0.0:80\" (did you mean \"tcp 0.0.0.0:80\"?)",
        ),
        (
            "a = \"/run/a\"",
            "1:5: expected a kind and an address, such as \"tcp 0.0.0.0:80\" (did you mean \"unix /run/a\"?)",
        ),
        (
            "a = \"127.0.0.1:80\"",
            "1:5: expected a kind and an address, such as \"tcp 0.0.0.0:80\" (did you mean \"tcp 127.0.0.1:80\"?)",
        ),
        ("a = \"tpc 0.0.0.0:80\"", "1:5: unknown kind of socket \"tpc\" (did you mean \"tcp 0.0.0.0:80\"?)"),
        ("a = \"stream [::]:80\"", "1:5: unknown kind of socket \"stream\" (did you mean \"tcp [::]:80\"?)"),
        ("a = \"unix-stream /a\"", "1:5: unknown kind of socket \"unix-stream\" (did you mean \"unix /a\"?)"),
        (
            "a = \"tcp 0.0.0.0:0\"",
            "1:5: expected a port from 1 to 65535: nobody would know one that is chosen anew",
        ),
        (
            "a = \"tcp localhost:80\"",
            "1:5: \"localhost:80\" is not an address and a port, such as 0.0.0.0:80 or [::]:80 (did you mean \"127.0.0.1:80\"?)",
        ),
        (
            "a = \"udp *:53\"",
            "1:5: \"*:53\" is not an address and a port, such as 0.0.0.0:80 or [::]:80 (did you mean \"0.0.0.0:53\"?)",
        ),
        (
            "a = \"tcp ::1:80\"",
            "1:5: \"::1:80\" is not an address and a port, such as 0.0.0.0:80 or [::]:80 (did you mean \"[::1]:80\"?)",
        ),
        (
            "a = \"tcp 80\"",
            "1:5: \"80\" is not an address and a port, such as 0.0.0.0:80 or [::]:80 (did you mean \"0.0.0.0:80\"?)",
        ),
        ("a = \"tcp here\"", "1:5: \"here\" is not an address and a port, such as 0.0.0.0:80 or [::]:80"),
        ("a = \"unix run/a\"", "1:5: expected an absolute path, or @ and a name"),
        ("a = \"unix @\"", "1:5: expected an absolute path, or @ and a name"),
        ("a = \"fifo @a\"", "1:5: expected an absolute path"),
        ("a = \"vsock x\"", "1:5: \"x\" is not a port of a virtual machine"),
        ("a = \"vsock 4294967295\"", "1:5: \"4294967295\" is not a port of a virtual machine"),
        ("\"a:b\" = \"vsock 1\"", "1:1: \"a:b\" cannot name a socket (did you mean \"a-b\"?)"),
        (
            "a = \"unix /a\"\nb = \"unix-packet /a\"",
            "2:5: unix-packet /a is the address of the socket \"a\" already",
        ),
        (
            "a = \"tcp 0.0.0.0:80\"\nb = \"tcp 127.0.0.1:80\"",
            "2:5: tcp 127.0.0.1:80 is the address of the socket \"a\" already",
        ),
        (
            "a = \"tcp [::]:80\"\nb = \"tcp 0.0.0.0:80\"",
            "2:5: tcp 0.0.0.0:80 is the address of the socket \"a\" already",
        ),
        ("a = {}", "1:1: the socket \"a\" needs an address: listen"),
        ("a = { listen = \"tcp 1.1.1.1:1\", backlog = 0 }", "1:43: expected a number from 1 to 2147483647"),
        (
            "a = { listen = \"udp 1.1.1.1:1\", backlog = 5 }",
            "1:33: backlog is for sockets that take connections",
        ),
        (
            "a = { listen = \"tcp 1.1.1.1:1\", mode = \"0600\" }",
            "1:33: only a socket or FIFO with a path has an owner",
        ),
        (
            "a = { listen = \"unix @a\", user = \"root\" }",
            "1:27: only a socket or FIFO with a path has an owner",
        ),
        ("a = { listen = \"tcp 1.1.1.1:1\", both = false }", "1:33: both is for an address of IPv6"),
        (
            "a = { listen = \"unix /a\", mode = 660 }",
            "1:34: expected a mode in quotes, found an integer (did you mean \"0660\"?)",
        ),
        ("a = { listen = \"unix /a\", mode = \"rw\" }", "1:34: \"rw\" is not a mode such as \"0660\""),
        ("a = { listen = \"unix /a\", mode = \"1777\" }", "1:34: \"1777\" is not a mode such as \"0660\""),
        (
            "a = { listen = \"unix /a\", bakclog = 1 }",
            "1:27: unknown key \"bakclog\" in [sockets.a] (did you mean \"backlog\"?)",
        ),
        (
            "start = \"on-conection\"",
            "1:9: expected one of \"at-once\", \"on-connection\", found \"on-conection\" (did you mean \"on-connection\"?)",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in table {
        // The section's own line is before it.
        let found = told(&format!("[sockets]\n{text}"));
        let (line, rest) = expected.split_once(':').unwrap();
        let expected = format!("{}:{rest}", line.parse::<usize>().unwrap() + 1);
        if found != [expected.clone()] {
            wrong.push(format!("{text}\n  expected {expected}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let too_long = told(&format!("[sockets]\na = \"unix /{long}\""));
    assert_eq!(too_long, ["2:5: longer than the 107 bytes that the address of a unix socket can have"]);
    let many: String = (0..70).map(|number| format!("s{number} = \"vsock {number}\"\n")).collect();
    assert!(told(&format!("[sockets]\n{many}"))[0].contains("a service can have at most"));
}
