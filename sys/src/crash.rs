//! What becomes of a process that must not die when it fails: a handler of the signals that faults raise
//! executes the program again in its place, with every descriptor, every child and a *ledger* to go on from.
//!
//! The handler runs on a stack of its own, in a process of which nothing can be trusted any more. It uses
//! what was prepared here when all was well, makes system calls, and neither allocates nor locks. This is the
//! one handler of the suite; children that still share our memory (`CLONE_VM`) find out that they are not
//! the process it is for, and die of their signal.

mod attend;
mod descriptors;
mod fail;
mod handler;
mod mask;
mod say;

pub use attend::attend;
pub use descriptors::{close_all_but, occupy};
pub use fail::fail;

use handler::{environment, hand_on, handle_with, own_stack};
use mask::{current_mask, unblock_faults};
use nix::errno::Errno;
use std::ffi::{CStr, CString, c_char, c_int};
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

fn prepared() -> Option<&'static Prepared> {
    // SAFETY: null or a live `Prepared` that is never freed.
    unsafe { PREPARED.load(SeqCst).as_ref() }
}
