//! Zip and tar archives: names stay inside, and no more is unpacked than the bounds allow.
#![no_main]

use engine::fuzzing::{ARCHIVE_BOUNDS, archive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((form, content)) = bytes.split_first() else { return };
    let (ending, file) = match form % 4 {
        0 => (".zip", content.to_vec()),
        1 => (".tar", summed(content)),
        2 => (".tar.gz", fuzz::gzip(&summed(content))),
        _ => (".tgz", content.to_vec()),
    };
    // What is not read is passed over in another way.
    let (mut seen, mut total) = (0, 0);
    let walked = archive(ending, &file, form & 4 == 0, &mut |name, content| {
        seen += 1;
        assert!(!name.is_empty() && !name.starts_with('/') && fuzz::is_printable(name) && !name.contains(['\\', '\n']), "{name:?}");
        assert!(name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part != "__MACOSX"), "{name:?}");
        let length = content.map_or(0, <[u8]>::len) as u64;
        assert!(length <= ARCHIVE_BOUNDS.1);
        total += length;
    });
    assert!(seen <= ARCHIVE_BOUNDS.0 && total <= ARCHIVE_BOUNDS.2);
    if let Err(error) = walked {
        assert!(fuzz::is_printable(&error.to_string()), "{error:?}");
    }
});

/// Gives blocks that look like a header the checksum of one, which a fuzzer would hardly find.
fn summed(content: &[u8]) -> Vec<u8> {
    let mut file = content.to_vec();
    for block in file.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    file
}
