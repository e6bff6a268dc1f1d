//! What a parser process may ask of the system: memory, its pipes, threads, the time. Nothing else.
//!
//! [`enter`] installs two seccomp filters that hold for the rest of the process. Opening a file, a socket
//! or another program fails with EPERM, also for code that a hostile file might have smuggled in. It is a
//! second wall: limits on memory and time are the first, and both are useless against each other's
//! attacks.
//!
//! Linux on x86-64 and ARM only; elsewhere nothing is installed. A kernel without seccomp leaves the
//! process as it is, because reading documents there is better than not reading them; the caller
//! logs it.

/// Installs the filters for the calling thread and all it will start.
///
/// # Errors
/// One line when the system refuses.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn enter() -> Result<(), String> {
    use seccompiler::{SeccompAction as Action, SeccompFilter, TargetArch};
    use std::collections::BTreeMap;

    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let install = |rules: Rules, mismatch: Action, hit: Action| -> Result<(), String> {
        let filter = SeccompFilter::new(rules, mismatch, hit, arch);
        let filter = filter.map_err(|error| error.to_string())?;
        let program: seccompiler::BpfProgram =
            filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())
    };
    // The arguments of clone3 lie in memory, where no filter sees them: libc is told to use clone instead.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    install(clone3, Action::Allow, Action::Errno(libc::ENOSYS as u32))?;
    install(allowed()?, Action::Errno(libc::EPERM as u32), Action::Allow)
}

/// Does nothing: this system has no seccomp.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) fn enter() -> Result<(), String> {
    Ok(())
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
type Rules = std::collections::BTreeMap<i64, Vec<seccompiler::SeccompRule>>;

/// Returns the calls that are allowed, with their conditions.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn allowed() -> Result<Rules, String> {
    use seccompiler::{SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompRule};

    const CALLS: &[i64] = &[
        // Pipes, and the one file of a child for a large document.
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_ppoll,
        // Memory.
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        // Threads and their ends.
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        // Refused by the other filter, whose answer counts only where this one has none.
        libc::SYS_clone3,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_prctl,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_membarrier,
        // Signals, which a crash needs to be told.
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
        libc::SYS_restart_syscall,
        // Time and chance.
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_getrandom,
    ];
    let mut rules: Rules = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_poll, Vec::new());
    let thread = libc::CLONE_THREAD as u64;
    let is_thread = SeccompCondition::new(0, Len::Qword, Op::MaskedEq(thread), thread)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())?;
    rules.insert(libc::SYS_clone, vec![is_thread]);
    Ok(rules)
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::io::ErrorKind::PermissionDenied;

    /// Filters hold for the thread that enters and for those it starts, so the test's own are free.
    #[test]
    fn nothing_but_memory_and_threads_is_to_be_had() {
        let work = || {
            super::enter().unwrap();
            let file = std::fs::File::open("/etc/passwd").unwrap_err().kind();
            let listing = std::fs::read_dir("/").unwrap_err().kind();
            let write = std::fs::write("/tmp/vellum-sandbox", "x").unwrap_err().kind();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err().kind();
            let connect = std::net::TcpStream::connect("127.0.0.1:1").unwrap_err().kind();
            let program = std::process::Command::new("/bin/true").spawn().unwrap_err().kind();
            let sum = std::thread::spawn(|| (0..1_000_000_u64).collect::<Vec<_>>().len());
            ([file, listing, write, socket, connect, program], sum.join().unwrap())
        };
        let (refused, sum) = std::thread::spawn(work).join().unwrap();
        assert_eq!(refused, [PermissionDenied; 6]);
        assert_eq!(sum, 1_000_000);
    }
}
