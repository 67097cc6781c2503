//! PNG and JPEG files, decoded and resized as examples are.
#![no_main]

use engine::fuzzing::image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((form, file)) = bytes.split_first() else { return };
    let (size, is_grey) = (1 + u32::from(form & 15), form & 16 != 0);
    match image(file, size, is_grey) {
        Ok(pixels) => assert_eq!(pixels.len(), (size * size) as usize * if is_grey { 1 } else { 3 }),
        Err(what) => assert!(fuzz::is_printable(&what), "{what:?}"),
    }
});
