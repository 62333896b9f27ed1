//! Where memory comes from: small blocks from mimalloc, large ones from the system.
//!
//! The C library's allocator spends a fifth of the CPU time under load: what one thread allocates, another frees, and its
//! arenas are locked for it (bench/RESULTS.md, "Where the time goes"). But mimalloc keeps what was freed for a while,
//! which for payloads of 64 MiB is most of what the process may take (584 MiB at most where the system's needs 485): the
//! system gives them back at once. It is asked to make them of huge pages: where a payload of 64 MiB is copied, two thirds of the
//! time go into 16,384 small ones (34 ms, and 5 to give them back, where huge ones take 11).
#![expect(unsafe_code, reason = "an allocator is unsafe by its nature; this one only chooses between two")]

use std::alloc::{GlobalAlloc, Layout, System};

use mimalloc::MiMalloc;

/// Blocks of this size and beyond are the system's. What is shorter is wanted again at once as a rule: to have each block of a
/// mebibyte from the system, and to give it back, took a third of the core's time beside many of them.
const LARGE_FROM: usize = 8 << 20;

/// A block that the system gave, and that is long.
fn of_huge_pages(block: *mut u8, size: usize) -> *mut u8 {
    #[cfg(target_os = "linux")]
    if !block.is_null() {
        const PAGE: usize = 4096;
        let lead = block.align_offset(PAGE);
        // SAFETY: it lies within the block, and says how its pages are to be found and nothing of what is in them. If the system
        // does not do that, nothing is lost.
        unsafe {
            libc::madvise(block.add(lead).cast(), size - lead, libc::MADV_HUGEPAGE);
        }
    }
    block
}

/// Tells the C library, whose allocator SQLite has too, to take large blocks from the system and give them back at once.
/// Left alone it keeps blocks of up to 32 MiB once it has seen one. To be called before anything large is allocated.
pub(crate) fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets a number, before there is another thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// The allocator. Whose a block is follows from its size, which whoever frees it tells again.
#[derive(Debug)]
pub(crate) struct BySize;

// SAFETY: each block is allocated, resized and freed by one and the same of two allocators.
unsafe impl GlobalAlloc for BySize {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as our caller promises.
        unsafe {
            if layout.size() < LARGE_FROM {
                MiMalloc.alloc(layout)
            } else {
                of_huge_pages(System.alloc(layout), layout.size())
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as our caller promises.
        unsafe {
            if layout.size() < LARGE_FROM {
                MiMalloc.alloc_zeroed(layout)
            } else {
                of_huge_pages(System.alloc_zeroed(layout), layout.size())
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as our caller promises; a block of this size came from the same allocator.
        unsafe {
            if layout.size() < LARGE_FROM { MiMalloc.dealloc(block, layout) } else { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as our caller promises. Across the border a new block is made, and the old one copied and freed.
        unsafe {
            match (layout.size() < LARGE_FROM, size < LARGE_FROM) {
                (true, true) => MiMalloc.realloc(block, layout, size),
                (false, false) => of_huge_pages(System.realloc(block, layout, size), size),
                (true, false) | (false, true) => {
                    let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !moved.is_null() {
                        std::ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_block_that_grows_and_shrinks_across_the_border_keeps_what_is_in_it() {
        // The tests of the binary have the binary's allocator.
        let mut block: Vec<u8> = Vec::new();
        for round in 0..4 {
            while block.len() < 3 << 20 {
                block.extend((0..=255).cycle().take(100_000));
            }
            for (at, byte) in block.iter().enumerate() {
                assert_eq!(usize::from(*byte), at % 100_000 % 256, "round {round}");
            }
            block.truncate(100_000);
            block.shrink_to_fit();
        }
    }
}
