//! Reads gzipped IDX files (<http://yann.lecun.com/exdb/mnist/>): a magic number, sizes, bytes.
//!
//! A file is first streamed through a small buffer to check that it holds what its header claims; memory for its content is
//! only allocated then.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use super::DataError;

/// A file that can be read from its start more than once.
pub(super) struct Source<'a> {
    /// What messages call it.
    pub place: String,
    pub open: Box<dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a>,
}

/// No dataset of this kind is anywhere near this many bytes; a header that claims more is lying.
const MAX_BYTES: u64 = 1 << 30;

impl Source<'_> {
    fn error(&self, what: impl Into<String>) -> DataError {
        DataError::File { place: self.place.clone(), what: what.into() }
    }

    fn stream(&self) -> Result<GzDecoder<Box<dyn Read + '_>>, DataError> {
        (self.open)().map(GzDecoder::new).map_err(|e| self.error(format!("can't be read: {e}")))
    }

    /// The sizes in the header, and the stream behind it.
    fn header<const DIMS: usize>(&self) -> Result<([u32; DIMS], impl Read), DataError> {
        let mut stream = self.stream()?;
        let mut word = || {
            let mut bytes = [0u8; 4];
            stream.read_exact(&mut bytes).map(|()| u32::from_be_bytes(bytes)).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => self.error("ends within its header; download it again"),
                io::ErrorKind::InvalidInput => self.error("is not a gzip file; expected an IDX file compressed with gzip"),
                _ => self.error(format!("can't be unpacked: {e}")),
            })
        };
        let magic = word()?;
        // 0x08 is the code of unsigned bytes, the last byte the number of dimensions.
        let expected = 0x0800 + u32::try_from(DIMS).unwrap_or(0);
        if magic != expected {
            return Err(self.error(format!(
                "is not an IDX file of bytes in {DIMS} dimensions: its magic number is {magic:#010x}, not {expected:#010x}"
            )));
        }
        let mut sizes = [0u32; DIMS];
        for size in &mut sizes {
            *size = word()?;
        }
        Ok((sizes, stream))
    }

    /// The sizes in the header and the bytes behind it.
    pub(super) fn read<const DIMS: usize>(&self) -> Result<([u32; DIMS], Vec<u8>), DataError> {
        let (sizes, mut stream) = self.header::<DIMS>()?;
        let claimed = sizes.iter().try_fold(1u64, |n, s| n.checked_mul(u64::from(*s))).filter(|n| (1..=MAX_BYTES).contains(n));
        let claimed = claimed.ok_or_else(|| self.error(format!("its header claims sizes {sizes:?}, which can't be right")))?;
        let mut buffer = [0u8; 1 << 14];
        let mut found = 0u64;
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => found += n as u64,
                Err(e) => {
                    return Err(self.error(format!("is truncated or damaged after {found} of {claimed} bytes ({e}); download it again")));
                }
            }
            if found > claimed {
                return Err(self.error(format!("holds more than the {claimed} bytes that its header claims")));
            }
        }
        if found < claimed {
            return Err(self.error(format!("holds {found} bytes, but its header claims {claimed}")));
        }
        let (_, mut stream) = self.header::<DIMS>()?;
        let mut bytes = vec![0; usize::try_from(claimed).map_err(|_| self.error("is too large for this machine"))?];
        stream.read_exact(&mut bytes).map_err(|e| self.error(format!("changed while it was read: {e}")))?;
        Ok((sizes, bytes))
    }
}
