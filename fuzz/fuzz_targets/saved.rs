//! Checkpoint files: one that was changed is refused, or it says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker::fuzzing::{read_checkpoint, write_checkpoint};

const RUN: &str = "56ccd4e6571e54a7";

fuzz_target!(|input: (Option<[u64; 3]>, u16, Vec<(u16, u8)>, Vec<u8>)| {
    let (whole, cut, changes, state) = input;
    // Bytes of anyone.
    let Some(counts) = whole else {
        let _ = read_checkpoint(&state, RUN);
        return;
    };
    let mut file = write_checkpoint(RUN, counts, &state);
    assert_eq!(read_checkpoint(&file, RUN), Some((counts, state.clone())));
    assert_eq!(read_checkpoint(&file, "another"), None);
    for (at, byte) in changes {
        let at = usize::from(at) % file.len();
        file[at] = byte;
    }
    file.truncate(file.len() - usize::from(cut) % 64);
    if let Some(found) = read_checkpoint(&file, RUN) {
        assert_eq!(found, (counts, state));
    }
});
