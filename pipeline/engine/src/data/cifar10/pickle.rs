//! Reads the part of Python's pickle format that dictionaries of numbers and numpy's byte arrays are written in.
//!
//! Opcodes are those of CPython's `pickletools.py`, protocols 2 to 5. Values lie in one list and refer to each other by number, as
//! a pickle's values may be shared or contain themselves. Nothing that a pickle names is ever called: five names of numpy are
//! known by what they mean, any other name is an error.

/// How many values and marks may be put on the stack. Files have some 20 000: a label and a file name for each image.
const MAX_PUSHES: usize = 4_000_000;

/// Where a value lies.
type Id = u32;

/// An array of bytes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
    /// The first index changes fastest.
    pub is_fortran: bool,
}

#[derive(Debug)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Text of Python 2 and bytes of Python 3 alike.
    Bytes(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// numpy's type of bytes.
    Dtype,
    Array(Array),
}

/// The names that pickles of arrays hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Global {
    Ndarray,
    Dtype,
    /// Makes an empty array, which BUILD fills.
    Reconstruct,
    /// Makes an array of bytes (protocol 5).
    FromBuffer,
    /// Makes bytes of a text: Python 3 writes them so in protocol 2.
    Encode,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        // numpy 2 renamed its `core`.
        Some(match (module, name) {
            ("numpy", "ndarray") => Global::Ndarray,
            ("numpy", "dtype") => Global::Dtype,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Global::FromBuffer,
            ("_codecs", "encode") => Global::Encode,
            _ => return None,
        })
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// What the dictionary at the root has under a key.
    fn entry(&self, key: &str) -> Option<&Value> {
        let Value::Dict(entries) = self.value(self.root) else { return None };
        let is_key = |id: &Id| match self.value(*id) {
            Value::Bytes(bytes) => bytes == key.as_bytes(),
            Value::Text(text) => text == key,
            _ => false,
        };
        entries.iter().rev().find(|(k, _)| is_key(k)).map(|(_, v)| self.value(*v))
    }

    fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// The array of bytes under a key of the root.
    pub(super) fn array(&self, key: &str) -> Option<&Array> {
        if let Some(Value::Array(array)) = self.entry(key) { Some(array) } else { None }
    }

    /// The list of integers under a key of the root.
    pub(super) fn integers(&self, key: &str) -> Option<Vec<i64>> {
        let Some(Value::List(ids)) = self.entry(key) else { return None };
        let int = |id: &Id| if let Value::Int(i) = self.value(*id) { Some(*i) } else { None };
        ids.iter().map(int).collect()
    }
}

/// # Errors
/// What is wrong, and at which byte.
pub(super) fn read(input: &[u8]) -> Result<Pickle, String> {
    let mut machine =
        Machine { input, at: 0, values: vec![], stack: vec![], marks: vec![], memo: vec![], pushes: 0, budget: 2 * input.len() };
    if !matches!(input, [0x80, 2..=5, ..]) {
        return Err("is not a pickle of protocol 2 to 5".into());
    }
    loop {
        let start = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Pickle { values: machine.values, root }),
            Err(what) => return Err(format!("is not a pickle of a batch: byte {start} {what}")),
        }
    }
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    pushes: usize,
    /// Bytes that may still be kept: each of the input is needed at most once as it stands and once converted.
    budget: usize,
}

const UNDERFLOW: &str = "needs a value that is not there";

impl<'a> Machine<'a> {
    /// Executes one opcode; the root, when it is the last.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let opcode = self.take(1)?[0];
        match opcode {
            0x80 => self.skip(1)?,
            // FRAME: a length that readers of streams want.
            0x95 => self.skip(8)?,
            b'.' => return self.pop().map(Some),
            b'(' => {
                self.count_push()?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool(opcode == 0x88))?,
            b'J' => {
                let bytes = self.word()?;
                self.push(Value::Int(i64::from(i32::from_le_bytes(bytes))))?;
            }
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            0x8a => {
                let n = self.length(1)?;
                self.push_long(n)?;
            }
            b'U' | b'C' => self.push_bytes(1)?,
            b'T' | b'B' => self.push_bytes(4)?,
            0x8e | 0x96 => self.push_bytes(8)?,
            0x8c => self.push_text(1)?,
            b'X' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b')' => self.push(Value::Tuple(vec![]))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or(UNDERFLOW)?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items))?;
            }
            b']' => self.push(Value::List(vec![]))?,
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b'}' => self.push(Value::Dict(vec![]))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => self.stack_global()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'q' => self.store(1)?,
            b'r' => self.store(4)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            other => return Err(format!("is the opcode {other:#04x}, which has no place in one")),
        }
        Ok(None)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let bytes = self.input[self.at..].get(..n).ok_or("is followed by too few bytes; the file is truncated or damaged")?;
        self.at += n;
        Ok(bytes)
    }

    fn skip(&mut self, n: usize) -> Result<(), String> {
        self.take(n).map(drop)
    }

    fn word(&mut self) -> Result<[u8; 4], String> {
        Ok(self.take(4)?.try_into().unwrap_or_default())
    }

    /// An unsigned integer of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, String> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "has a length that is too large".into())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.input[self.at..];
        let end = rest.iter().take(256).position(|b| *b == b'\n').ok_or("names something that has no end")?;
        self.at += end + 1;
        str::from_utf8(&rest[..end]).map_err(|_| "names something that is no text".into())
    }

    fn count_push(&mut self) -> Result<(), String> {
        self.pushes += 1;
        if self.pushes > MAX_PUSHES { Err(format!("is one value too many; at most {MAX_PUSHES} are read")) } else { Ok(()) }
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.count_push()?;
        let id = Id::try_from(self.values.len()).map_err(|_| "is one value too many")?;
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    fn push_int(&mut self, width: usize) -> Result<(), String> {
        let n = self.length(width)?;
        self.push(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }

    fn push_long(&mut self, width: usize) -> Result<(), String> {
        let bytes = self.take(width)?;
        if width > 8 {
            return Err("is an integer of more than 8 bytes".into());
        }
        // Two's complement: the highest bit says what is above.
        let fill = if bytes.last().is_some_and(|b| *b >= 128) { 255 } else { 0 };
        let mut whole = [fill; 8];
        whole[..width].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(whole)))
    }

    fn spend(&mut self, n: usize) -> Result<(), String> {
        self.budget = self.budget.checked_sub(n).ok_or("needs more memory than the file is worth")?;
        Ok(())
    }

    fn push_bytes(&mut self, width: usize) -> Result<(), String> {
        let n = self.length(width)?;
        let bytes = self.take(n)?;
        self.spend(n)?;
        self.push(Value::Bytes(bytes.to_vec()))
    }

    fn push_text(&mut self, width: usize) -> Result<(), String> {
        let n = self.length(width)?;
        let bytes = self.take(n)?;
        self.spend(n)?;
        let text = str::from_utf8(bytes).map_err(|_| "is a text that is not in UTF-8")?;
        self.push(Value::Text(text.to_owned()))
    }

    fn pop(&mut self) -> Result<Id, String> {
        // What lies below a mark belongs to what comes after it.
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(UNDERFLOW.into());
        }
        self.stack.pop().ok_or_else(|| UNDERFLOW.into())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("needs a mark that is not there")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let id = *self.stack.last().ok_or(UNDERFLOW)?;
        Ok(&mut self.values[id as usize])
    }

    fn append(&mut self, items: &[Id]) -> Result<(), String> {
        let Value::List(list) = self.top()? else { return Err("appends to what is no list".into()) };
        list.extend(items);
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let Value::Dict(dict) = self.top()? else { return Err("sets an item of what is no dictionary".into()) };
        dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn store(&mut self, width: usize) -> Result<(), String> {
        let place = self.length(width)?;
        self.remember(place)
    }

    fn remember(&mut self, place: usize) -> Result<(), String> {
        let id = *self.stack.last().ok_or(UNDERFLOW)?;
        if place >= MAX_PUSHES {
            return Err("remembers a value under a number that is too large".into());
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(id);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), String> {
        let place = self.length(width)?;
        let id = self.memo.get(place).copied().flatten().ok_or("recalls a value that was never remembered")?;
        self.count_push()?;
        self.stack.push(id);
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = Global::named(module, name).ok_or_else(|| {
            format!(
                "asks for {}.{}; only numpy arrays of bytes are read, and nothing is executed",
                module.escape_debug(),
                name.escape_debug()
            )
        })?;
        self.push(Value::Global(global))
    }

    fn stack_global(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: Id| match &self.values[id as usize] {
            Value::Text(text) if text.len() < 256 => Ok(text.clone()),
            _ => Err("asks for something whose name is no short text"),
        };
        let (name, module) = (text(name)?, text(module)?);
        self.push_global(&module, &name)
    }

    fn of(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// The items of a tuple.
    fn items(&self, id: Id) -> &[Id] {
        if let Value::Tuple(items) = self.of(id) { items } else { &[] }
    }

    fn is_text(&self, id: Id, expected: &[&str]) -> bool {
        match self.of(id) {
            Value::Bytes(bytes) => expected.iter().any(|e| e.as_bytes() == bytes),
            Value::Text(text) => expected.iter().any(|e| e == text),
            _ => false,
        }
    }

    /// A call, of which only the known ones have a result.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Global(global) = *self.of(callable) else { return Err("calls what can't be called".into()) };
        let made = match (global, self.items(arguments)) {
            (Global::Reconstruct, [class, ..]) if matches!(self.of(*class), Value::Global(Global::Ndarray)) => {
                Value::Array(Array::default())
            }
            (Global::Dtype, [name, ..]) if self.is_text(*name, &["u1", "|u1", "uint8"]) => Value::Dtype,
            (Global::Dtype, _) => return Err("makes an array of something else than bytes (numpy's uint8)".into()),
            (Global::Encode, [text, codec]) if self.is_text(*codec, &["latin1", "latin-1"]) => {
                let Value::Text(text) = self.of(*text) else { return Err("encodes what is no text".into()) };
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                let bytes = bytes.map_err(|_| "encodes a text that is not in Latin-1")?;
                self.spend(bytes.len())?;
                Value::Bytes(bytes)
            }
            (Global::FromBuffer, &[bytes, dtype, shape, order]) => {
                let is_fortran = self.is_text(order, &["F"]);
                self.array(shape, dtype, bytes, is_fortran)?
            }
            _ => return Err(format!("calls {global:?} with unexpected arguments")),
        };
        self.push(made)
    }

    /// Sets the state of an array, or of its type, where it says nothing new.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        match self.top()? {
            Value::Dtype => return Ok(()),
            Value::Array(_) => {}
            _ => return Err("sets the state of what has none".into()),
        }
        let &[_, shape, dtype, is_fortran, bytes] = self.items(state) else { return Err("sets an array to an unexpected state".into()) };
        let is_fortran = match self.of(is_fortran) {
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            _ => return Err("sets an array to an unexpected order".into()),
        };
        *self.top()? = self.array(shape, dtype, bytes, is_fortran)?;
        Ok(())
    }

    /// An array that takes the bytes out of their value: they are large, and used once.
    fn array(&mut self, shape: Id, dtype: Id, bytes: Id, is_fortran: bool) -> Result<Value, String> {
        let size = |id: &Id| if let Value::Int(i) = self.of(*id) { usize::try_from(*i).ok() } else { None };
        let shape: Option<Vec<usize>> = self.items(shape).iter().map(size).collect();
        let shape = shape.filter(|s| s.len() <= 8).ok_or("makes an array without a shape")?;
        if !matches!(self.of(dtype), Value::Dtype) {
            return Err("makes an array without a type".into());
        }
        let len = shape.iter().try_fold(1usize, |n, s| n.checked_mul(*s));
        let Value::Bytes(content) = &mut self.values[bytes as usize] else { return Err("makes an array of no bytes".into()) };
        if len != Some(content.len()) {
            return Err(format!("makes an array of shape {shape:?} of {} bytes", content.len()));
        }
        Ok(Value::Array(Array { shape, bytes: std::mem::take(content), is_fortran }))
    }
}

#[cfg(test)]
mod tests;
