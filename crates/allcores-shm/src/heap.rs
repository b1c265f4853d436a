//! The C library's heap, of which two things are asked: to give the system back what is free in it, and
//! not to be too quick about it.
//!
//! glibc keeps what was freed below anything that is still in use. After a crowd of small objects has
//! gone that may be hundreds of megabytes which only this process can use, so whoever knows that a
//! crowd has gone says so.
//!
//! The other way round, what is freed at the heap's top goes back at once when it is more than twice the largest
//! block that was ever mapped and freed (mallopt(3), "dynamic mmap threshold"). Then each object of a
//! megabyte that arrives gets pages that the system has to clear anew, which takes three
//! times as long as filling them. So whoever knows that such objects arrive says that, too.

use core::hint::black_box;

/// The heap keeps at its top what this many objects of the size that was told need, twice over.
const ROOM: usize = 8;

/// glibc maps each block from here on by itself, whatever was freed before (`DEFAULT_MMAP_THRESHOLD_MAX`).
const ALWAYS_MAPPED: usize = 32 << 20;

/// More objects of so many bytes will come, and go: the C library keeps room for some, at most 64 MB. It
/// learns that as from any program, by a block that is mapped and freed; none of its pages is touched.
/// To be told once for each size that is larger than all before.
pub fn expect_objects_of(bytes: usize) {
    if bytes < ALWAYS_MAPPED {
        let room = bytes.saturating_mul(ROOM).min(ALWAYS_MAPPED - (64 << 10));
        drop(black_box(Vec::<u8>::with_capacity(room)));
    }
}

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
