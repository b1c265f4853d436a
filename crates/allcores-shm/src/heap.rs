//! The C library's heap, of which one thing is asked: to give the system back what is free in it.
//!
//! glibc keeps what was freed below anything that is still in use. After a crowd of small objects has
//! gone that may be hundreds of megabytes which only this process can use, so whoever knows that a
//! crowd has gone says so.

/// Gives free pages back to the system, where the C library has to be asked. It takes a few
/// milliseconds for each hundred megabytes.
pub fn give_free_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: this is the declaration of glibc's <malloc.h>, and no other C library gets here.
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> core::ffi::c_int;
        }
        // SAFETY: it takes no pointer and may be called by any thread at any time (MT-safe, says its
        // manual page); it touches free memory alone. The test beside this file calls it amid others'
        // allocations.
        let _ = unsafe { malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_as_it_is() {
        let others: Vec<_> = (0..4_u8)
            .map(|own| {
                std::thread::spawn(move || {
                    (0..2_000_usize).all(|size| {
                        let bytes = vec![own; size];
                        bytes.iter().all(|byte| *byte == own)
                    })
                })
            })
            .collect();
        let kept: Vec<Vec<usize>> = (0..10_000).map(|number| vec![number; 10]).collect();
        let gone: Vec<Vec<u8>> = (0..10_000).map(|_| vec![1; 1_000]).collect();
        drop(gone);
        give_free_memory_back();
        assert!(kept.iter().enumerate().all(|(number, each)| each == &[number; 10]));
        assert!(others.into_iter().all(|other| other.join().expect("it does not panic")));
    }
}
