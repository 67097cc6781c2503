//! TensorBoard's event files: any bytes are read or refused. The first byte says whether the rest is a file, or an event that is put
//! behind checksums that are right, which a fuzzer would hardly find.
#![no_main]

use exchange::import::fuzzing::{events, framed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((form, content)) = bytes.split_first() else { return };
    let file = if form % 2 == 0 { content.to_vec() } else { framed(content) };
    if let Err(error) = events(&file) {
        assert!(fuzz::is_printable(&error), "{error:?}");
    }
});
