//! TFRecord framing: length, checksum of the length, data, checksum of the data (CRC-32C, masked).

use std::io::{self, Read, Write};

/// Longest record that is read: far above what scalars need, far below what hurts.
const MAX_RECORD: u64 = 64 << 20;

/// TensorFlow's mask, so that a checksum of checksums is none (`tsl/lib/hash/crc32c.h`).
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// # Errors
/// When it can't be written.
pub(crate) fn write(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked(data).to_le_bytes())
}

/// The next record, or `None` at the end; a record that was cut off in the middle of its being written is the end, as TensorBoard has it.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn read(file: &mut impl Read) -> Result<Option<Vec<u8>>, String> {
    let mut head = [0; 12];
    if !fill(file, &mut head)? {
        return Ok(None);
    }
    let (length, sum) = head.split_at(8);
    if masked(length).to_le_bytes() != sum {
        return Err("a record's length does not fit its checksum".into());
    }
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    if length > MAX_RECORD {
        return Err(format!("a record has {length} bytes; {MAX_RECORD} are the most"));
    }
    let mut data = vec![];
    file.take(length + 4).read_to_end(&mut data).map_err(|e| e.to_string())?;
    if (data.len() as u64) < length + 4 {
        return Ok(None);
    }
    let sum = data.split_off(data.len() - 4);
    if masked(&data).to_le_bytes()[..] != sum[..] {
        return Err("a record does not fit its checksum".into());
    }
    Ok(Some(data))
}

/// Whether there was enough to fill it.
fn fill(file: &mut impl Read, into: &mut [u8]) -> Result<bool, String> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros, of ones, rising.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c::crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        // The first bytes of every event file: a record of 24 bytes.
        assert_eq!(masked(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    proptest! {
        #[test]
        fn records_read_back(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5), cut in 0..20usize) {
            let mut file = vec![];
            for record in &records {
                write(&mut file, record).unwrap();
            }
            let whole = file.len();
            file.truncate(whole - cut.min(whole));
            let mut input = &file[..];
            let mut back = vec![];
            while let Some(record) = read(&mut input).unwrap() {
                back.push(record);
            }
            prop_assert!(records.starts_with(&back));
            prop_assert!(cut > 0 || back.len() == records.len());
        }

        #[test]
        fn a_changed_byte_is_noticed(data in prop::collection::vec(any::<u8>(), 1..50), at in 0..100usize, by in 1..=255u8) {
            let mut file = vec![];
            write(&mut file, &data).unwrap();
            let at = at % file.len();
            file[at] ^= by;
            prop_assert!(read(&mut &file[..]).is_err());
        }
    }
}
