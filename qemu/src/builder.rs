//! What machine to make, as qemu's arguments.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::accel::Accelerator;
use crate::console::Sink;
use crate::error::Error;
use crate::image::Image;
use crate::machine::Machine;
use crate::ports::Ports;

pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// The last console= is the kernel's own; a panic reboots, which is to say it ends or restarts the machine. An emulated
/// machine that does not get the processor for a moment is no machine whose timer is broken, which the kernel would take
/// it for, and panic.
const KERNEL_ARGUMENTS: &str = "console=tty0 console=ttyS0 no_timer_check panic=5";

/// What a reboot of the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReboot {
    /// It ends the machine, as a power-off does.
    Ends,
    /// The machine starts again.
    Restarts,
}

/// A machine to be. Made by [`Machine::builder`].
pub struct Builder {
    directory: PathBuf,
    ssh_key: Option<PathBuf>,
    kernel_arguments: Vec<String>,
    memory_mib: u32,
    cpus: u32,
    ports: Ports,
    accelerator: Option<Accelerator>,
    on_reboot: OnReboot,
    watchdog: bool,
    disks: Vec<PathBuf>,
    sinks: Vec<Sink>,
}

impl Builder {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            ssh_key: None,
            kernel_arguments: Vec::new(),
            memory_mib: 512,
            cpus: 1,
            ports: Ports::free(),
            accelerator: None,
            on_reboot: OnReboot::Ends,
            watchdog: false,
            disks: Vec::new(),
            sinks: Vec::new(),
        }
    }

    /// Adds to the kernel's command line.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.kernel_arguments.push(argument.into());
        self
    }

    /// The machine's memory in MiB; 512 unless told.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// How many processors; 1 unless told.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Which ports of this host lead to the guest; free ones unless told.
    pub fn ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// The private key that the guest accepts; what the image says unless told.
    pub fn ssh_key(mut self, key: impl Into<PathBuf>) -> Self {
        self.ssh_key = Some(key.into());
        self
    }

    /// What a reboot does; it ends the machine unless told.
    pub fn on_reboot(mut self, what: OnReboot) -> Self {
        self.on_reboot = what;
        self
    }

    /// Uses this accelerator, whether or not it looks usable.
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = Some(accelerator);
        self
    }

    /// Adds an i6300esb watchdog that resets the machine.
    pub fn watchdog(mut self) -> Self {
        self.watchdog = true;
        self
    }

    /// Adds a disk, whose content is that of the raw file `path`. The first one is `/dev/vda` in the guest.
    pub fn disk(mut self, path: impl Into<PathBuf>) -> Self {
        self.disks.push(path.into());
        self
    }

    /// Writes the console to `file` as it is read.
    pub fn log(self, mut file: File) -> Self {
        // A full disk must not stop the machine; the transcript is still whole.
        self.console_to(move |bytes| drop(file.write_all(bytes)))
    }

    /// Calls `sink` with each piece of the console as it is read.
    pub fn console_to(mut self, sink: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Starts the machine. It is whole, and its kernel is about to start, when this returns.
    pub fn boot(self) -> Result<Machine, Error> {
        let image = Image::open(&self.directory)?;
        self.ports.check()?;
        let (monitor, theirs) =
            UnixStream::pair().map_err(|error| Error::Start { cause: error.to_string() })?;
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments(&image, theirs.as_raw_fd()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
        // A Ctrl-C is for us to handle; without this qemu would get its own.
        command.process_group(0);
        sys::child::inherit(&mut command, theirs.into());
        let ssh_key = self.ssh_key.or(image.ssh_key);
        Machine::start(command, monitor, ssh_key, self.on_reboot, self.sinks)
    }

    fn arguments(&self, image: &Image, monitor: i32) -> Vec<OsString> {
        let accelerator = self.accelerator.unwrap_or_else(|| Accelerator::choose().accelerator);
        let kernel_arguments = self
            .kernel_arguments
            .iter()
            .fold(KERNEL_ARGUMENTS.to_owned(), |line, argument| line + " " + argument);
        let mut arguments = Arguments(Vec::new());
        arguments.add(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]);
        arguments.add(accelerator.options());
        arguments.add(["-m", &self.memory_mib.to_string(), "-smp", &self.cpus.to_string()]);
        arguments.add([OsString::from("-kernel"), image.kernel.clone().into()]);
        arguments.add([OsString::from("-initrd"), image.initramfs.clone().into()]);
        arguments.add(["-append", &kernel_arguments]);
        arguments.add(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        arguments.add(["-chardev", &format!("socket,id=monitor,fd={monitor}")]);
        arguments.add(["-mon", "chardev=monitor,mode=control"]);
        arguments.add(["-netdev", &self.ports.netdev(), "-device", "virtio-net-pci,netdev=net"]);
        arguments.add(["-device", "virtio-rng-pci"]);
        for disk in &self.disks {
            // A comma in a value is written twice.
            let path = disk.display().to_string().replace(',', ",,");
            arguments.add(["-drive", &format!("if=virtio,format=raw,file={path}")]);
        }
        if self.watchdog {
            arguments.add(["-device", "i6300esb", "-action", "watchdog=reset"]);
        }
        if self.on_reboot == OnReboot::Ends {
            arguments.add(["-no-reboot"]);
        }
        arguments.0
    }
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, arguments: [impl Into<OsString>; N]) {
        self.0.extend(arguments.map(Into::into));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(builder: &Builder) -> String {
        let image = Image { kernel: "/i/vmlinuz".into(), initramfs: "/i/initramfs".into(), ssh_key: None };
        let arguments = builder.arguments(&image, 7);
        arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    fn builder() -> Builder {
        Builder::new(Path::new("/i")).accelerator(Accelerator::Emulation)
    }

    #[test]
    fn the_machine_has_a_serial_console_a_nameless_monitor_and_a_network() {
        let line = line(&builder());
        for part in [
            "-kernel /i/vmlinuz -initrd /i/initramfs",
            "-append console=tty0 console=ttyS0 no_timer_check panic=5",
            "-serial chardev:console",
            "-chardev socket,id=monitor,fd=7 -mon chardev=monitor,mode=control",
            "hostfwd=tcp:127.0.0.1:0-:22",
            "-device virtio-rng-pci",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn kernel_arguments_follow_the_standard_ones_in_order() {
        let line = line(&builder().argument("rescue").argument("init.level=debug"));
        assert!(line.contains("panic=5 rescue init.level=debug"), "{line}");
    }

    #[test]
    fn a_reboot_ends_the_machine_unless_it_may_restart() {
        assert!(line(&builder()).contains("-no-reboot"));
        assert!(!line(&builder().on_reboot(OnReboot::Restarts)).contains("-no-reboot"));
    }

    #[test]
    fn a_watchdog_is_there_when_asked_for() {
        assert!(!line(&builder()).contains("i6300esb"));
        assert!(line(&builder().watchdog()).contains("-device i6300esb -action watchdog=reset"));
    }

    #[test]
    fn disks_come_in_order_and_may_have_any_name() {
        let line = line(&builder().disk("/d/one").disk("/d/two,2"));
        assert!(line.contains("format=raw,file=/d/one -drive if=virtio,format=raw,file=/d/two,,2"), "{line}");
    }

    #[test]
    fn an_image_without_a_kernel_is_an_error_that_says_how_to_get_one() {
        let error = Builder::new(Path::new("/nonexistent")).boot().map(|_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to use the image /nonexistent: it holds no vmlinuz (an image is built with: make image)"
        );
    }
}
