//! What a worker knows of its own process: how much memory it has had, and whose parent it is.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::io::Read;

/// The most memory this process has had at a time, in bytes, where the system says so.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peak() -> Option<u64> {
    // Not what `getrusage` says: that counts what the process was before it became this program.
    let mut status = [0; 4096];
    // One call of the system: the kernel makes the text anew, whole, and it is not half as long.
    let length = std::fs::File::open("/proc/self/status").ok()?.read(&mut status).ok()?;
    let line =
        status[..length].split(|byte| *byte == b'\n').find(|line| line.starts_with(b"VmHWM:"))?;
    let kibibytes: u64 = std::str::from_utf8(line).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn peak() -> Option<u64> {
    None
}

/// From now on whoever loses its parent below this process becomes a child of it, so that it can be found
/// and ended with it.
pub(crate) fn adopt_orphans() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // Any id means yes. A kernel that can't leaves orphans to `init`.
        let _cannot = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}
