//! Starting programs. The child shares our memory until it has executed the program or failed
//! (`CLONE_VM | CLONE_VFORK`, clone(2)), so that nothing is copied, and a failure is told with the step and
//! the reason instead of as an exit code that the program could have used itself.

use crate::record::Record;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use service::Pid;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null;

/// The most descriptors that one child is given.
pub const DESCRIPTORS_MAX: usize = 64;

/// The signals of [`crate::crash::FAULTS`].
const FAULTS: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];

/// Child descriptors are numbered below this, and ours are copied to this number and up on the way.
const NUMBERS_BELOW: i32 = 64;

/// Whose session a program runs in (credentials(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Ours.
    Ours,
    /// A new one, without a terminal.
    New,
    /// Ours, in a process group of its own, which its standard input is handed to if that is our terminal.
    Foreground,
    /// A new one; the terminal on its standard input becomes its own, even if it was another session's.
    Terminal,
}

/// The longest name in [`Spawn::own_number`].
const NAME_MAX: usize = 20;

/// Room for a process number and a NUL.
const DIGITS: usize = 11;

/// A program to start. Its signals are all unblocked and at their defaults, if [`crate::signals::restore_defaults`]
/// was called when this program began.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The file to execute: no search is made.
    pub program: &'a CStr,
    /// Its arguments, the first being its name.
    pub arguments: &'a [CString],
    /// Its environment, `KEY=VALUE` each.
    pub environment: &'a [CString],
    /// Where it starts.
    pub directory: Option<&'a CStr>,
    /// Which of our descriptors it gets as which number. Everything else is closed at exec.
    pub descriptors: &'a [(BorrowedFd<'a>, i32)],
    /// Whose session it runs in.
    pub session: Session,
    /// An environment variable, with its `=`, that is to hold the child's own number, which only the child
    /// knows before it executes (`LISTEN_PID=`, sd_listen_fds(3)). At most 20 bytes.
    pub own_number: Option<&'a CStr>,
    /// Whether it is the first process of a new PID namespace: that ends with it (pid_namespaces(7)).
    pub new_pid_namespace: bool,
    /// The `cgroup.procs` of the control group that it enters (cgroups(7)).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Where the child puts down its own number and the time, as [`crate::record::read`] has it, before it
    /// executes anything. If we are gone by then it does not: whoever comes after us finds it there, or finds
    /// nothing that runs.
    pub record: Option<Record<'a>>,
    /// Whether it is killed when we die: for what is of no use to whoever comes after us.
    pub dies_with_us: bool,
}

/// A program that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: Pid,
    /// Readable when it has ended (pidfd_open(2)).
    pub descriptor: OwnedFd,
}

/// The steps between clone and exec, any of which can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the process.
    Clone,
    /// Making it the first of a new PID namespace.
    Namespace,
    /// Entering the control group.
    Cgroup,
    /// Leading a session or a process group.
    Session,
    /// Entering the directory.
    Directory,
    /// Arranging the descriptors.
    Descriptors,
    /// Finding the parent alive.
    Parent,
    /// Executing the program.
    Execute,
}

/// Why a program was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What could not be done.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            Step::Clone => "unable to make a process",
            Step::Namespace => "unable to make a PID namespace",
            Step::Cgroup => "unable to enter the control group",
            Step::Session => "unable to lead a session",
            Step::Directory => "unable to enter the directory",
            Step::Descriptors => "unable to arrange descriptors",
            Step::Parent => "the parent is gone",
            Step::Execute => "unable to execute",
        };
        write!(f, "{what}: {}", self.errno.desc())
    }
}

impl std::error::Error for SpawnError {}

/// Everything that the child uses, made before it exists: it must not allocate.
struct Plan<'a> {
    spawn: &'a Spawn<'a>,
    parent: nix::unistd::Pid,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// Where the child writes its number: after the name of the variable, which is the last of the environment.
    own_number: *mut u8,
    /// Written by the child, which shares our memory, read by us once it is gone or has executed.
    failure: Option<SpawnError>,
}

/// Starts a program.
///
/// # Errors
/// [`SpawnError`]: nothing runs then, and there is nothing to reap.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Child, SpawnError> {
    let arguments = pointers(spawn.arguments);
    let mut variable = [0_u8; NAME_MAX + DIGITS];
    let name = spawn.own_number.map_or(&[][..], CStr::to_bytes);
    let too_long = SpawnError { step: Step::Execute, errno: Errno::E2BIG };
    let room = variable.get_mut(..name.len()).filter(|room| room.len() <= NAME_MAX);
    room.ok_or(too_long)?.copy_from_slice(name);
    let own_number = variable.as_mut_ptr();
    let mut environment = pointers(spawn.environment);
    if spawn.own_number.is_some() {
        environment.insert(spawn.environment.len(), own_number.cast_const().cast());
    }
    let mut plan = Plan {
        spawn,
        parent: nix::unistd::getpid(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        own_number: own_number.wrapping_add(name.len()),
        failure: None,
    };

    // A handler must not run in the child while it shares our memory: nothing may come in until it has reset
    // them all. Faults cannot be put off; their handler knows the child from us.
    let mut all = SigSet::all();
    for signal in FAULTS {
        all.remove(signal);
    }
    let mut old = SigSet::empty();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut old));
    let started = clone(&mut plan);
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&old), None);

    let child = started.map_err(|errno| {
        // What clone(2) refuses for the namespace alone.
        let namespace =
            spawn.new_pid_namespace && matches!(errno, Errno::EPERM | Errno::ENOSPC | Errno::EINVAL);
        SpawnError { step: if namespace { Step::Namespace } else { Step::Clone }, errno }
    })?;
    // SAFETY: `plan` is alive; the read must not be moved before the clone, after which the child wrote it.
    match unsafe { std::ptr::read_volatile(&raw const plan.failure) } {
        None => Ok(child),
        Some(failure) => {
            crate::process::reap_one(child.pid);
            Err(failure)
        }
    }
}

/// The null-terminated array of pointers that execve(2) takes.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([null()]).collect()
}

/// A stack for the child: mapped for it and given back, since what is once touched of our own stack stays.
struct Stack {
    bottom: *mut c_void,
}

impl Stack {
    /// The child calls a handful of thin libc functions; the frames measured are under two kilobytes.
    const SIZE: usize = 32 << 10;

    fn new() -> Result<Stack, Errno> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new memory wherever the kernel likes.
        let bottom = unsafe { libc::mmap(std::ptr::null_mut(), Stack::SIZE, access, flags, -1, 0) };
        if bottom == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Stack { bottom }) }
    }

    /// Its end, where a stack begins; aligned, as a mapping is.
    fn top(&self) -> *mut c_void {
        self.bottom.wrapping_byte_add(Stack::SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it is the mapping made in `new`, and the child that used it has executed or is gone.
        unsafe { libc::munmap(self.bottom, Stack::SIZE) };
    }
}

fn clone(plan: &mut Plan<'_>) -> Result<Child, Errno> {
    let stack = Stack::new()?;
    let top = stack.top();
    let namespace = if plan.spawn.new_pid_namespace { libc::CLONE_NEWPID } else { 0 };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespace;
    let mut descriptor: c_int = -1;
    let argument = std::ptr::from_mut(plan).cast::<c_void>();
    // SAFETY: `top` is the aligned end of a stack that outlives the child's use of it, since CLONE_VFORK holds
    // us until it has executed or exited; `argument` is a live Plan; CLONE_PIDFD stores into `descriptor`.
    let pid = unsafe { libc::clone(child_main, top, flags, argument, &raw mut descriptor) };
    let pid = Pid::new(Errno::result(pid)?).ok_or(Errno::EINVAL)?;
    // SAFETY: clone succeeded, and so stored a new descriptor that only we know.
    Ok(Child { pid, descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
}

/// Runs in the child, on our memory and its own stack: async-signal-safe calls only, no allocation, no
/// panic. Returns only on failure, and the return value becomes an exit code that nobody looks at.
extern "C" fn child_main(argument: *mut c_void) -> c_int {
    // SAFETY: `clone` passed a live Plan, and its owner is held until we are done.
    let plan = unsafe { &mut *argument.cast::<Plan<'_>>() };
    if let Err(failure) = prepare_and_execute(plan) {
        if let Some(record) = plan.spawn.record {
            crate::record::erase(record);
        }
        plan.failure = Some(failure);
    }
    127
}

fn prepare_and_execute(plan: &Plan<'_>) -> Result<(), SpawnError> {
    let at = |step| move |errno| SpawnError { step, errno };
    crate::signals::reset();
    if matches!(plan.spawn.session, Session::New | Session::Terminal) {
        nix::unistd::setsid().map_err(at(Step::Session))?;
    }
    arrange(plan.spawn.descriptors).map_err(at(Step::Descriptors))?;
    if let Some(group) = plan.spawn.cgroup {
        // Zero is whoever writes it.
        nix::unistd::write(group, b"0").map_err(at(Step::Cgroup))?;
    }
    if plan.spawn.session == Session::Terminal {
        // SAFETY: takes numbers only. Without a terminal it fails, and the program does without.
        unsafe { libc::ioctl(0, libc::TIOCSCTTY, 1) };
    } else if plan.spawn.session == Session::Foreground {
        let (none, own) = (nix::unistd::Pid::from_raw(0), nix::unistd::getpid().as_raw());
        nix::unistd::setpgid(none, none).map_err(at(Step::Session))?;
        // SAFETY: takes numbers only. It fails if that is no terminal; TTOU, which it may raise, is blocked.
        unsafe { libc::tcsetpgrp(0, own) };
    }
    if plan.spawn.own_number.is_some() {
        // SAFETY: `spawn` made room for so many bytes there, and keeps it alive.
        unsafe { std::ptr::copy_nonoverlapping(own_digits().as_ptr(), plan.own_number, DIGITS) };
    }
    if let Some(directory) = plan.spawn.directory {
        nix::unistd::chdir(directory).map_err(at(Step::Directory))?;
    }
    if plan.spawn.dies_with_us {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    }
    let apart = plan.spawn.new_pid_namespace;
    let look = || outside().ok_or(Errno::ENOENT).map_err(at(Step::Namespace));
    if let Some(record) = plan.spawn.record {
        let own = if apart { look()?.0 } else { nix::unistd::getpid().as_raw() };
        crate::record::write(record, own);
    }
    if plan.spawn.dies_with_us || plan.spawn.record.is_some() {
        // After that was written: whoever comes after a parent that is gone finds it, or finds nothing that runs.
        let parent = if apart { look()?.1 } else { nix::unistd::getppid().as_raw() };
        if parent != plan.parent.as_raw() {
            return Err(SpawnError { step: Step::Parent, errno: Errno::ESRCH });
        }
    }
    // Only now: the copies above may have had numbers beyond it.
    crate::fd::restore_limit();
    // The very last step, so that what was ignored or blocked here does not reach the program.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    // SAFETY: the three are null-terminated, and alive in the parent's memory.
    unsafe { libc::execve(plan.spawn.program.as_ptr(), plan.arguments, plan.environment) };
    Err(SpawnError { step: Step::Execute, errno: Errno::last() })
}

/// Our number in decimal digits, and NULs after it. Allocates nothing.
fn own_digits() -> [u8; DIGITS] {
    let (mut reversed, mut digits) = ([0; DIGITS], [0; DIGITS]);
    let mut rest = nix::unistd::getpid().as_raw().unsigned_abs();
    let mut count = 0;
    for digit in reversed.iter_mut().take(DIGITS - 1) {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for (to, from) in digits.iter_mut().zip(reversed.iter().take(count).rev()) {
        *to = *from;
    }
    digits
}

/// Our number and our parent's as those have them who see this `/proc`: in a new PID namespace we are 1, and have no
/// parent (pid_namespaces(7)). Called between clone and exec: it neither allocates nor panics.
fn outside() -> Option<(i32, i32)> {
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(c"/proc/self/stat", flags, nix::sys::stat::Mode::empty()).ok()?;
    let mut buffer = [0; 256];
    let count = nix::unistd::read(&file, &mut buffer).ok()?;
    let text = buffer.get(..count)?;
    // The name may have anything in it; it ends at the last parenthesis (proc(5)).
    let own = number(text)?;
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let parent = number(text.get(after + 4..)?)?;
    Some((own, parent))
}

/// The decimal number that `text` begins with.
fn number(text: &[u8]) -> Option<i32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|byte| i32::from(*byte - b'0'))
        .reduce(|value, digit| value.wrapping_mul(10).wrapping_add(digit))
}

/// Gives the child its descriptors. All are first copied out of the way, so that no target overwrites a
/// source that is still needed.
fn arrange(descriptors: &[(BorrowedFd<'_>, i32)]) -> Result<(), Errno> {
    let mut copies = [0; DESCRIPTORS_MAX];
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(Errno::EINVAL);
    }
    for ((source, target), copy) in descriptors.iter().zip(&mut copies) {
        if !(0..NUMBERS_BELOW).contains(target) {
            return Err(Errno::EBADF);
        }
        // SAFETY: takes and returns descriptor numbers only.
        *copy =
            Errno::result(unsafe { libc::fcntl(source.as_raw_fd(), libc::F_DUPFD_CLOEXEC, NUMBERS_BELOW) })?;
    }
    for ((_, target), copy) in descriptors.iter().zip(&copies) {
        // SAFETY: takes and returns descriptor numbers only; the copy is not closed at exec.
        Errno::result(unsafe { libc::dup2(*copy, *target) })?;
    }
    Ok(())
}

/// What a program prints, for tests.
#[cfg(test)]
pub(crate) fn output(words: &[&str]) -> String {
    tests::run(words, None, Session::Ours).unwrap().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::wait_for;
    use service::WaitStatus;
    use std::io::Read;
    use std::os::fd::AsFd;

    fn strings(words: &[&str]) -> Vec<CString> {
        words.iter().map(|word| CString::new(*word).unwrap()).collect()
    }

    pub(super) fn run(
        words: &[&str],
        directory: Option<&CStr>,
        session: Session,
    ) -> Result<(String, WaitStatus), SpawnError> {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (program, arguments) = (CString::new(words[0]).unwrap(), strings(words));
        let null = std::fs::File::open("/dev/null").unwrap();
        let child = spawn(&Spawn {
            program: &program,
            arguments: &arguments,
            environment: &strings(&["COLOUR=blue"]),
            directory,
            descriptors: &[(null.as_fd(), 0), (writer.as_fd(), 1), (writer.as_fd(), 2)],
            session,
            own_number: None,
            new_pid_namespace: false,
            cgroup: None,
            record: None,
            dies_with_us: false,
        })?;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        Ok((text, wait_for(child.pid).unwrap()))
    }

    #[test]
    fn a_child_gets_its_arguments_environment_and_directory() {
        let script = "echo $0 $1 $COLOUR; pwd; exit 3";
        let (text, status) =
            run(&["/bin/sh", "-c", script, "zero", "one"], Some(c"/usr"), Session::Ours).unwrap();
        assert_eq!(text, "zero one blue\n/usr\n");
        assert_eq!(status, WaitStatus::Exited(3));
    }

    #[test]
    fn a_failure_names_its_step_and_reason() {
        let failure = |result: Result<_, SpawnError>| result.unwrap_err();
        assert_eq!(
            failure(run(&["/nonexistent/program"], None, Session::Ours)),
            SpawnError { step: Step::Execute, errno: Errno::ENOENT }
        );
        assert_eq!(
            failure(run(&["/bin/sh"], Some(c"/nonexistent"), Session::Ours)).to_string(),
            "unable to enter the directory: No such file or directory"
        );
        assert_eq!(failure(run(&["/etc/passwd"], None, Session::Ours)).errno, Errno::EACCES);
    }

    #[test]
    fn a_child_starts_with_no_signal_blocked_or_ignored() {
        crate::signals::restore_defaults();
        let _blocked = crate::signals::Signals::block(&[service::Signal::USR1]).unwrap();
        // Without exec the shell, which blocks signals while it forks, would read its own.
        let script = "exec grep -E 'Sig(Blk|Ign)' /proc/self/status";
        let (text, _) = run(&["/bin/sh", "-c", script], None, Session::Ours).unwrap();
        let zero = "0000000000000000";
        assert_eq!(text, format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\n"));
    }

    #[test]
    fn a_session_is_led_by_the_child_itself() {
        let (text, _) =
            run(&["/bin/sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"], None, Session::New).unwrap();
        let numbers: Vec<&str> = text.split_whitespace().collect();
        assert!(numbers.iter().all(|number| *number == numbers[0]), "{text}");
    }

    #[test]
    fn no_descriptor_leaks_into_a_child() {
        let _kept = std::fs::File::open("/dev/zero").unwrap();
        let (text, _) = run(&["/bin/sh", "-c", "ls -l /proc/$$/fd"], None, Session::Ours).unwrap();
        assert!(text.contains("pipe:") && !text.contains("/dev/zero") && !text.contains("pidfd"), "{text}");
    }

    #[test]
    fn descriptors_can_be_swapped() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let child = spawn(&Spawn {
            program: c"/bin/sh",
            arguments: &strings(&["sh", "-c", "echo high >&9; cat <&3"]),
            environment: &[],
            directory: None,
            descriptors: &[(null.as_fd(), 3), (writer.as_fd(), 9), (null.as_fd(), 0)],
            session: Session::Ours,
            own_number: None,
            new_pid_namespace: false,
            cgroup: None,
            record: None,
            dies_with_us: false,
        })
        .unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "high\n");
        assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
    }

    #[test]
    fn a_child_can_be_told_its_own_number() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = spawn(&Spawn {
            program: c"/bin/sh",
            arguments: &strings(&["sh", "-c", "echo $LISTEN_PID $COLOUR"]),
            environment: &strings(&["COLOUR=blue"]),
            directory: None,
            descriptors: &[(writer.as_fd(), 1)],
            session: Session::Ours,
            own_number: Some(c"LISTEN_PID="),
            new_pid_namespace: false,
            cgroup: None,
            record: None,
            dies_with_us: false,
        })
        .unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("{} blue\n", child.pid));
        assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
    }

    #[test]
    fn a_child_can_lead_a_process_group_of_our_session() {
        let script = "cut -d' ' -f1,5,6 /proc/$$/stat";
        let (text, _) = run(&["/bin/sh", "-c", script], None, Session::Foreground).unwrap();
        let numbers: Vec<&str> = text.split_whitespace().collect();
        let ours = nix::unistd::getsid(None).unwrap().to_string();
        assert!(numbers[0] == numbers[1] && numbers[2] == ours, "{text}");
    }

    #[test]
    fn the_first_process_of_a_new_namespace_puts_down_its_number_outside_and_knows_its_parent() {
        let path = std::env::temp_dir().join(format!("spawn-namespace-{}", std::process::id()));
        let record = crate::record::open(&path, "b").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let started = spawn(&Spawn {
            program: c"/bin/sh",
            arguments: &strings(&["sh", "-c", "echo $$"]),
            environment: &[],
            directory: None,
            descriptors: &[(writer.as_fd(), 1)],
            session: Session::New,
            own_number: None,
            new_pid_namespace: true,
            cgroup: None,
            record: Some(Record { file: record.as_fd(), slot: crate::record::Slot::Main }),
            dies_with_us: false,
        });
        drop(writer);
        match started {
            Ok(child) => {
                let mut text = String::new();
                reader.read_to_string(&mut text).unwrap();
                assert_eq!(text, "1\n");
                assert_eq!(
                    crate::record::read(&path, crate::record::Slot::Main).map(|(pid, _)| pid),
                    Some(child.pid)
                );
                assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
            }
            // It takes a privilege, which not everybody has who tests.
            Err(failure) => assert_eq!((failure.step, failure.errno), (Step::Namespace, Errno::EPERM)),
        }
        std::fs::remove_file(&path).unwrap();
    }
}
