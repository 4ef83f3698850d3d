use super::{
    PickleError,
    value::{Array, Constructor, DEEPEST, Value},
};

/// Pickle -> the object that it makes.
pub(super) fn unpickle(pickle: &[u8]) -> Result<Value<'_>, PickleError> {
    let mut machine =
        Machine { pickle, next: 0, at: 0, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), in_arrays: 0 };
    while !machine.step()? {}
    machine.at = machine.next;
    let value = machine.pop()?;
    match pickle.len() - machine.next {
        0 if machine.stack.is_empty() => Ok(value),
        0 => Err(machine.unexpected("one object", format!("{} more", machine.stack.len()))),
        rest => Err(machine.unexpected("the end", format!("{rest} more bytes"))),
    }
}

/// A stack of objects, and those that were kept for later.
struct Machine<'a> {
    pickle: &'a [u8],
    /// Where the next byte is read.
    next: usize,
    /// Where the operation began.
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    /// `None` for what changes later: to be had a second time, it would have to be shared, and nothing is.
    memo: Vec<Option<Value<'a>>>,
    /// Bytes of all arrays: of those that were kept, many could be made.
    in_arrays: usize,
}

impl<'a> Machine<'a> {
    /// One operation; whether it was the last.
    fn step(&mut self) -> Result<bool, PickleError> {
        self.at = self.next;
        let [code] = self.array()?;
        match code {
            0x80 => match self.array()? {
                [4] => {}
                [version] => return Err(self.unexpected("protocol 4", version.to_string())),
            },
            0x95 => _ = self.array::<8>()?, // a frame's length: for reading ahead
            b'.' => return Ok(true),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => {
                let [value] = self.array()?;
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            0x8c => {
                let [len] = self.array()?;
                let text = self.text(len.into())?;
                self.stack.push(Value::Text(text));
            }
            b'C' => {
                let [len] = self.array()?;
                let bytes = self.bytes(len.into())?;
                self.stack.push(Value::Bytes(bytes));
            }
            b'B' => {
                let len = u32::from_le_bytes(self.array()?);
                let bytes = self.bytes(len as usize)?;
                self.stack.push(Value::Bytes(bytes));
            }
            b'}' => self.stack.push(Value::Dict { entries: Vec::new(), depth: 1 }),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set([key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(items)?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.tuple(items)?;
            }
            0x85 => {
                let item = self.pop()?;
                self.tuple(vec![item])?;
            }
            0x86 => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.tuple(vec![a, b])?;
            }
            0x87 => {
                let (c, b, a) = (self.pop()?, self.pop()?, self.pop()?);
                self.tuple(vec![a, b, c])?;
            }
            0x94 => self.memoize()?,
            b'h' => {
                let [index] = self.array()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index as usize)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(module, name)?,
                (name, module) => return Err(self.unexpected("names of a global", format!("{module} and {name}"))),
            },
            // Of older protocols: to say what was refused.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            code => return Err(PickleError::Operation { at: self.at, code }),
        }
        Ok(false)
    }

    fn bytes(&mut self, expected: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.pickle[self.next..];
        let Some(bytes) = rest.get(..expected) else {
            return Err(PickleError::Truncated { at: self.next, expected, got: rest.len() });
        };
        self.next += expected;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let bytes = self.bytes(N)?;
        Ok(*bytes.as_array().expect("as many as were asked for"))
    }

    fn text(&mut self, len: usize) -> Result<&'a str, PickleError> {
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map_err(|e| self.unexpected("UTF-8", e.to_string()))
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = &self.pickle[self.next..];
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = self.text(len)?;
        self.bytes(1)?;
        Ok(line)
    }

    /// Above the last mark.
    fn pop(&mut self) -> Result<Value<'a>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.unexpected("an object", "none".into()));
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err(self.unexpected("a mark", "none".into())),
        }
    }

    /// Sets keys and values, in turn, in the dictionary on top.
    fn set(&mut self, items: impl IntoIterator<Item = Value<'a>>) -> Result<(), PickleError> {
        let (mut entries, mut depth) = match self.pop()? {
            Value::Dict { entries, depth } => (entries, depth),
            other => return Err(self.unexpected("a dictionary", other.to_string())),
        };
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            let (Value::Text(key), Some(value)) = (&key, items.next()) else {
                return Err(self.unexpected("names and values", key.to_string()));
            };
            depth = depth.max(self.around(&value)?);
            entries.push((key, value));
        }
        self.stack.push(Value::Dict { entries, depth });
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Value<'a>>) -> Result<(), PickleError> {
        let mut depth = 1;
        for item in &items {
            depth = depth.max(self.around(item)?);
        }
        self.stack.push(Value::Tuple { items: items.into(), depth });
        Ok(())
    }

    /// Depth of what has `value` inside.
    fn around(&self, value: &Value) -> Result<usize, PickleError> {
        match value.depth() + 1 {
            depth if depth > DEEPEST => Err(self.unexpected("objects at most 8 deep", format!("{depth}"))),
            depth => Ok(depth),
        }
    }

    fn memoize(&mut self) -> Result<(), PickleError> {
        let value = self.pop()?;
        let changes = matches!(value, Value::Dict { .. } | Value::EmptyArray | Value::Array(_));
        self.memo.push((!changes).then(|| value.clone()));
        self.stack.push(value);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), PickleError> {
        match self.memo.get(index) {
            Some(Some(value)) => self.stack.push(value.clone()),
            Some(None) => {
                return Err(self.unexpected("every array and dictionary once", format!("object {index} again")));
            }
            None => return Err(self.unexpected("an object that was kept", format!("object {index}"))),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        match Constructor::find(module, name) {
            Some(constructor) => self.stack.push(Value::Constructor(constructor)),
            None => return Err(PickleError::Global { at: self.at, name: format!("{module}.{name}") }),
        }
        Ok(())
    }

    /// `_reconstruct(ndarray, (0,), b"b")`, `dtype("f4", False, True)`.
    fn reduce(&mut self) -> Result<(), PickleError> {
        let (arguments, constructor) = (self.pop()?, self.pop()?);
        let value = match (&constructor, items(&arguments)) {
            (Value::Constructor(Constructor::Reconstruct), [Value::Constructor(Constructor::NdArray), _, _]) => {
                Value::EmptyArray
            }
            (Value::Constructor(Constructor::Dtype), [Value::Text("f4"), Value::Bool(false), Value::Bool(true)]) => {
                Value::F32
            }
            (_, items) => {
                let items: Vec<String> = items.iter().map(Value::to_string).collect();
                let got = format!("{constructor} of {}", items.join(", "));
                return Err(self.unexpected("an array or the type f4", got));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// State of an array: `(1, shape, type, is in Fortran's order, bytes)`; of a type: `(3, byte order, ..)`.
    fn build(&mut self) -> Result<(), PickleError> {
        let (state, object) = (self.pop()?, self.pop()?);
        let value = match (&object, items(&state)) {
            (Value::F32, [Value::Int(3), Value::Text("<"), ..]) => Value::F32,
            (Value::EmptyArray, [Value::Int(1), shape, Value::F32, Value::Bool(false), Value::Bytes(bytes)]) => {
                Value::Array(self.shaped(items(shape), bytes)?)
            }
            (object, items) => {
                let items: Vec<String> = items.iter().map(Value::to_string).collect();
                let got = format!("{object} with {}", items.join(", "));
                return Err(self.unexpected("the state of a little-endian array in C's order", got));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn shaped(&mut self, shape: &[Value], bytes: &'a [u8]) -> Result<Array<'a>, PickleError> {
        let sizes: Vec<i64> = shape.iter().map(|size| if let Value::Int(size) = size { *size } else { -1 }).collect();
        self.in_arrays = self.in_arrays.saturating_add(bytes.len());
        if self.in_arrays > self.pickle.len() {
            return Err(self.unexpected("arrays with bytes of their own", format!("{sizes:?} of others'")));
        }
        // No sizes of 0, so that no part of the product is larger than all of it.
        let usable: Option<Vec<usize>> =
            sizes.iter().map(|size| usize::try_from(*size).ok().filter(|size| *size > 0)).collect();
        match usable {
            Some(shape)
                if shape.iter().try_fold(size_of::<f32>(), |product, size| product.checked_mul(*size))
                    == Some(bytes.len()) =>
            {
                Ok(Array { shape, bytes })
            }
            _ => Err(PickleError::Shape { at: self.at, bytes: bytes.len(), shape: sizes }),
        }
    }

    fn unexpected(&self, expected: &'static str, got: String) -> PickleError {
        PickleError::Object { at: self.at, expected, got }
    }
}

/// Of a tuple; none of anything else.
fn items<'v, 'a>(value: &'v Value<'a>) -> &'v [Value<'a>] {
    match value {
        Value::Tuple { items, .. } => items,
        _ => &[],
    }
}
