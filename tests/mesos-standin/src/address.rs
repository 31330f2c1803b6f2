//! Where a program listens, and what it tells others of that.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::catalogue::failure;
use crate::flags::Flags;

/// What a program tells others of itself.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) advertised: SocketAddr,
    pub(crate) hostname: String,
}

/// Binds as libprocess does, and finds out the address to tell others: without one, it is the end.
pub(crate) fn bind(flags: &Flags) -> (TcpListener, Address) {
    if flags.text("ip").is_some() && flags.text("ip_discovery_command").is_some() {
        failure("Only one of `--ip` or `--ip_discovery_command` should be specified");
    }
    let ip = match flags.text("ip_discovery_command") {
        Some(command) => discover(command).unwrap_or_else(|error| failure(&error)),
        None => flags.text("ip").unwrap_or("0.0.0.0").to_owned(),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { failure(&format!("Failed to parse the IP address '{ip}'")) };
    let Ok(port) = u16::try_from(flags.number("port")) else { failure("The port is out of range") };
    let listener = TcpListener::bind((ip, port))
        .unwrap_or_else(|error| fatal!("Failed to initialize: Failed to bind on {ip}:{port}: {error}"));
    let bound = listener.local_addr().unwrap_or_else(|error| fatal!("Failed to initialize: {error}"));
    let advertised = advertised(flags, bound).unwrap_or_else(|error| failure(&error));
    let hostname = match flags.text("hostname") {
        Some(name) => name.to_owned(),
        None if flags.is_set("hostname_lookup") => kernel_hostname(),
        None => advertised.ip().to_string(),
    };
    (listener, Address { advertised, hostname })
}

fn discover(command: &str) -> Result<String, String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .map_err(|error| format!("Failed to run '{command}': {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("Failed to run '{command}': {}", output.status))
    }
}

fn advertised(flags: &Flags, bound: SocketAddr) -> Result<SocketAddr, String> {
    let mut address = bound;
    if let Some(ip) = flags.text("advertise_ip") {
        address.set_ip(ip.parse().map_err(|_| format!("Failed to parse the IP address '{ip}'"))?);
    }
    if flags.text("advertise_port").is_some() {
        let port = u16::try_from(flags.number("advertise_port"));
        address.set_port(port.map_err(|_| "The advertised port is out of range".to_owned())?);
    }
    if address.ip().is_unspecified() {
        let name = kernel_hostname();
        let found = resolve(&name).ok_or_else(|| {
            format!("Failed to obtain the IP address for '{name}'; it is not in /etc/hosts (the stand-in has no DNS)")
        })?;
        address.set_ip(found);
    }
    if address.ip().is_loopback() {
        warning!("Binding to loopback address {}: only this machine can reach it", address.ip());
    }
    Ok(address)
}

fn kernel_hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// An address, or a name in /etc/hosts.
fn resolve(name: &str) -> Option<IpAddr> {
    name.parse().ok().or_else(|| in_hosts(&std::fs::read_to_string("/etc/hosts").ok()?, name))
}

fn in_hosts(hosts: &str, name: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() && words.any(|word| word == name)).then_some(address)
    })
}

/// Connects to `host:port`.
pub(crate) fn connect(address: &str, patience: Duration) -> std::io::Result<TcpStream> {
    let target = address.rsplit_once(':').and_then(|(host, port)| Some((resolve(host)?, port.parse().ok()?)));
    let target =
        target.ok_or_else(|| std::io::Error::other("it has no address (the stand-in has no DNS)"))?;
    TcpStream::connect_timeout(&SocketAddr::from(target), patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_hosts_and_an_address_is_itself() {
        let hosts = "# 10.0.0.1 mainstay\n::1 mainstay\n127.0.1.1 other mainstay # x\n";
        assert_eq!(in_hosts(hosts, "mainstay"), Some(IpAddr::from([127, 0, 1, 1])));
        assert_eq!(in_hosts(hosts, "x"), None);
        assert_eq!(resolve("192.0.2.7"), Some(IpAddr::from([192, 0, 2, 7])));
    }
}
