//! Batches of CIFAR-10, binary and pickled.
#![no_main]

use engine::fuzzing::{cifar_binary, cifar_pickle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = if bytes.first() == Some(&0x80) { cifar_pickle(bytes) } else { cifar_binary(bytes) };
    match read {
        Ok(part) => {
            assert!(!part.labels.is_empty() && part.labels.iter().all(|label| *label < 10));
            assert_eq!(part.examples.len(), part.labels.len() * 3072);
        }
        Err(what) => assert!(fuzz::is_printable(&what), "{what:?}"),
    }
});
