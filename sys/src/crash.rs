//! What becomes of a process that must not die when it fails: a handler of the signals that faults raise
//! executes the program again in its place, with every descriptor, every child and a *ledger* to go on from.
//!
//! The handler runs on a stack of its own, in a process of which nothing can be trusted any more. It uses
//! what was prepared here when all was well, makes system calls, and neither allocates nor locks. This is the
//! one handler of the suite; children that still share our memory (`CLONE_VM`) find out that they are not
//! the process it is for, and die of their signal.

use crate::fd::highest_open;
use nix::errno::Errno;
use service::wire::Fault;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, Ordering::SeqCst};

/// What faults raise, and what else by default ends a process with a core (signal(7)).
pub const FAULTS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGABRT, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS, libc::SIGTRAP];

/// The argument that tells the new program which descriptor is the ledger, without its number.
pub const LEDGER: &str = "--recover=";
/// The argument that tells it which signal brought it about, without its number; 0 if it was done on purpose.
pub const FAULT: &str = "--fault=";

/// The stack of the handler, and of what it does if nothing can be executed.
const STACK: usize = 64 << 10;

/// An argument that ends in a number which is filled in at the last moment.
struct Word {
    bytes: &'static [AtomicU8],
}

/// As many digits as a descriptor or a signal can have.
const DIGITS: usize = 10;

impl Word {
    /// Kept for ever: it is made once for a process.
    fn new(prefix: &str) -> Word {
        let text = prefix.bytes().chain([b'0'; DIGITS]).chain([0]);
        Word { bytes: Box::leak(text.map(AtomicU8::new).collect()) }
    }

    fn set(&self, number: i32) {
        let mut number = number.unsigned_abs();
        for byte in self.bytes.iter().rev().skip(1).take(DIGITS) {
            byte.store(b'0' + u8::try_from(number % 10).unwrap_or(0), SeqCst);
            number /= 10;
        }
    }

    fn pointer(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// What the handler uses. Made once, never freed, never changed but for what is atomic.
struct Prepared {
    owner: i32,
    program: RawFd,
    path: CString,
    words: Vec<*const c_char>,
    /// Owns what the words point to.
    _texts: Vec<CString>,
    ledger_word: Word,
    fault_word: Word,
    /// What is blocked while all is well: the handler blocks more, and the program must not inherit that.
    mask: libc::sigset_t,
}

static PREPARED: AtomicPtr<Prepared> = AtomicPtr::new(null_mut());
static LEDGER_NUMBER: AtomicI32 = AtomicI32::new(-1);
/// No descriptor that has to live on has a higher number.
static HIGHEST: AtomicI32 = AtomicI32::new(2);
/// How many faults there were: one in the handler itself must not end in a circle.
static DEPTH: AtomicI32 = AtomicI32::new(0);
static INSTALLED: AtomicBool = AtomicBool::new(false);
/// Whether the machine ends with this process.
static MACHINE: AtomicBool = AtomicBool::new(false);
/// Where the handler says something, if not on standard error.
static KERNEL_LOG: AtomicI32 = AtomicI32::new(-1);

/// What the process is, for its handler.
#[derive(Debug)]
pub struct Program {
    /// Our own program, as it was when we were started.
    pub file: Option<OwnedFd>,
    /// Where it is, should there be no such descriptor.
    pub path: CString,
    /// Its arguments, its name first. Two more are put behind that.
    pub arguments: Vec<CString>,
}

/// Installs the handler. What is blocked now will be blocked in the program that takes our place.
///
/// # Errors
/// Those of mmap(2), sigaltstack(2) and sigaction(2).
pub fn install(program: Program) -> io::Result<()> {
    let mut arguments = program.arguments.into_iter();
    let name = arguments.next().unwrap_or_else(|| c"init".to_owned());
    let texts: Vec<CString> = [name].into_iter().chain(arguments).collect();
    let (ledger_word, fault_word) = (Word::new(LEDGER), Word::new(FAULT));
    let mut words: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    words.insert(1, ledger_word.pointer());
    words.insert(2, fault_word.pointer());
    words.push(null());
    let prepared = Box::new(Prepared {
        owner: nix::unistd::getpid().as_raw(),
        program: program.file.map_or(-1, IntoRawFd::into_raw_fd),
        path: program.path,
        words,
        _texts: texts,
        ledger_word,
        fault_word,
        mask: current_mask()?,
    });
    // What was there before is leaked: a handler may be using it.
    PREPARED.store(Box::into_raw(prepared), SeqCst);
    if !INSTALLED.swap(true, SeqCst) {
        own_stack()?;
        for signal in FAULTS {
            handle_with(signal)?;
        }
        unblock_faults()?;
    }
    Ok(())
}

/// Says that the machine ends with this process, which therefore must never, and that the kernel's log is
/// where its messages go.
pub fn set_machine(kernel_log: Option<OwnedFd>) {
    MACHINE.store(true, SeqCst);
    KERNEL_LOG.store(kernel_log.map_or(-1, IntoRawFd::into_raw_fd), SeqCst);
}

/// Whether that was said.
#[must_use]
pub fn is_machine() -> bool {
    MACHINE.load(SeqCst)
}

/// Opens our own program, for [`Program::file`].
#[must_use]
pub fn own_program() -> Option<OwnedFd> {
    use nix::fcntl::{OFlag, open};
    open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty()).ok()
}

/// The number of the descriptor that [`own_program`] opened.
#[must_use]
pub fn own_number() -> Option<i32> {
    prepared().map(|prepared| prepared.program).filter(|number| *number >= 0)
}

/// Says which descriptor the ledger is from now on.
pub fn set_ledger(ledger: BorrowedFd<'_>) {
    keep(ledger);
    LEDGER_NUMBER.store(ledger.as_raw_fd(), SeqCst);
}

/// Has this descriptor outlive a fault. Others may as well, and are then closed by whoever takes over.
pub fn keep(descriptor: BorrowedFd<'_>) {
    HIGHEST.fetch_max(descriptor.as_raw_fd(), SeqCst);
}

/// Executes the program at `path` in our place, with all that a fault would hand on to it. Returns only if
/// that fails, and then nothing has changed.
pub fn replace(path: &CStr) -> io::Error {
    let Some(prepared) = prepared() else { return io::ErrorKind::Unsupported.into() };
    hand_on(prepared, 0);
    // SAFETY: the words and the environment are null-terminated and live for ever.
    unsafe { libc::execve(path.as_ptr(), prepared.words.as_ptr(), environment()) };
    let error = Errno::last();
    crate::fd::close_at_exec();
    error.into()
}

/// Has each of these numbers mean something, were it only `filler`: so none of them comes to mean what is opened
/// later.
pub fn occupy(numbers: impl Iterator<Item = RawFd>, filler: BorrowedFd<'_>) {
    for number in numbers.filter(|number| *number > 2) {
        // SAFETY: takes numbers only.
        let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        if !open {
            // SAFETY: takes numbers only; nothing is open under this one, so that nobody loses anything.
            unsafe { libc::dup3(filler.as_raw_fd(), number, libc::O_CLOEXEC) };
        }
    }
}

/// Closes every descriptor but the standard three and those in `known`.
pub fn close_all_but(known: &[RawFd]) {
    let mut known: Vec<RawFd> = known.iter().copied().filter(|number| *number > 2).collect();
    known.sort_unstable();
    known.dedup();
    let mut first = 3;
    let last = highest_open().max(3);
    for number in known.into_iter().chain([last + 1]) {
        for stranger in first..number {
            // SAFETY: by the caller's protocol nobody owns it; it was left by the program before us.
            unsafe { libc::close(stranger) };
        }
        first = first.max(number + 1);
    }
}

/// Fails as asked.
pub fn fail(fault: Fault) -> ! {
    match fault {
        Fault::Segv => {
            // SAFETY: not sound, and meant not to be: page zero is never mapped, so that this raises SIGSEGV.
            unsafe { null_mut::<u8>().write_volatile(1) };
            std::process::abort()
        }
        Fault::Abort => std::process::abort(),
        #[expect(clippy::panic, reason = "asked for")]
        Fault::Panic => panic!("asked to"),
        Fault::Overflow => {
            overflow(1);
            std::process::abort()
        }
    }
}

/// Uses up the stack.
#[inline(never)]
#[expect(unconditional_recursion, reason = "meant to have no end")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + std::hint::black_box(frame).iter().sum::<u64>()
}

/// The minimal way of being: reaps, and answers to the signals that end the machine, and to HUP by executing
/// the program again. Nothing else can fail here, since nothing else is done; descriptors stay open, so that
/// supervisors and services go on.
pub fn attend() -> ! {
    loop {
        attend_once();
    }
}

fn prepared() -> Option<&'static Prepared> {
    // SAFETY: null or a live `Prepared` that is never freed.
    unsafe { PREPARED.load(SeqCst).as_ref() }
}

fn current_mask() -> io::Result<libc::sigset_t> {
    let mut mask = empty_set();
    // SAFETY: with no new mask the present one is stored, into a live set.
    Errno::result(unsafe { libc::sigprocmask(libc::SIG_SETMASK, null(), &raw mut mask) })?;
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigdelset(&raw mut mask, signal) };
    }
    Ok(mask)
}

fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it has been initialised.
    unsafe { set.assume_init() }
}

/// All but the faults, which a program that takes over must not begin with blocked.
fn all_but_faults() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is live.
    unsafe { libc::sigfillset(&raw mut set) };
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}

/// A stack with a page below it that cannot be touched.
fn own_stack() -> io::Result<()> {
    const PAGE: usize = 4096;
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: asks for new memory wherever the kernel likes.
    let bottom = unsafe { libc::mmap(null_mut(), STACK + PAGE, access, flags, -1, 0) };
    if bottom == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the first page of the mapping just made, which nothing uses yet.
    unsafe { libc::mprotect(bottom, PAGE, libc::PROT_NONE) };
    let stack = libc::stack_t { ss_sp: bottom.wrapping_byte_add(PAGE), ss_flags: 0, ss_size: STACK };
    // SAFETY: the stack is memory of ours that is never given back.
    Errno::result(unsafe { libc::sigaltstack(&raw const stack, null_mut()) })?;
    Ok(())
}

fn handle_with(signal: c_int) -> io::Result<()> {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    // SAFETY: all zero is a valid sigaction, whose fields are set next.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // A fault in the handler comes to the handler, which counts them.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    action.sa_mask = all_but_faults();
    // SAFETY: the action is live, and its handler uses only what may be used in one.
    Errno::result(unsafe { libc::sigaction(signal, &raw const action, null_mut()) })?;
    Ok(())
}

/// A program that was executed by a handler may begin with them blocked.
fn unblock_faults() -> io::Result<()> {
    let mut set = empty_set();
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is live.
    Errno::result(unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, null_mut()) })?;
    Ok(())
}

/// The handler.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let own = nix::unistd::getpid().as_raw();
    let Some(prepared) = prepared().filter(|prepared| prepared.owner == own) else {
        return die_of(signal, own);
    };
    match DEPTH.fetch_add(1, SeqCst) {
        0 => {
            say(signal, cause(info));
            become_again(prepared, signal);
            attend()
        }
        1 => {
            become_again(prepared, signal);
            attend()
        }
        _ => attend(),
    }
}

/// In a child that shares our memory and has yet to execute its program: what would have happened without us.
fn die_of(signal: c_int, own: i32) {
    // The kernel's struct sigaction, all zero: the default.
    let default = [0_u64; 4];
    // SAFETY: the kernel reads one sigaction from a live array.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), null::<u64>(), 8) };
    // SAFETY: takes numbers only. A fault comes again by itself when the handler returns.
    unsafe { libc::kill(own, signal) };
}

/// Executes our own program in our place. Returns if that cannot be done.
fn become_again(prepared: &Prepared, signal: c_int) {
    if LEDGER_NUMBER.load(SeqCst) < 0 {
        // Without one the program would begin anew, beside all that runs.
        return;
    }
    hand_on(prepared, signal);
    let (words, environment) = (prepared.words.as_ptr(), environment());
    let empty = c"".as_ptr();
    // SAFETY: all texts are null-terminated and live for ever; with AT_EMPTY_PATH the descriptor is executed.
    unsafe {
        libc::syscall(libc::SYS_execveat, prepared.program, empty, words, environment, libc::AT_EMPTY_PATH)
    };
    // SAFETY: as above.
    unsafe { libc::execve(prepared.path.as_ptr(), words, environment) };
}

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

fn environment() -> *const *const c_char {
    // SAFETY: reads one pointer, which nothing in these programs changes.
    unsafe { environ }
}

/// Everything that the program which takes our place is to have: the descriptors, the mask, the numbers.
fn hand_on(prepared: &Prepared, signal: c_int) {
    prepared.ledger_word.set(LEDGER_NUMBER.load(SeqCst));
    prepared.fault_word.set(signal);
    for number in 3..=HIGHEST.load(SeqCst) {
        // SAFETY: takes numbers only; one that is not open fails harmlessly.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    }
    // SAFETY: the mask is live.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const prepared.mask, null_mut()) };
}

/// Where a signal comes from.
#[derive(Clone, Copy)]
enum Cause {
    /// The process with this number has sent it.
    Process(usize),
    /// What was done with this address.
    Address(usize),
}

fn cause(info: *const libc::siginfo_t) -> Cause {
    // SAFETY: the kernel has filled it in for the handler that was given it.
    let info = unsafe { &*info };
    if info.si_code <= 0 {
        // SAFETY: a signal that was sent has this field.
        let sender = unsafe { info.si_pid() };
        return Cause::Process(usize::try_from(sender).unwrap_or(0));
    }
    // SAFETY: a signal that the processor has raised has this field; others have a number there.
    Cause::Address(unsafe { info.si_addr() }.addr())
}

/// The digits of a number, in the buffer.
fn digits(mut number: usize, base: usize, buffer: &mut [u8; 20]) -> &[u8] {
    let mut first = buffer.len();
    for (place, byte) in buffer.iter_mut().enumerate().rev() {
        *byte = b"0123456789abcdef".get(number % base).copied().unwrap_or(b'?');
        number /= base;
        first = place;
        if number == 0 {
            break;
        }
    }
    buffer.get(first..).unwrap_or_default()
}

fn name(signal: c_int) -> &'static str {
    match signal {
        libc::SIGSEGV => "SEGV",
        libc::SIGABRT => "ABRT",
        libc::SIGBUS => "BUS",
        libc::SIGILL => "ILL",
        libc::SIGFPE => "FPE",
        libc::SIGSYS => "SYS",
        libc::SIGTRAP => "TRAP",
        _ => "unknown",
    }
}

/// Says so in one write, unless that would have to be waited for.
fn say(signal: c_int, cause: Cause) {
    let kernel = KERNEL_LOG.load(SeqCst) >= 0;
    let descriptor = if kernel { KERNEL_LOG.load(SeqCst) } else { 2 };
    let mut line = [0_u8; 128];
    let mut used = 0;
    let level = if kernel { "<27>" } else { "" };
    let mut buffer = [0; 20];
    let (from, number) = match cause {
        Cause::Process(pid) => (" from process ", digits(pid, 10, &mut buffer)),
        Cause::Address(address) => (" at address 0x", digits(address, 16, &mut buffer)),
    };
    let parts = [level, "init: error: signal ", name(signal), from];
    let parts = parts.iter().map(|part| part.as_bytes());
    for byte in parts.chain([number, b" (executing init again)\n"]).flatten() {
        if let Some(slot) = line.get_mut(used) {
            *slot = *byte;
            used += 1;
        }
    }
    let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live entry.
    let ready = unsafe { libc::poll(&raw mut entry, 1, 0) };
    if ready == 1 {
        // SAFETY: the bytes are live, and `used` of them are written.
        unsafe { libc::write(descriptor, line.as_ptr().cast(), used) };
    }
}

/// Waits for one signal and does what it asks for.
fn attend_once() {
    let mut set = all_but_faults();
    // SAFETY: the set is live.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, null_mut()) };
    reap_all();
    // SAFETY: the set is live, and nothing more is asked for than the number.
    let signal = unsafe { libc::sigwaitinfo(&raw mut set, null_mut()) };
    let machine = is_machine();
    match signal {
        libc::SIGHUP => {
            if let Some(prepared) = prepared() {
                become_again(prepared, 0);
            }
        }
        libc::SIGTERM | libc::SIGINT if machine => end(libc::RB_AUTOBOOT),
        libc::SIGUSR1 => end(libc::RB_HALT_SYSTEM),
        libc::SIGTERM | libc::SIGINT | libc::SIGUSR2 | libc::SIGPWR => end(libc::RB_POWER_OFF),
        _ => {}
    }
}

fn reap_all() {
    // SAFETY: nothing is stored.
    while unsafe { libc::waitpid(-1, null_mut(), libc::WNOHANG) } > 0 {}
}

/// Writes back what can be in ten seconds, and ends the machine, or the process where there is none.
fn end(how: c_int) {
    // SAFETY: a fork of a process with one thread, whose child only makes system calls.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    let child = i32::try_from(child).unwrap_or(-1);
    if child == 0 {
        // SAFETY: takes nothing.
        unsafe { libc::sync() };
        // SAFETY: ends the child without running anything of ours.
        unsafe { libc::_exit(0) };
    }
    let mut set = empty_set();
    // SAFETY: the set is live and initialised.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    let tenth = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    for _ in 0..100 {
        // SAFETY: nothing is stored; the child of our own is reaped, or still lives.
        if child < 0 || unsafe { libc::waitpid(child, null_mut(), libc::WNOHANG) } != 0 {
            break;
        }
        // SAFETY: the set and the time are live.
        unsafe { libc::sigtimedwait(&raw const set, null_mut(), &raw const tenth) };
    }
    let own = nix::unistd::getpid().as_raw();
    if own == 1 {
        // SAFETY: takes a number only.
        unsafe { libc::reboot(how) };
    }
    if !is_machine() {
        // SAFETY: ends the process.
        unsafe { libc::_exit(111) };
    }
}
