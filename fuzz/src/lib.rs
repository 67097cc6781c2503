//! What the targets share: an allocator that notices greed, and the catalog of the program without its datasets.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use spec::grid::{Catalog, NoDataset};
use spec::{Config, Vocabulary};

/// Most that one allocation, and all that live, may take. libFuzzer's own limit on allocations needs a sanitizer's allocator.
const MOST: usize = 512 << 20;

struct Bounded;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn take(bytes: usize) {
    if LIVE.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > MOST {
        eprintln!("an allocation of {bytes} bytes exceeds the limit");
        std::process::abort();
    }
}

// SAFETY: everything is the system allocator's work; numbers are only counted.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The words of the program; every dataset is there and nothing is read.
pub struct Words(engine::Catalog);

impl Default for Words {
    fn default() -> Self {
        Words(engine::Catalog::new(None))
    }
}

impl Catalog for Words {
    fn vocabulary(&self) -> &Vocabulary {
        Catalog::vocabulary(&self.0)
    }

    fn dataset_checksum(&self, config: &Config) -> Result<String, NoDataset> {
        Ok(spec::fingerprint(config.text("dataset").unwrap_or_default().as_bytes()))
    }
}

/// Lines for people hold nothing that a terminal would obey.
pub fn is_printable(text: &str) -> bool {
    matches!(spec::visible(text), std::borrow::Cow::Borrowed(_))
}

/// A gzip file of one member that holds `content` as it is.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut file = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut chunks = content.chunks(usize::from(u16::MAX)).peekable();
    if chunks.peek().is_none() {
        file.extend(b"\x01\0\0\xff\xff");
    }
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        file.push(u8::from(chunks.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(chunk);
    }
    file.extend(crc32(content).to_le_bytes());
    file.extend(u32::try_from(content.len()).unwrap_or(0).to_le_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut c, mut bit) = (i as u32, 0);
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |c: u32, b| TABLE[usize::from(c as u8 ^ b)] ^ (c >> 8))
}
