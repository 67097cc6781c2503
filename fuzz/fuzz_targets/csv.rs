//! CSV files of results: any bytes are read or refused with a text that can be shown.
#![no_main]

use exchange::import::fuzzing::csv;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = csv(bytes) {
        assert!(fuzz::is_printable(&error), "{error:?}");
    }
});
