//! What a broken definition costs: itself, and nothing else.

use crate::guest::{boot, status};
use crate::images;

#[test]
fn broken_definitions_are_reported_by_name_and_place_and_all_else_comes_up() {
    let machine = boot(&images::broken());
    let all = status(&machine);
    for (name, parts) in [
        ("broken-toml", &["broken-toml/service.toml:3:"][..]),
        ("broken-program", &["broken-program/service.toml:2:", "\"no-such-program\""]),
        ("cycle-a", &["dependency cycle", "cycle-a requires cycle-b", "cycle-b is after cycle-a"]),
        ("cycle-b", &["dependency cycle", "cycle-a/service.toml:2:", "cycle-b/service.toml:2:"]),
    ] {
        assert_eq!(all[name].state, "invalid", "{name}: {:?}", all[name]);
        for part in parts {
            assert!(all[name].reason.contains(part), "{name}: {part} is not in {}", all[name].reason);
        }
        let console = machine.transcript();
        assert!(console.contains(&format!("init: warning: {name}: invalid: ")), "{name}: {console}");
    }
    assert_eq!(all["needs-broken"].state, "failed");
    assert!(all["needs-broken"].reason.contains("requires broken-program"), "{:?}", all["needs-broken"]);

    let ours = ["broken-toml", "broken-program", "cycle-a", "cycle-b", "needs-broken"];
    for (name, service) in all.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        assert!(["up", "done", "listening"].contains(&service.state.as_str()), "{name}: {service:?}");
    }
    let check = machine.ssh("svctl check").unwrap();
    assert_eq!(check.status, 1, "{}", check.stdout);
    machine.power_off().unwrap();
}
