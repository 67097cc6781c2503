//! What a run goes on from when it was cut short: its numbers and counters after a step, as a safetensors stream.
//!
//! A stream is the length of a JSON header in 8 bytes, the header, and the tensors back to back, all little endian
//! (<https://github.com/huggingface/safetensors>). Scalars stand in the header's `__metadata__`, floats among them as the hexadecimal
//! digits of their bits. Random streams are selected by counters, so that no generator need be kept.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::ops::Range;

use candle_core::Result as TensorResult;
use safetensors::{Dtype, SafeTensors};
use spec::RunSpec;

use crate::error::Error;

/// Of the names and meanings below. To be counted up when one changes.
const FORMAT: u64 = 1;
/// Who wrote a checkpoint; another version may compute other bits from it.
const ENGINE: &str = concat!("pipeline ", env!("CARGO_PKG_VERSION"));
/// Counters above it are no counters, and adding to them might overflow.
const LARGEST: u64 = 1 << 62;
/// Numbers that are turned into bytes at a time.
const CHUNK: usize = 4096;

/// What is done with a tensor's numbers under its name; whether it changed them.
pub(crate) type Visit<'a, T> = dyn FnMut(&str, &mut [T]) -> TensorResult<bool> + 'a;
/// Visits all tensors of a training, each time in the same order.
pub(crate) type EachTensor<'a, T> = dyn FnMut(&mut Visit<'_, T>) -> TensorResult<()> + 'a;

/// A number as it stands in a checkpoint.
pub(crate) trait Stored: Copy {
    const DTYPE: Dtype;

    fn write(self, to: &mut Vec<u8>);
    /// From as many bytes as it has.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! stored {
    ($number:ident, $dtype:ident) => {
        impl Stored for $number {
            const DTYPE: Dtype = Dtype::$dtype;

            fn write(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Self {
                bytes.try_into().map_or($number::NAN, $number::from_le_bytes)
            }
        }
    };
}
stored!(f32, F32);
stored!(f64, F64);

/// The scalars of a checkpoint that is to be written.
#[derive(Debug)]
pub(crate) struct Scalars(BTreeMap<&'static str, String>);

impl Scalars {
    /// Those of a run after `step`; `on` says what it is trained on, since bits differ between devices.
    pub(crate) fn new(run: &RunSpec, on: &str, step: u64) -> Self {
        let scalars = Scalars(BTreeMap::new()).text("engine", ENGINE).count("format", FORMAT);
        scalars.text("run", &run.id).text("on", on).count("step", step)
    }

    pub(crate) fn text(mut self, name: &'static str, text: &str) -> Self {
        self.0.insert(name, text.to_owned());
        self
    }

    pub(crate) fn count(self, name: &'static str, count: u64) -> Self {
        self.text(name, &count.to_string())
    }

    /// A float that comes back bit by bit.
    pub(crate) fn float(self, name: &'static str, x: f64) -> Self {
        self.text(name, &format!("{:016x}", x.to_bits()))
    }
}

/// Writes a checkpoint. The tensors are visited twice, for the header and for their numbers, so that no second copy of them is made.
pub(crate) fn write<T: Stored>(to: &mut dyn Write, scalars: &Scalars, each: &mut EachTensor<'_, T>) -> io::Result<()> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!(scalars.0));
    let mut start = 0;
    each(&mut |name, numbers| {
        let end = start + size_of_val(numbers);
        let info = serde_json::json!({ "dtype": T::DTYPE, "shape": [numbers.len()], "data_offsets": [start, end] });
        header.insert(name.to_owned(), info);
        start = end;
        Ok(false)
    })
    .map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    let mut bytes = vec![];
    each(&mut |_, numbers| {
        for chunk in numbers.chunks(CHUNK) {
            bytes.clear();
            for x in chunk {
                x.write(&mut bytes);
            }
            to.write_all(&bytes)?;
        }
        Ok(false)
    })
    .map_err(|error| match error {
        candle_core::Error::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// A checkpoint that was read: its form is right, and whether it is one of a run is found out when the run goes on from it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    step: u64,
    scalars: HashMap<String, String>,
    tensors: HashMap<String, (Dtype, Range<usize>)>,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// Reads what the engine gave to [`spec::record::Sink::checkpoint`].
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the bytes are no such stream, or one of another version.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| unfit(&format!("is damaged: {e}")))?;
        let start = size_of::<u64>() + header;
        let place = |name: String, info: &safetensors::tensor::TensorInfo| {
            let (from, to) = info.data_offsets;
            (name, (info.dtype, start + from..start + to))
        };
        let tensors = metadata.tensors().into_iter().map(|(name, info)| place(name, info)).collect();
        let scalars = metadata.metadata().clone().unwrap_or_default();
        let mut checkpoint = Checkpoint { step: 0, scalars, tensors, bytes };
        let (format, engine) = (checkpoint.count("format")?, checkpoint.text("engine")?);
        if format != FORMAT {
            return Err(unfit(&format!("has format {format}, and this version reads format {FORMAT}")));
        }
        if engine != ENGINE {
            return Err(unfit(&format!("was written by {engine:?}, and this is {ENGINE:?}")));
        }
        checkpoint.step = checkpoint.count("step")?;
        Ok(checkpoint)
    }

    /// The last step that was recorded before it was taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Makes sure that a run of so many steps, trained `on` something, can go on from here.
    pub(crate) fn check(&self, run: &RunSpec, on: &str, steps: u64) -> Result<(), Error> {
        let (id, was_on) = (self.text("run")?, self.text("on")?);
        if id != run.id {
            return Err(unfit(&format!("is of run {id:?}, not of {}", run.id)));
        }
        if was_on != on {
            return Err(unfit(&format!("was taken on {was_on:?}, and this is {on:?}, where bits may differ")));
        }
        if !(1..steps).contains(&self.step) {
            return Err(unfit(&format!("is of step {}, and a run of {steps} steps goes on only from one between", self.step)));
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Result<&str, Error> {
        self.scalars.get(name).map(String::as_str).ok_or_else(|| unfit(&format!("has no `{name}`")))
    }

    pub(crate) fn count(&self, name: &str) -> Result<u64, Error> {
        let text = self.text(name)?;
        text.parse().ok().filter(|count| *count <= LARGEST).ok_or_else(|| unfit(&format!("has {text:?} as `{name}`, which is no count")))
    }

    pub(crate) fn float(&self, name: &str) -> Result<f64, Error> {
        let text = self.text(name)?;
        let bits = u64::from_str_radix(text, 16).map_err(|_| unfit(&format!("has {text:?} as `{name}`, which is no float")))?;
        Ok(f64::from_bits(bits))
    }

    /// Overwrites the tensors that `each` visits. Nothing is overwritten unless the checkpoint has these and no others.
    pub(crate) fn restore<T: Stored>(&self, each: &mut EachTensor<'_, T>) -> Result<(), Error> {
        let (mut count, mut wrong) = (0, None);
        each(&mut |name, numbers| {
            count += 1;
            match self.tensors.get(name) {
                Some((dtype, range)) if *dtype == T::DTYPE && range.len() == size_of_val(numbers) => {}
                Some((dtype, range)) => {
                    let expected = format!("{} of {:?} in {} bytes", numbers.len(), T::DTYPE, size_of_val(numbers));
                    wrong.get_or_insert(format!("has tensor `{name}` of {dtype:?} in {} bytes, not {expected}", range.len()));
                }
                None => {
                    wrong.get_or_insert(format!("has no tensor `{name}`"));
                }
            }
            Ok(false)
        })?;
        if let Some(what) = wrong {
            return Err(unfit(&what));
        }
        if count != self.tensors.len() {
            return Err(unfit(&format!("has {} tensors, and the run has {count}", self.tensors.len())));
        }
        each(&mut |name, numbers| {
            let range = self.tensors.get(name).map_or(0..0, |(_, range)| range.clone());
            for (number, bytes) in numbers.iter_mut().zip(self.bytes[range].chunks_exact(size_of::<T>())) {
                *number = T::read(bytes);
            }
            Ok(true)
        })?;
        Ok(())
    }
}

/// What is wrong with a checkpoint.
pub(crate) fn unfit(what: &str) -> Error {
    Error::Checkpoint(format!("the checkpoint {what}"))
}

#[cfg(test)]
mod tests;
