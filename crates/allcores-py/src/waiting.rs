//! What Linux knows of the threads of this process, and whether one waits for a core.
//!
//! Read with the interpreter attached: it takes some microseconds, and who lets go of the lock to
//! read a file has to wait for it again while another thread computes, five milliseconds each time.

use std::fs;

use pyo3::prelude::*;

/// Nanoseconds that a thread, by its native number, has waited for a core; 0 where nobody knows.
#[pyfunction]
pub(crate) fn waited_ns(thread: u64) -> u64 {
    let words = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
    words.ok().and_then(|words| words.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Whether a thread, by its native number, has a core or waits for one, as far as that is known.
#[pyfunction]
pub(crate) fn is_ready(thread: u64) -> bool {
    // Its name is in brackets, and may have any in it.
    let words = fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    words.is_ok_and(|words| words.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
}

/// The native numbers of all threads of this process, whoever started them; none where nobody knows.
#[pyfunction]
pub(crate) fn thread_numbers() -> Vec<u64> {
    let Ok(folder) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    folder.filter_map(|each| each.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn running_thread_is_ready_and_one_that_is_not_there_has_not_waited() {
        let own = fs::read_link("/proc/thread-self").expect("a thread has a folder");
        let own = own.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        assert!(is_ready(own));
        assert!(!is_ready(u64::MAX));
        assert_eq!(waited_ns(u64::MAX), 0);
        assert!(thread_numbers().contains(&own));
    }
}
