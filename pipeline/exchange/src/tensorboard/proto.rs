//! The few messages of TensorBoard's protocol buffers that scalars and hyper-parameters need, written and read by hand: a generated
//! reader would bring a compiler for a dozen fields.

/// A message in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.bytes.push(u8::try_from(x & 0x7f).unwrap_or_default() | 0x80);
            x >>= 7;
        }
        self.bytes.push(u8::try_from(x).unwrap_or_default());
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    pub fn number(mut self, field: u64, x: u64) -> Self {
        self.key(field, 0);
        self.varint(x);
        self
    }

    pub fn double(mut self, field: u64, x: f64) -> Self {
        self.key(field, 1);
        self.bytes.extend(x.to_le_bytes());
        self
    }

    pub fn float(mut self, field: u64, x: f32) -> Self {
        self.key(field, 5);
        self.bytes.extend(x.to_le_bytes());
        self
    }

    pub fn data(mut self, field: u64, data: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(data.len() as u64);
        self.bytes.extend(data);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.data(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: &Message) -> Self {
        self.data(field, &message.bytes)
    }
}

/// An `Event`, without its content.
pub(crate) fn event(wall_time: f64, step: i64) -> Message {
    Message::default().double(1, wall_time).number(2, step.cast_unsigned())
}

/// A `Summary.Value` with a number; TensorBoard keeps 32 bits of it.
pub(crate) fn scalar(tag: &str, x: f64) -> Message {
    #[expect(clippy::cast_possible_truncation, reason = "the format's own precision")]
    Message::default().text(1, tag).float(2, x as f32)
}

/// A `Summary.Value` for a plugin, with a tensor that holds nothing.
pub(crate) fn plugin(tag: &str, plugin: &str, content: &Message) -> Message {
    let data = Message::default().text(1, plugin).data(2, &content.bytes);
    // DT_FLOAT, a scalar, 0.
    let tensor = Message::default().number(1, 1).message(2, &Message::default()).float(5, 0.0);
    Message::default().text(1, tag).message(8, &tensor).message(9, &Message::default().message(1, &data))
}

/// A field of a message that is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Double(f64),
    Float(f32),
    Data(&'a [u8]),
}

/// The fields of a message, as far as they make sense; `None` stands for the first that does not.
pub(crate) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if bytes.is_empty() || is_over {
            return None;
        }
        let field = field(&mut bytes);
        is_over = field.is_none();
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Number(varint(bytes)?),
        1 => Field::Double(f64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Field::Data(take(bytes, length)?)
        }
        5 => Field::Float(f32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((key >> 3, field))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (data, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(data)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut x = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        x |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(x);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_read_back(number: u64, double in proptest::num::f64::ANY, text in ".{0,300}") {
            let bytes = Message::default().number(1, number).double(900, double).text(3, &text).bytes;
            let back: Vec<_> = fields(&bytes).collect();
            prop_assert_eq!(back[0], Some((1, Field::Number(number))));
            prop_assert!(matches!(back[1], Some((900, Field::Double(x))) if x.to_bits() == double.to_bits()));
            prop_assert_eq!(back[2], Some((3, Field::Data(text.as_bytes()))));
            prop_assert_eq!(back.len(), 3);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
