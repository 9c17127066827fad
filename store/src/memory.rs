//! Memory that is not needed any more.

/// Gives what was freed back to the system. After large work only, such as a file that was made or read: glibc would keep
/// some tens of megabytes for the next time, minutes later. Takes about a millisecond.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
