//! The table against the numbers that the C library has, and filters against what they are to answer.

use super::table::{SERVICE, SETS, names, number, set, set_names};
use super::*;
use std::collections::BTreeSet;

/// Holds the table against the constants of the C library.
macro_rules! same {
    ($($call:literal $constant:ident)+) => {
        $(assert_eq!(number($call).map(i64::from), Some(libc::$constant), $call);)+
    };
}

#[test]
fn the_numbers_are_those_that_the_c_library_has() {
    same!(
        "io_setup" SYS_io_setup "io_destroy" SYS_io_destroy "io_submit" SYS_io_submit "io_cancel"
        SYS_io_cancel "io_getevents" SYS_io_getevents "setxattr" SYS_setxattr "lsetxattr"
        SYS_lsetxattr "fsetxattr" SYS_fsetxattr "getxattr" SYS_getxattr "lgetxattr" SYS_lgetxattr
        "fgetxattr" SYS_fgetxattr "listxattr" SYS_listxattr "llistxattr" SYS_llistxattr "flistxattr"
        SYS_flistxattr "removexattr" SYS_removexattr "lremovexattr" SYS_lremovexattr "fremovexattr"
        SYS_fremovexattr "getcwd" SYS_getcwd "lookup_dcookie" SYS_lookup_dcookie "eventfd2"
        SYS_eventfd2 "epoll_create1" SYS_epoll_create1 "epoll_ctl" SYS_epoll_ctl "epoll_pwait"
        SYS_epoll_pwait "dup" SYS_dup "dup3" SYS_dup3 "fcntl" SYS_fcntl "inotify_init1"
        SYS_inotify_init1 "inotify_add_watch" SYS_inotify_add_watch "inotify_rm_watch"
        SYS_inotify_rm_watch "ioctl" SYS_ioctl "ioprio_set" SYS_ioprio_set "ioprio_get"
        SYS_ioprio_get "flock" SYS_flock "mknodat" SYS_mknodat "mkdirat" SYS_mkdirat "unlinkat"
        SYS_unlinkat "symlinkat" SYS_symlinkat "linkat" SYS_linkat "umount2" SYS_umount2 "mount"
        SYS_mount "pivot_root" SYS_pivot_root "nfsservctl" SYS_nfsservctl "statfs" SYS_statfs
        "fstatfs" SYS_fstatfs "truncate" SYS_truncate "ftruncate" SYS_ftruncate "fallocate"
        SYS_fallocate "faccessat" SYS_faccessat "chdir" SYS_chdir "fchdir" SYS_fchdir "chroot"
        SYS_chroot "fchmod" SYS_fchmod "fchmodat" SYS_fchmodat "fchownat" SYS_fchownat "fchown"
        SYS_fchown "openat" SYS_openat "close" SYS_close "vhangup" SYS_vhangup "pipe2" SYS_pipe2
        "quotactl" SYS_quotactl "getdents64" SYS_getdents64 "lseek" SYS_lseek "read" SYS_read
        "write" SYS_write "readv" SYS_readv "writev" SYS_writev "pread64" SYS_pread64 "pwrite64"
        SYS_pwrite64 "preadv" SYS_preadv "pwritev" SYS_pwritev "sendfile" SYS_sendfile "pselect6"
        SYS_pselect6 "ppoll" SYS_ppoll "signalfd4" SYS_signalfd4 "vmsplice" SYS_vmsplice "splice"
        SYS_splice "tee" SYS_tee "readlinkat" SYS_readlinkat "newfstatat" SYS_newfstatat "fstat"
        SYS_fstat "sync" SYS_sync "fsync" SYS_fsync "fdatasync" SYS_fdatasync "timerfd_create"
        SYS_timerfd_create "timerfd_settime" SYS_timerfd_settime "timerfd_gettime"
        SYS_timerfd_gettime "utimensat" SYS_utimensat "acct" SYS_acct "capget" SYS_capget "capset"
        SYS_capset "personality" SYS_personality "exit" SYS_exit "exit_group" SYS_exit_group
        "waitid" SYS_waitid "set_tid_address" SYS_set_tid_address "unshare" SYS_unshare "futex"
        SYS_futex "set_robust_list" SYS_set_robust_list "get_robust_list" SYS_get_robust_list
        "nanosleep" SYS_nanosleep "getitimer" SYS_getitimer "setitimer" SYS_setitimer "kexec_load"
        SYS_kexec_load "init_module" SYS_init_module "delete_module" SYS_delete_module
        "timer_create" SYS_timer_create "timer_gettime" SYS_timer_gettime "timer_getoverrun"
        SYS_timer_getoverrun "timer_settime" SYS_timer_settime "timer_delete" SYS_timer_delete
        "clock_settime" SYS_clock_settime "clock_gettime" SYS_clock_gettime "clock_getres"
        SYS_clock_getres "clock_nanosleep" SYS_clock_nanosleep "syslog" SYS_syslog "ptrace"
        SYS_ptrace "sched_setparam" SYS_sched_setparam "sched_setscheduler" SYS_sched_setscheduler
        "sched_getscheduler" SYS_sched_getscheduler "sched_getparam" SYS_sched_getparam
        "sched_setaffinity" SYS_sched_setaffinity "sched_getaffinity" SYS_sched_getaffinity
        "sched_yield" SYS_sched_yield "sched_get_priority_max" SYS_sched_get_priority_max
        "sched_get_priority_min" SYS_sched_get_priority_min "sched_rr_get_interval"
        SYS_sched_rr_get_interval "restart_syscall" SYS_restart_syscall "kill" SYS_kill "tkill"
        SYS_tkill "tgkill" SYS_tgkill "sigaltstack" SYS_sigaltstack "rt_sigsuspend"
        SYS_rt_sigsuspend "rt_sigaction" SYS_rt_sigaction "rt_sigprocmask" SYS_rt_sigprocmask
        "rt_sigpending" SYS_rt_sigpending "rt_sigtimedwait" SYS_rt_sigtimedwait "rt_sigqueueinfo"
        SYS_rt_sigqueueinfo "rt_sigreturn" SYS_rt_sigreturn "setpriority" SYS_setpriority
        "getpriority" SYS_getpriority "reboot" SYS_reboot "setregid" SYS_setregid "setgid"
        SYS_setgid "setreuid" SYS_setreuid "setuid" SYS_setuid "setresuid" SYS_setresuid "getresuid"
        SYS_getresuid "setresgid" SYS_setresgid "getresgid" SYS_getresgid "setfsuid" SYS_setfsuid
        "setfsgid" SYS_setfsgid "times" SYS_times "setpgid" SYS_setpgid "getpgid" SYS_getpgid
        "getsid" SYS_getsid "setsid" SYS_setsid "getgroups" SYS_getgroups "setgroups" SYS_setgroups
        "uname" SYS_uname "sethostname" SYS_sethostname "setdomainname" SYS_setdomainname
        "getrusage" SYS_getrusage "umask" SYS_umask "prctl" SYS_prctl "getcpu" SYS_getcpu
        "gettimeofday" SYS_gettimeofday "settimeofday" SYS_settimeofday "adjtimex" SYS_adjtimex
        "getpid" SYS_getpid "getppid" SYS_getppid "getuid" SYS_getuid "geteuid" SYS_geteuid "getgid"
        SYS_getgid "getegid" SYS_getegid "gettid" SYS_gettid "sysinfo" SYS_sysinfo "mq_open"
        SYS_mq_open "mq_unlink" SYS_mq_unlink "mq_timedsend" SYS_mq_timedsend "mq_timedreceive"
        SYS_mq_timedreceive "mq_notify" SYS_mq_notify "mq_getsetattr" SYS_mq_getsetattr "msgget"
        SYS_msgget "msgctl" SYS_msgctl "msgrcv" SYS_msgrcv "msgsnd" SYS_msgsnd "semget" SYS_semget
        "semctl" SYS_semctl "semtimedop" SYS_semtimedop "semop" SYS_semop "shmget" SYS_shmget
        "shmctl" SYS_shmctl "shmat" SYS_shmat "shmdt" SYS_shmdt "socket" SYS_socket "socketpair"
        SYS_socketpair "bind" SYS_bind "listen" SYS_listen "accept" SYS_accept "connect" SYS_connect
        "getsockname" SYS_getsockname "getpeername" SYS_getpeername "sendto" SYS_sendto "recvfrom"
        SYS_recvfrom "setsockopt" SYS_setsockopt "getsockopt" SYS_getsockopt "shutdown" SYS_shutdown
        "sendmsg" SYS_sendmsg "recvmsg" SYS_recvmsg "readahead" SYS_readahead "brk" SYS_brk "munmap"
        SYS_munmap "mremap" SYS_mremap "add_key" SYS_add_key "request_key" SYS_request_key "keyctl"
        SYS_keyctl "clone" SYS_clone "execve" SYS_execve "mmap" SYS_mmap "fadvise64" SYS_fadvise64
        "swapon" SYS_swapon "swapoff" SYS_swapoff "mprotect" SYS_mprotect "msync" SYS_msync "mlock"
        SYS_mlock "munlock" SYS_munlock "mlockall" SYS_mlockall "munlockall" SYS_munlockall
        "mincore" SYS_mincore "madvise" SYS_madvise "remap_file_pages" SYS_remap_file_pages "mbind"
        SYS_mbind "get_mempolicy" SYS_get_mempolicy "set_mempolicy" SYS_set_mempolicy
        "migrate_pages" SYS_migrate_pages "move_pages" SYS_move_pages "rt_tgsigqueueinfo"
        SYS_rt_tgsigqueueinfo "perf_event_open" SYS_perf_event_open "accept4" SYS_accept4 "recvmmsg"
        SYS_recvmmsg "wait4" SYS_wait4 "prlimit64" SYS_prlimit64 "fanotify_init" SYS_fanotify_init
        "fanotify_mark" SYS_fanotify_mark "name_to_handle_at" SYS_name_to_handle_at
        "open_by_handle_at" SYS_open_by_handle_at "clock_adjtime" SYS_clock_adjtime "syncfs"
        SYS_syncfs "setns" SYS_setns "sendmmsg" SYS_sendmmsg "process_vm_readv" SYS_process_vm_readv
        "process_vm_writev" SYS_process_vm_writev "kcmp" SYS_kcmp "finit_module" SYS_finit_module
        "sched_setattr" SYS_sched_setattr "sched_getattr" SYS_sched_getattr "renameat2"
        SYS_renameat2 "seccomp" SYS_seccomp "getrandom" SYS_getrandom "memfd_create"
        SYS_memfd_create "bpf" SYS_bpf "execveat" SYS_execveat "userfaultfd" SYS_userfaultfd
        "membarrier" SYS_membarrier "mlock2" SYS_mlock2 "copy_file_range" SYS_copy_file_range
        "preadv2" SYS_preadv2 "pwritev2" SYS_pwritev2 "pkey_mprotect" SYS_pkey_mprotect "pkey_alloc"
        SYS_pkey_alloc "pkey_free" SYS_pkey_free "statx" SYS_statx "rseq" SYS_rseq "kexec_file_load"
        SYS_kexec_file_load "pidfd_send_signal" SYS_pidfd_send_signal "io_uring_setup"
        SYS_io_uring_setup "io_uring_enter" SYS_io_uring_enter "io_uring_register"
        SYS_io_uring_register "open_tree" SYS_open_tree "move_mount" SYS_move_mount "fsopen"
        SYS_fsopen "fsconfig" SYS_fsconfig "fsmount" SYS_fsmount "fspick" SYS_fspick "pidfd_open"
        SYS_pidfd_open "clone3" SYS_clone3 "close_range" SYS_close_range "openat2" SYS_openat2
        "pidfd_getfd" SYS_pidfd_getfd "faccessat2" SYS_faccessat2 "process_madvise"
        SYS_process_madvise "epoll_pwait2" SYS_epoll_pwait2 "mount_setattr" SYS_mount_setattr
        "quotactl_fd" SYS_quotactl_fd "landlock_create_ruleset" SYS_landlock_create_ruleset
        "landlock_add_rule" SYS_landlock_add_rule "landlock_restrict_self"
        SYS_landlock_restrict_self "memfd_secret" SYS_memfd_secret "process_mrelease"
        SYS_process_mrelease "futex_waitv" SYS_futex_waitv "set_mempolicy_home_node"
        SYS_set_mempolicy_home_node "mseal" SYS_mseal
    );
    #[cfg(target_arch = "x86_64")]
    same!(
        "open" SYS_open "stat" SYS_stat "lstat" SYS_lstat "poll" SYS_poll "access" SYS_access "pipe"
        SYS_pipe "select" SYS_select "dup2" SYS_dup2 "pause" SYS_pause "alarm" SYS_alarm "fork"
        SYS_fork "vfork" SYS_vfork "getdents" SYS_getdents "rename" SYS_rename "mkdir" SYS_mkdir
        "rmdir" SYS_rmdir "creat" SYS_creat "link" SYS_link "unlink" SYS_unlink "symlink"
        SYS_symlink "readlink" SYS_readlink "chmod" SYS_chmod "chown" SYS_chown "lchown" SYS_lchown
        "getrlimit" SYS_getrlimit "getpgrp" SYS_getpgrp "utime" SYS_utime "mknod" SYS_mknod "uselib"
        SYS_uselib "ustat" SYS_ustat "sysfs" SYS_sysfs "modify_ldt" SYS_modify_ldt "_sysctl"
        SYS__sysctl "arch_prctl" SYS_arch_prctl "setrlimit" SYS_setrlimit "iopl" SYS_iopl "ioperm"
        SYS_ioperm "getpmsg" SYS_getpmsg "putpmsg" SYS_putpmsg "afs_syscall" SYS_afs_syscall
        "tuxcall" SYS_tuxcall "security" SYS_security "time" SYS_time "set_thread_area"
        SYS_set_thread_area "get_thread_area" SYS_get_thread_area "epoll_create" SYS_epoll_create
        "epoll_ctl_old" SYS_epoll_ctl_old "epoll_wait_old" SYS_epoll_wait_old "epoll_wait"
        SYS_epoll_wait "utimes" SYS_utimes "vserver" SYS_vserver "inotify_init" SYS_inotify_init
        "futimesat" SYS_futimesat "renameat" SYS_renameat "sync_file_range" SYS_sync_file_range
        "signalfd" SYS_signalfd "eventfd" SYS_eventfd "fchmodat2" SYS_fchmodat2
    );
}

fn allowing(words: &[&str], otherwise: Otherwise) -> Filter {
    let allowed = words.iter().filter_map(|word| number(word)).collect();
    Filter { allowed: Some(allowed), rules: Vec::new(), otherwise }
}

fn ask(program: &[u64], call: &str, arguments: [u64; 6]) -> u32 {
    answer_of(program, &Call::new(number(call).unwrap(), arguments)).unwrap()
}

const EPERM: u32 = answer::ERROR | 1;

#[test]
fn each_call_is_in_one_set_and_has_a_number() {
    let mut seen = BTreeSet::new();
    for set in SETS {
        for call in set.calls {
            assert!(seen.insert(*call), "{call} is in two sets");
            assert!(cfg!(not(target_arch = "x86_64")) || number(call).is_some(), "{call}");
        }
    }
    let left: Vec<&str> = names().filter(|name| !seen.contains(name)).collect();
    assert_eq!(left, [""; 0]);
    let mut numbers: Vec<u32> = names().filter_map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by(|a, b| a < b), "a number is there twice");
    assert!(SERVICE.iter().all(|name| set_names().any(|other| other == *name)));
}

#[test]
fn what_is_allowed_is_exactly_what_was_asked_for() {
    let words = set("service").unwrap();
    for (otherwise, denied) in
        [(Otherwise::Error, EPERM), (Otherwise::Kill, answer::KILL), (Otherwise::Log, answer::LOG)]
    {
        let program = allowing(&words, otherwise).program();
        assert!(program.len() < filter::INSTRUCTIONS_MAX);
        for call in names() {
            let expected = if words.contains(&call) { answer::ALLOW } else { denied };
            assert_eq!(ask(&program, call, [0; 6]), expected, "{call}");
        }
        // What this kernel has not got yet is not allowed either.
        assert_eq!(answer_of(&program, &Call::new(1000, [0; 6])), Some(denied));
    }
    for call in ["mount", "reboot", "init_module", "ptrace", "bpf", "unshare", "io_uring_setup"] {
        assert!(!words.contains(&call), "{call}");
    }
    for call in ["execve", "rt_sigprocmask", "exit_group", "read", "openat"] {
        assert!(words.contains(&call), "{call}");
    }
}

#[test]
fn calls_by_other_conventions_are_refused() {
    let program = allowing(&["read", "write"], Otherwise::Log).program();
    let foreign = Call { number: 3, architecture: 0x4000_0003, arguments: [0; 6] };
    assert_eq!(answer_of(&program, &foreign), Some(answer::KILL));
    if cfg!(target_arch = "x86_64") {
        assert_eq!(answer_of(&program, &Call::new(0x4000_0000, [0; 6])), Some(EPERM));
        assert_eq!(answer_of(&program, &Call::new(u32::MAX, [0; 6])), Some(EPERM));
    }
}

fn ruled(rule: Rule) -> Vec<u64> {
    Filter { allowed: None, rules: vec![rule], otherwise: Otherwise::Error }.program()
}

#[test]
fn sockets_are_of_the_families_that_are_named() {
    let program = ruled(Rule::Families(vec![1, 2]));
    for (family, expected) in
        [(1, answer::ALLOW), (2, answer::ALLOW), (10, answer::ERROR | 97), (0, answer::ERROR | 97)]
    {
        assert_eq!(ask(&program, "socket", [family, 1, 0, 0, 0, 0]), expected, "{family}");
        assert_eq!(ask(&program, "socketpair", [family, 1, 0, 0, 0, 0]), expected, "{family}");
    }
    assert_eq!(ask(&program, "io_uring_setup", [0; 6]), EPERM);
    assert_eq!(ask(&program, "read", [10, 0, 0, 0, 0, 0]), answer::ALLOW);
    assert_eq!(ask(&ruled(Rule::Families(Vec::new())), "socket", [1, 0, 0, 0, 0, 0]), answer::ERROR | 97);
    // Any number of them: the jumps reach.
    let many: Vec<u32> = (0..46).collect();
    let program = ruled(Rule::Families(many));
    assert_eq!(ask(&program, "socket", [0, 0, 0, 0, 0, 0]), answer::ALLOW);
    assert_eq!(ask(&program, "socket", [46, 0, 0, 0, 0, 0]), answer::ERROR | 97);
}

#[test]
fn arguments_decide_where_a_rule_looks_at_them() {
    let at = |position: usize, value: u64| {
        let mut arguments = [0; 6];
        arguments[position] = value;
        arguments
    };
    let set_id = ruled(Rule::SetIdFiles);
    for (call, position) in [("fchmod", 1), ("fchmodat", 2), ("mkdirat", 2), ("mknodat", 2)] {
        assert_eq!(ask(&set_id, call, at(position, 0o4755)), EPERM, "{call}");
        assert_eq!(ask(&set_id, call, at(position, 0o2755)), EPERM, "{call}");
        assert_eq!(ask(&set_id, call, at(position, 0o1755)), answer::ALLOW, "{call}");
    }
    assert_eq!(ask(&set_id, "openat", [0, 0, 0o100, 0o4755, 0, 0]), EPERM);
    assert_eq!(ask(&set_id, "openat", [0, 0, 0o101, 0o755, 0, 0]), answer::ALLOW);
    // Without O_CREAT there is no mode, but whatever the register had.
    assert_eq!(ask(&set_id, "openat", [0, 0, 2, 0o4755, 0, 0]), answer::ALLOW);
    assert_eq!(ask(&set_id, "openat2", [0; 6]), answer::ERROR | 38);
    assert_eq!(ask(&set_id, "io_uring_setup", [0; 6]), EPERM);

    let namespaces = ruled(Rule::Namespaces);
    assert_eq!(ask(&namespaces, "clone", at(0, 0x2000_0000 | 17)), EPERM);
    assert_eq!(ask(&namespaces, "clone", at(0, 0x0000_4111)), answer::ALLOW);
    assert_eq!(ask(&namespaces, "unshare", at(0, 0x80)), EPERM);
    assert_eq!(ask(&namespaces, "unshare", at(0, 0x400)), answer::ALLOW);
    assert_eq!(ask(&namespaces, "clone3", [0; 6]), answer::ERROR | 38);
    assert_eq!(ask(&namespaces, "setns", [0; 6]), EPERM);

    let memory = ruled(Rule::WriteExecute);
    assert_eq!(ask(&memory, "mmap", at(2, 7)), EPERM);
    assert_eq!(ask(&memory, "mmap", at(2, 5)), answer::ALLOW);
    assert_eq!(ask(&memory, "mprotect", at(2, 5)), EPERM);
    assert_eq!(ask(&memory, "mprotect", at(2, 3)), answer::ALLOW);
    assert_eq!(ask(&memory, "shmat", at(2, 0o100_000)), EPERM);
    // What can be read can be executed there.
    assert_eq!(ask(&memory, "personality", at(0, 0x0040_0000)), EPERM);
    assert_eq!(ask(&memory, "personality", at(0, 0x0004_0000)), answer::ALLOW);
    assert_eq!(ask(&memory, "personality", at(0, 0xffff_ffff)), answer::ALLOW);

    let real_time = ruled(Rule::RealTime);
    assert_eq!(ask(&real_time, "sched_setscheduler", at(1, 1)), EPERM);
    assert_eq!(ask(&real_time, "sched_setscheduler", at(1, 0x4000_0002)), EPERM);
    assert_eq!(ask(&real_time, "sched_setscheduler", at(1, 0x4000_0003)), answer::ALLOW);

    let personality = ruled(Rule::Personality);
    assert_eq!(ask(&personality, "personality", at(0, 0x0040_0000)), EPERM);
    assert_eq!(ask(&personality, "personality", at(0, 0xffff_ffff)), answer::ALLOW);
}

#[test]
fn rules_hold_beside_a_list_of_what_is_allowed() {
    let filter = Filter {
        allowed: Some(["socket", "read"].iter().filter_map(|word| number(word)).collect()),
        rules: vec![Rule::Families(vec![1]), Rule::Namespaces, Rule::Calls(vec![number("read").unwrap()])],
        otherwise: Otherwise::Kill,
    };
    let program = filter.program();
    assert_eq!(ask(&program, "socket", [1, 0, 0, 0, 0, 0]), answer::ALLOW);
    assert_eq!(ask(&program, "socket", [2, 0, 0, 0, 0, 0]), answer::ERROR | 97);
    assert_eq!(ask(&program, "clone", [17, 0, 0, 0, 0, 0]), answer::KILL);
    assert_eq!(ask(&program, "read", [0; 6]), EPERM);
}
