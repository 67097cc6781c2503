//! IDX files, compressed by us or by whoever made the bytes.
#![no_main]

use engine::fuzzing::idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((form, content)) = bytes.split_first() else { return };
    let file = if form & 1 == 0 { fuzz::gzip(content) } else { content.to_vec() };
    match form & 2 {
        0 => whole(idx::<3>(&file)),
        _ => whole(idx::<1>(&file)),
    }
});

fn whole<const DIMS: usize>(read: Result<([u32; DIMS], Vec<u8>), engine::data::DataError>) {
    match read {
        Ok((sizes, bytes)) => assert_eq!(sizes.iter().map(|n| u64::from(*n)).product::<u64>(), bytes.len() as u64),
        Err(error) => assert!(fuzz::is_printable(&error.to_string())),
    }
}
