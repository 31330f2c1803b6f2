//! Machines, without an image: a tiny guest that speaks as init and the kernel do.

mod tiny;

use std::time::Duration;

use qemu::{Builder, Ended, Error, Machine, OnReboot};
use tiny::Tiny;

const LONG: Duration = Duration::from_secs(60);

fn builder(tiny: &Tiny) -> Builder {
    Machine::builder(tiny.image()).accelerator(qemu::Accelerator::Emulation)
}

#[test]
fn a_machine_is_booted_talked_to_and_powered_off() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = builder(&tiny).boot()?;
    assert_eq!(machine.wait_until_up(LONG)?, "0 of 0 services up");
    machine.console().send_line("echo")?;
    assert_eq!(machine.console().wait_for("echo", LONG)?, "");
    machine.console().send_line("p")?;
    assert_eq!(machine.power_off()?, Ended::PoweredOff);
    assert!(machine.transcript().ends_with("reboot: Power down\n"), "{}", machine.transcript());
    Ok(())
}

#[test]
fn machines_side_by_side_have_ports_of_their_own() -> Result<(), Error> {
    let tiny = Tiny::new();
    let (one, other) = (builder(&tiny).boot()?, builder(&tiny).boot()?);
    let ports = |machine: &Machine| {
        [qemu::SSH, qemu::MASTER, qemu::AGENT, qemu::EXPORTER].map(|port| machine.port(port))
    };
    assert!(ports(&one).iter().all(Option::is_some), "{:?}", ports(&one));
    assert!(
        ports(&one).iter().all(|port| !ports(&other).contains(port)),
        "{:?} {:?}",
        ports(&one),
        ports(&other)
    );
    assert_eq!(one.port(23), None);
    Ok(())
}

#[test]
fn a_reboot_ends_the_machine() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = builder(&tiny).boot()?;
    machine.wait_until_up(LONG)?;
    machine.console().send_line("r")?;
    assert!(machine.wait_for_exit(LONG));
    Ok(())
}

#[test]
fn a_machine_that_may_restart_comes_up_again() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = builder(&tiny).on_reboot(OnReboot::Restarts).boot()?;
    machine.wait_until_up(LONG)?;
    machine.console().send_line("r")?;
    machine.wait_until_up(LONG)?;
    machine.reset_button()?;
    machine.wait_until_up(LONG)?;
    Ok(())
}

#[test]
fn a_guest_that_does_not_power_off_is_ended_and_reported() -> Result<(), Error> {
    const SHORT: Duration = Duration::from_secs(1);
    let tiny = Tiny::new();
    let machine = builder(&tiny).boot()?;
    machine.wait_until_up(LONG)?;
    let message = machine.power_off_within(SHORT).unwrap_err().to_string();
    assert!(message.contains("the image names no ssh key"), "{message}");
    assert!(message.contains("SIGTERM to qemu ended it"), "{message}");
    assert!(message.contains("| init: startup complete"), "{message}");
    assert!(machine.wait_for_exit(Duration::ZERO), "it is off all the same");
    Ok(())
}

#[test]
fn a_wait_for_what_never_comes_shows_the_console() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = builder(&tiny).boot()?;
    machine.wait_until_up(LONG)?;
    let message = machine.console().wait_for("login:", Duration::from_millis(1)).unwrap_err().to_string();
    assert!(message.contains("'login:' on the console did not come"), "{message}");
    assert!(message.contains("| tiny: hello"), "{message}");
    Ok(())
}

#[test]
fn what_qemu_refuses_is_told_in_its_own_words() {
    let tiny = Tiny::new();
    let error = builder(&tiny).memory(1 << 30).boot().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error}");
    assert!(error.to_string().contains("qemu-system-x86_64:"), "{error}");
}
