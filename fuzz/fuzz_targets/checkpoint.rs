//! The engine's checkpoints: what was written comes back bit by bit; what is refused changes nothing.
#![no_main]

use engine::Checkpoint;
use engine::fuzzing::{Tensors, restore_checkpoint, write_checkpoint};
use libfuzzer_sys::fuzz_target;

const LARGEST: u64 = 1 << 62;

/// NaN is itself, too.
fn bits(tensors: &Tensors) -> Vec<Vec<u32>> {
    tensors.iter().map(|(_, numbers)| numbers.iter().map(|x| x.to_bits()).collect()).collect()
}

fuzz_target!(|input: (Option<(u64, f64, Vec<f32>)>, i8, Vec<(u16, u8)>, Vec<u8>)| {
    let (whole, longer, changes, rest) = input;
    // Bytes of anyone.
    let Some((step, x, numbers)) = whole else {
        if let Ok(checkpoint) = Checkpoint::parse(rest) {
            assert!(checkpoint.step() <= LARGEST);
            let mut tensors = vec![("a".to_owned(), vec![0.0; 2])];
            let _ = restore_checkpoint(&checkpoint, &mut tensors).is_ok();
        }
        return;
    };
    let (step, half) = (step & (LARGEST - 1), numbers.len() / 2);
    let mut tensors = vec![("layer.1/w".to_owned(), numbers[..half].to_vec()), ("b".to_owned(), numbers[half..].to_vec())];
    let zero = |tensors: &Tensors| -> Tensors { tensors.iter().map(|(name, t)| (name.clone(), vec![0.0; t.len()])).collect() };
    let mut bytes = write_checkpoint(step, x, &mut tensors);
    let checkpoint = Checkpoint::parse(bytes.clone()).expect("a checkpoint");
    let mut restored = zero(&tensors);
    let found = restore_checkpoint(&checkpoint, &mut restored).expect("its tensors");
    assert_eq!((checkpoint.step(), found.to_bits(), bits(&restored)), (step, x.to_bits(), bits(&tensors)));

    for (at, byte) in changes {
        // Most changes are to the header.
        let end = if at & 1 == 0 { bytes.len().min(400) } else { bytes.len() };
        bytes[usize::from(at >> 1) % end] = byte;
    }
    if longer < 0 {
        bytes.truncate(bytes.len().saturating_sub(usize::from(longer.unsigned_abs())));
    } else {
        bytes.extend(rest.iter().take(usize::from(longer.unsigned_abs())));
    }
    if let Ok(checkpoint) = Checkpoint::parse(bytes) {
        assert!(checkpoint.step() <= LARGEST);
        let mut restored = zero(&tensors);
        match restore_checkpoint(&checkpoint, &mut restored) {
            Ok(x) => {
                let again = Checkpoint::parse(write_checkpoint(checkpoint.step(), x, &mut restored)).expect("a checkpoint");
                let mut twice = zero(&tensors);
                assert_eq!(restore_checkpoint(&again, &mut twice).expect("its tensors").to_bits(), x.to_bits());
                assert_eq!(bits(&twice), bits(&restored));
            }
            Err(_) => assert_eq!(bits(&restored), bits(&zero(&tensors)), "half a checkpoint was taken"),
        }
    }
});
