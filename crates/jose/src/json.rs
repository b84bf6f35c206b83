//! Strict, bounded JSON (RFC 8259): bytes to a tree, a tree to bytes.
//!
//! Stricter than the standard asks: names in an object are unique, text is UTF-8 without a byte order mark, lone
//! surrogates are refused, and every input is bounded by [`Limits`]. Numbers keep the text they came with, so that
//! nothing is decided in floating point. Members keep their order, so that printing what was parsed changes only white
//! space and the spelling of escapes.
//!
//! One parser builds both trees: [`Value`] for the hot path, [`Node`] where an error message must point at a line.
//! Not here: mapping to Rust types, streaming, comments, trailing commas, canonical JSON (RFC 8785).

use std::borrow::Cow;
use std::collections::HashSet;

/// A JSON value. Equality is that of the text as received: `1` is not `1.0`, and the order of members counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as text.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// Compact JSON: members in stored order, no white space, only the escapes RFC 8259, 7 demands, lower-case hex.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// Appends the text of [`Value::to_json`] to `out`.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(number.text()),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => write_array(items, out),
            Self::Object(object) => object.write_json(out),
        }
    }

    /// Sorts the members of every object in the tree by the bytes of their names; arrays keep their order.
    pub fn sort(&mut self) {
        match self {
            Self::Array(items) => items.iter_mut().for_each(Self::sort),
            Self::Object(object) => object.sort(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }

    /// The value reached by walking objects only, name by name; none when a step is missing or is no object.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, name| value.as_object()?.get(name))
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// The number as `u64`, if it is a canonical integer in range ([`Number::as_u64`]).
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The number as `i64`, if it is a canonical integer in range ([`Number::as_i64`]).
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The items, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The object to change, if it is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The object by value, if it is one.
    pub fn into_object(self) -> Option<Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Object> for Value {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

/// A JSON number as the text it was received in; equality is that of the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

impl Number {
    /// The text exactly as received; it follows the grammar of RFC 8259, 6.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether the text is a canonical integer of any size: no fraction, no exponent, not `-0`.
    pub fn is_integer(&self) -> bool {
        self.0 != "-0" && !self.0.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
    }

    /// The value, iff the text is a canonical integer in range.
    pub fn as_u64(&self) -> Option<u64> {
        self.is_integer().then(|| self.0.parse().ok()).flatten()
    }

    /// The value, iff the text is a canonical integer in range.
    pub fn as_i64(&self) -> Option<i64> {
        self.is_integer().then(|| self.0.parse().ok()).flatten()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string())
    }
}

/// The members of a JSON object in the order received or added; names are unique.
///
/// Lookup walks the members: objects here are tokens, keys and policies, with tens of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under `name`, compared byte for byte.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The value under `name`, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Whether a member is called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the member: replaces in place and gives back what was there, or adds it at the end.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (name.into(), value.into());
        match self.get_mut(&name) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((name, value));
                None
            }
        }
    }

    /// The object with the member set, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Takes the member out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    /// The members in stored order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compact JSON, as [`Value::to_json`].
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// Sorts members by the bytes of their names, in this object and all below.
    pub fn sort(&mut self) {
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.iter_mut().for_each(|(_, value)| value.sort());
    }

    fn write_json(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(name, out);
            out.push(':');
            value.write_json(out);
        }
        out.push('}');
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A value that knows where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The first byte of the value.
    pub at: Position,
    /// The value.
    pub value: NodeValue,
}

impl Node {
    /// The tree without positions, as [`parse`] gives it for the same bytes.
    pub fn into_value(self) -> Value {
        match self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(value),
            NodeValue::Number(number) => Value::Number(number),
            NodeValue::String(text) => Value::String(text),
            NodeValue::Array(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            NodeValue::Object(members) => {
                Value::Object(Object(members.into_iter().map(NodeMember::into_pair).collect()))
            }
        }
    }
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as text.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// The members in the order received; names are unique.
    Object(Vec<NodeMember>),
}

/// A member of an object that knows where its name began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMember {
    /// The name, unescaped.
    pub name: String,
    /// The opening quote of the name.
    pub at: Position,
    /// The value.
    pub node: Node,
}

impl NodeMember {
    fn into_pair(self) -> (String, Value) {
        (self.name, self.node.into_value())
    }
}

/// How much a document may ask of the reader. The caller names the source of each number in its `limits.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes_max: usize,
    /// Arrays and objects open at once; never more than [`DEPTH_CEILING`], whatever is given here.
    pub depth_max: usize,
    /// Values of every kind in the document; names of members do not count.
    pub values_max: usize,
    /// Digits in one number, those of fraction and exponent included.
    pub number_digits_max: usize,
}

/// No document nests deeper than this, since the stack is the same for every caller (serde_json's own bound).
pub const DEPTH_CEILING: usize = 128;

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1; a line ends with LF.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Offset, from 0, in bytes.
    pub offset: usize,
}

impl Position {
    /// The first byte of a document.
    pub const START: Self = Self { line: 1, column: 1, offset: 0 };

    /// Moves over the bytes up to `offset`.
    fn advance(&mut self, bytes: &[u8], offset: usize) {
        for &byte in bytes.iter().take(offset).skip(self.offset) {
            match byte {
                b'\n' => (self.line, self.column) = (self.line.saturating_add(1), 1),
                0x80..=0xBF => {}
                _ => self.column = self.column.saturating_add(1),
            }
        }
        self.offset = offset;
    }

    fn of(bytes: &[u8], offset: usize) -> Self {
        let mut at = Self::START;
        at.advance(bytes, offset);
        at
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Why a document was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at {at}")]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The byte at which it shows: the start of the name, number or escape, or the byte that does not fit.
    pub at: Position,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// More bytes than the limit; nothing was read.
    #[error("document of {bytes} bytes, at most {max}")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The document opens with U+FEFF (RFC 8259, 8.1).
    #[error("byte order mark")]
    ByteOrderMark,
    /// Bytes that are not UTF-8 (RFC 8259, 8.1).
    #[error("not utf-8")]
    NotUtf8,
    /// More arrays and objects open at once than the limit.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More values than the limit.
    #[error("more than {max} values")]
    TooManyValues {
        /// The limit.
        max: usize,
    },
    /// More digits in a number than the limit.
    #[error("number of {digits} digits, at most {max}")]
    NumberTooLong {
        /// Digits of the number.
        digits: usize,
        /// The limit.
        max: usize,
    },
    /// The same name twice in one object, compared unescaped.
    #[error("duplicate member {name:?}")]
    DuplicateMember {
        /// The name.
        name: String,
    },
    /// A `\u` escape of half a surrogate pair.
    #[error("lone surrogate {unit:#06x}")]
    LoneSurrogate {
        /// The code unit.
        unit: u16,
    },
    /// A control character in a string that is not escaped (RFC 8259, 7).
    #[error("control character {byte:#04x} in string")]
    ControlCharacter {
        /// The byte.
        byte: u8,
    },
    /// An escape RFC 8259, 7 does not know.
    #[error("bad escape")]
    BadEscape,
    /// A number RFC 8259, 6 does not know: leading zero, plus sign, bare point, missing digits.
    #[error("bad number")]
    BadNumber,
    /// A byte that fits nowhere here, a trailing comma's successor included.
    #[error("unexpected byte {byte:#04x}")]
    UnexpectedByte {
        /// The byte.
        byte: u8,
    },
    /// The document ends within a value.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// Something other than white space after the value.
    #[error("trailing bytes")]
    TrailingBytes,
}

/// Reads one JSON document. Accepts iff it is RFC 8259 JSON, names are unique and no limit is exceeded; the bytes may
/// come from anyone.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, Error> {
    document(bytes, limits, Plain)
}

/// Reads one JSON document as [`parse`] does, with the position of each value and name.
pub fn parse_positioned(bytes: &[u8], limits: &Limits) -> Result<Node, Error> {
    document(bytes, limits, Positioned { bytes, cursor: Position::START })
}

/// What the parser builds: a tree with positions or one without.
trait Build {
    type Mark;
    type Value;
    type Member;

    /// Called with growing offsets only.
    fn mark(&mut self, offset: usize) -> Self::Mark;
    fn scalar(mark: Self::Mark, scalar: Scalar) -> Self::Value;
    fn array(mark: Self::Mark, items: Vec<Self::Value>) -> Self::Value;
    fn object(mark: Self::Mark, members: Vec<Self::Member>) -> Self::Value;
    fn member(mark: Self::Mark, name: String, value: Self::Value) -> Self::Member;
    fn name(member: &Self::Member) -> &str;
}

enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
}

struct Plain;

impl Build for Plain {
    type Mark = ();
    type Value = Value;
    type Member = (String, Value);

    fn mark(&mut self, _: usize) {}

    fn scalar((): (), scalar: Scalar) -> Value {
        match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Number(number) => Value::Number(number),
            Scalar::String(text) => Value::String(text),
        }
    }

    fn array((): (), items: Vec<Value>) -> Value {
        Value::Array(items)
    }

    fn object((): (), members: Vec<Self::Member>) -> Value {
        Value::Object(Object(members))
    }

    fn member((): (), name: String, value: Value) -> Self::Member {
        (name, value)
    }

    fn name(member: &Self::Member) -> &str {
        &member.0
    }
}

struct Positioned<'a> {
    bytes: &'a [u8],
    cursor: Position,
}

impl Build for Positioned<'_> {
    type Mark = Position;
    type Value = Node;
    type Member = NodeMember;

    fn mark(&mut self, offset: usize) -> Position {
        self.cursor.advance(self.bytes, offset);
        self.cursor
    }

    fn scalar(at: Position, scalar: Scalar) -> Node {
        let value = match scalar {
            Scalar::Null => NodeValue::Null,
            Scalar::Bool(value) => NodeValue::Bool(value),
            Scalar::Number(number) => NodeValue::Number(number),
            Scalar::String(text) => NodeValue::String(text),
        };
        Node { at, value }
    }

    fn array(at: Position, items: Vec<Node>) -> Node {
        Node { at, value: NodeValue::Array(items) }
    }

    fn object(at: Position, members: Vec<NodeMember>) -> Node {
        Node { at, value: NodeValue::Object(members) }
    }

    fn member(at: Position, name: String, node: Node) -> NodeMember {
        NodeMember { name, at, node }
    }

    fn name(member: &NodeMember) -> &str {
        &member.name
    }
}

/// A refusal before its line and column are counted, which only a refusal pays for.
struct Fault {
    kind: ErrorKind,
    offset: usize,
}

type Step<T> = Result<T, Fault>;

fn document<B: Build>(bytes: &[u8], limits: &Limits, build: B) -> Result<B::Value, Error> {
    read(bytes, limits, build).map_err(|fault| Error { kind: fault.kind, at: Position::of(bytes, fault.offset) })
}

fn read<B: Build>(bytes: &[u8], limits: &Limits, build: B) -> Step<B::Value> {
    if bytes.len() > limits.bytes_max {
        return Err(Fault { kind: ErrorKind::TooLarge { bytes: bytes.len(), max: limits.bytes_max }, offset: 0 });
    }
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(Fault { kind: ErrorKind::ByteOrderMark, offset: 0 });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| Fault { kind: ErrorKind::NotUtf8, offset: error.valid_up_to() })?;
    let mut parser = Parser { text, at: 0, values: 0, limits, build };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.byte().is_some() { parser.fail(ErrorKind::TrailingBytes) } else { Ok(value) }
}

/// Invariant: `at` is on a character boundary of `text`; it only ever moves over ASCII bytes it has looked at, or to
/// the next ASCII byte.
struct Parser<'a, 'l, B> {
    text: &'a str,
    at: usize,
    values: usize,
    limits: &'l Limits,
    build: B,
}

impl<'a, B: Build> Parser<'a, '_, B> {
    /// A value that may be preceded by white space; `depth` containers are open around it.
    fn value(&mut self, depth: usize) -> Step<B::Value> {
        self.skip_space();
        let byte = self.need()?;
        self.count_value()?;
        let mark = self.build.mark(self.at);
        match byte {
            b'{' => self.object(mark, self.deeper(depth)?),
            b'[' => self.array(mark, self.deeper(depth)?),
            b'"' => Ok(B::scalar(mark, Scalar::String(self.string()?.into_owned()))),
            b't' => self.literal("true").map(|()| B::scalar(mark, Scalar::Bool(true))),
            b'f' => self.literal("false").map(|()| B::scalar(mark, Scalar::Bool(false))),
            b'n' => self.literal("null").map(|()| B::scalar(mark, Scalar::Null)),
            b'-' | b'0'..=b'9' => Ok(B::scalar(mark, Scalar::Number(self.number()?))),
            b'+' | b'.' => self.fail(ErrorKind::BadNumber),
            byte => self.fail(ErrorKind::UnexpectedByte { byte }),
        }
    }

    fn array(&mut self, mark: B::Mark, depth: usize) -> Step<B::Value> {
        self.step();
        let mut items = Vec::new();
        if self.closes(b']')? {
            return Ok(B::array(mark, items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.ends(b']')? {
                return Ok(B::array(mark, items));
            }
        }
    }

    fn object(&mut self, mark: B::Mark, depth: usize) -> Step<B::Value> {
        self.step();
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        if self.closes(b'}')? {
            return Ok(B::object(mark, members));
        }
        loop {
            members.push(self.member(&members, &mut seen, depth)?);
            if self.ends(b'}')? {
                return Ok(B::object(mark, members));
            }
        }
    }

    fn member(&mut self, members: &[B::Member], seen: &mut HashSet<Cow<'a, str>>, depth: usize) -> Step<B::Member> {
        self.skip_space();
        let start = self.at;
        match self.need()? {
            b'"' => {}
            byte => return self.fail(ErrorKind::UnexpectedByte { byte }),
        }
        let mark = self.build.mark(start);
        let name = self.string()?;
        if is_known::<B>(name.clone(), members, seen) {
            return Err(Fault { kind: ErrorKind::DuplicateMember { name: name.into_owned() }, offset: start });
        }
        self.skip_space();
        self.expect(b':')?;
        Ok(B::member(mark, name.into_owned(), self.value(depth)?))
    }

    /// A string without escapes is one slice of the input; else it is put together from slices between escapes.
    fn string(&mut self) -> Step<Cow<'a, str>> {
        self.step();
        let first = self.run();
        if self.need()? == b'"' {
            self.step();
            return Ok(Cow::Borrowed(first));
        }
        let mut out = first.to_owned();
        loop {
            match self.need()? {
                b'"' => break,
                b'\\' => out.push(self.escape()?),
                byte => return self.fail(ErrorKind::ControlCharacter { byte }),
            }
            out.push_str(self.run());
        }
        self.step();
        Ok(Cow::Owned(out))
    }

    /// The longest slice from here without quote, backslash or control character.
    fn run(&mut self) -> &'a str {
        let length = plain_len(self.rest().as_bytes());
        self.take(length)
    }

    fn escape(&mut self) -> Step<char> {
        let start = self.at;
        self.step();
        let plain = match self.need()? {
            b'u' => return self.unicode(start),
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => {
                return Err(Fault { kind: ErrorKind::BadEscape, offset: start });
            }
        };
        self.step();
        Ok(plain)
    }

    /// `u` and four hex digits, and for a high surrogate the low one after it (RFC 8259, 7).
    fn unicode(&mut self, start: usize) -> Step<char> {
        let unit = self.unit(start)?;
        if !matches!(unit, 0xD800..=0xDBFF) {
            return char::from_u32(unit.into()).ok_or_else(|| lone(unit, start));
        }
        for expected in [b'\\', b'u'] {
            if self.need()? != expected {
                return Err(lone(unit, start));
            }
            // The `u` is stepped over by `unit`.
            if expected == b'\\' {
                self.step();
            }
        }
        let low = self.unit(start)?;
        char::decode_utf16([unit, low]).next().and_then(Result::ok).ok_or_else(|| lone(unit, start))
    }

    fn unit(&mut self, start: usize) -> Step<u16> {
        self.step();
        let mut unit = 0_u16;
        for _ in 0..4 {
            let digit = hex_digit(self.need()?).ok_or(Fault { kind: ErrorKind::BadEscape, offset: start })?;
            unit = unit << 4 | digit;
            self.step();
        }
        Ok(unit)
    }

    fn number(&mut self) -> Step<Number> {
        let start = self.at;
        let bad = Fault { kind: ErrorKind::BadNumber, offset: start };
        let mut digits = 0_usize;
        self.skip_if(b"-");
        if self.skip_if(b"0") {
            digits = digits.saturating_add(1);
            if matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(bad);
            }
        } else {
            digits = digits.saturating_add(self.digits(start)?);
        }
        if self.skip_if(b".") {
            digits = digits.saturating_add(self.digits(start)?);
        }
        if self.skip_if(b"eE") {
            self.skip_if(b"+-");
            digits = digits.saturating_add(self.digits(start)?);
        }
        let max = self.limits.number_digits_max;
        if digits > max {
            return Err(Fault { kind: ErrorKind::NumberTooLong { digits, max }, offset: start });
        }
        Ok(Number(self.slice(start, self.at).to_owned()))
    }

    /// One digit or more.
    fn digits(&mut self, start: usize) -> Step<usize> {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 {
            self.need()?;
            return Err(Fault { kind: ErrorKind::BadNumber, offset: start });
        }
        self.take(length);
        Ok(length)
    }

    fn literal(&mut self, word: &str) -> Step<()> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    fn expect(&mut self, expected: u8) -> Step<()> {
        match self.need()? {
            byte if byte == expected => {
                self.step();
                Ok(())
            }
            byte => self.fail(ErrorKind::UnexpectedByte { byte }),
        }
    }

    /// Whether the container ends right after it opened.
    fn closes(&mut self, close: u8) -> Step<bool> {
        self.skip_space();
        let closes = self.need()? == close;
        if closes {
            self.step();
        }
        Ok(closes)
    }

    /// Steps over a comma or the end of the container, and tells which.
    fn ends(&mut self, close: u8) -> Step<bool> {
        if self.closes(close)? {
            return Ok(true);
        }
        self.expect(b',').map(|()| false)
    }

    fn skip_space(&mut self) {
        while self.skip_if(b" \t\n\r") {}
    }

    fn skip_if(&mut self, any: &[u8]) -> bool {
        let fits = self.byte().is_some_and(|byte| any.contains(&byte));
        if fits {
            self.step();
        }
        fits
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn need(&self) -> Step<u8> {
        self.byte().ok_or(Fault { kind: ErrorKind::UnexpectedEnd, offset: self.at })
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let start = self.at;
        self.at = self.at.saturating_add(length);
        self.slice(start, self.at)
    }

    fn rest(&self) -> &'a str {
        self.slice(self.at, self.text.len())
    }

    /// Infallible: both ends were positions of the parser, see its invariant.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[from..to]
    }

    fn deeper(&self, depth: usize) -> Step<usize> {
        let max = self.limits.depth_max.min(DEPTH_CEILING);
        if depth >= max { self.fail(ErrorKind::TooDeep { max }) } else { Ok(depth.saturating_add(1)) }
    }

    fn count_value(&mut self) -> Step<()> {
        let max = self.limits.values_max;
        self.values = self.values.saturating_add(1);
        if self.values > max { self.fail(ErrorKind::TooManyValues { max }) } else { Ok(()) }
    }

    fn fail<T>(&self, kind: ErrorKind) -> Step<T> {
        Err(Fault { kind, offset: self.at })
    }
}

/// Whether the object has the name already. Small objects compare name by name; larger ones keep a set, or ten thousand
/// members would cost fifty million comparisons.
fn is_known<'a, B: Build>(name: Cow<'a, str>, members: &[B::Member], seen: &mut HashSet<Cow<'a, str>>) -> bool {
    if members.len() < NAMES_COMPARED_MAX {
        return members.iter().any(|member| B::name(member) == name.as_ref());
    }
    if seen.is_empty() {
        seen.extend(members.iter().map(|member| Cow::Owned(B::name(member).to_owned())));
    }
    !seen.insert(name)
}

/// Up to here comparing all names is cheaper than hashing them: an attestation token has about thirty, and names differ in
/// length mostly.
const NAMES_COMPARED_MAX: usize = 64;

fn lone(unit: u16, offset: usize) -> Fault {
    Fault { kind: ErrorKind::LoneSurrogate { unit }, offset }
}

fn hex_digit(byte: u8) -> Option<u16> {
    match byte {
        b'0'..=b'9' => Some(u16::from(byte.wrapping_sub(b'0'))),
        b'a'..=b'f' => Some(u16::from(byte.wrapping_sub(b'a').wrapping_add(10))),
        b'A'..=b'F' => Some(u16::from(byte.wrapping_sub(b'A').wrapping_add(10))),
        _ => None,
    }
}

fn write_array(items: &[Value], out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        item.write_json(out);
    }
    out.push(']');
}

/// What needs no escape is copied in one piece.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some((plain, special)) = rest.split_at_checked(plain_len(rest.as_bytes())) {
        out.push_str(plain);
        let mut special = special.chars();
        let Some(first) = special.next() else { break };
        write_escape(first, out);
        rest = special.as_str();
    }
    out.push('"');
}

/// Bytes before the first that is not itself in a string (RFC 8259, 7): quote, backslash, control character. These are
/// ASCII, so it is a character that begins there. Sixteen at a time, which the compiler makes one comparison each.
fn plain_len(bytes: &[u8]) -> usize {
    let (chunks, _) = bytes.as_chunks::<16>();
    let is_plain = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |any, byte| any | is_special(*byte));
    let whole = chunks.iter().take_while(is_plain).count() * 16;
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

fn write_escape(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        control => out.push_str(&format!("\\u{:04x}", u32::from(control))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes_max: 1 << 16, depth_max: 16, values_max: 4096, number_digits_max: 64 };

    fn kind(text: impl AsRef<[u8]>) -> ErrorKind {
        parse(text.as_ref(), &LIMITS).unwrap_err().kind
    }

    fn at(text: impl AsRef<[u8]>) -> (usize, usize, usize) {
        let Position { line, column, offset } = parse(text.as_ref(), &LIMITS).unwrap_err().at;
        (line, column, offset)
    }

    fn value(text: &str) -> Value {
        parse(text.as_bytes(), &LIMITS).unwrap()
    }

    /// The oracle respells exponents.
    fn spelling(number: &str) -> String {
        number.to_ascii_lowercase().replace("e+", "e")
    }

    fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Number(a), serde_json::Value::Number(b)) => spelling(a.text()) == spelling(b.as_str()),
            (Value::String(a), serde_json::Value::String(b)) => a == b,
            (Value::Array(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
            }
            _ => false,
        }
    }

    /// Compares with the oracle; only our stricter rules may differ.
    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        let oracle = serde_json::from_slice::<serde_json::Value>(bytes);
        let plain = parse(bytes, &LIMITS);
        prop_assert_eq!(plain.clone(), parse_positioned(bytes, &LIMITS).map(Node::into_value));
        match (plain, oracle) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert!(same(&ours, &theirs), "{ours:?} {theirs:?}");
                prop_assert_eq!(&parse(ours.to_json().as_bytes(), &LIMITS).unwrap(), &ours);
            }
            (Err(error), Ok(theirs)) => {
                let stricter = matches!(
                    error.kind,
                    ErrorKind::DuplicateMember { .. } | ErrorKind::TooDeep { .. } | ErrorKind::NumberTooLong { .. }
                );
                prop_assert!(stricter, "{error:?} {theirs:?}");
            }
            (Ok(ours), Err(theirs)) => prop_assert!(false, "{ours:?} {theirs:?}"),
            (Err(_), Err(_)) => {}
        }
        Ok(())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?".prop_map(|text| Value::Number(Number(text))),
        ];
        leaf.prop_recursive(6, 128, 24, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..24).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..24).prop_map(|pairs| {
                    Value::Object(pairs.into_iter().fold(Object::new(), |o, (n, v)| o.with(n, v)))
                }),
            ]
        })
    }

    proptest! {
        // What we print, both readers read back as the same value, and printing it again changes nothing.
        #[test]
        fn printed_values_are_read_back(original in any_value()) {
            let text = original.to_json();
            let back = parse(text.as_bytes(), &LIMITS).unwrap();
            prop_assert_eq!(&back, &original);
            prop_assert_eq!(back.to_json(), text.clone());
            prop_assert!(same(&original, &serde_json::from_str(&text).unwrap()));
        }

        // Documents of JSON's own alphabet, mostly broken, are accepted and refused as the oracle does.
        #[test]
        fn token_soup_agrees_with_the_oracle(parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\u", "\\ud83d", "\\udE00", "\\n", "\\x", "0", "01", "-", "1", ".5", "e3", "E+9",
            "true", "false", "null", "nul", " ", "\n", "\t", "\u{0}", "é", "😀", "\u{feff}", "+", "NaN", "/",
        ]), 0..24)) {
            agree(parts.concat().as_bytes())?;
        }

        // A valid document with one byte replaced, removed or added is accepted and refused as the oracle does.
        #[test]
        fn damaged_documents_agree_with_the_oracle(original in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
            let mut bytes = original.to_json().into_bytes();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
            agree(&bytes)?;
        }

        // Arbitrary bytes never panic and are judged as the oracle judges them.
        #[test]
        fn arbitrary_bytes_agree_with_the_oracle(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            agree(&bytes)?;
        }
    }

    type Row = (&'static [u8], ErrorKind, (usize, usize, usize));

    // Each refusal that a fixed text can show has its own kind and points at the byte that shows it.
    #[test]
    fn each_refusal_has_its_kind_and_place() {
        let byte = |byte| ErrorKind::UnexpectedByte { byte };
        let control = |byte| ErrorKind::ControlCharacter { byte };
        let lone = |unit| ErrorKind::LoneSurrogate { unit };
        let twice = |name: &str| ErrorKind::DuplicateMember { name: name.to_owned() };
        let table: Vec<Row> = vec![
            (b"\xEF\xBB\xBF1", ErrorKind::ByteOrderMark, (1, 1, 0)),
            (b"\xFF\xFE1\0", ErrorKind::NotUtf8, (1, 1, 0)),
            (b"[\"\xC3\xA9\xC0\xAF\"]", ErrorKind::NotUtf8, (1, 4, 4)),
            (b"\"\xED\xA0\x80\"", ErrorKind::NotUtf8, (1, 2, 1)),
            (br#"{"a":1,"a":2}"#, twice("a"), (1, 8, 7)),
            (b"{\"a\":1,\n \"\\u0061\":2}", twice("a"), (2, 2, 9)),
            (br#"[{"x":{"b":0,"b":0}}]"#, twice("b"), (1, 14, 13)),
            (br#""\ud800""#, lone(0xD800), (1, 2, 1)),
            (br#""\udc00\ud800""#, lone(0xDC00), (1, 2, 1)),
            (br#""ab\ud800\n""#, lone(0xD800), (1, 4, 3)),
            (br#""\ud800\ud800""#, lone(0xD800), (1, 2, 1)),
            (br#""\ud800\u0041""#, lone(0xD800), (1, 2, 1)),
            (b"\"a\nb\"", control(b'\n'), (1, 3, 2)),
            (b"\"\x00\"", control(0), (1, 2, 1)),
            (b"\"\\n\x1f\"", control(0x1F), (1, 4, 3)),
            (br#""\x""#, ErrorKind::BadEscape, (1, 2, 1)),
            (br#""\u00g0""#, ErrorKind::BadEscape, (1, 2, 1)),
            (br#""\u+041""#, ErrorKind::BadEscape, (1, 2, 1)),
            (br#""\U0041""#, ErrorKind::BadEscape, (1, 2, 1)),
            (b"01", ErrorKind::BadNumber, (1, 1, 0)),
            (b"[-01]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"00", ErrorKind::BadNumber, (1, 1, 0)),
            (b"+1", ErrorKind::BadNumber, (1, 1, 0)),
            (b".5", ErrorKind::BadNumber, (1, 1, 0)),
            (b"[1.]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"[-]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"[1e]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"[1e+]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"[-.5]", ErrorKind::BadNumber, (1, 2, 1)),
            (b"-Infinity", ErrorKind::BadNumber, (1, 1, 0)),
            (b"NaN", byte(b'N'), (1, 1, 0)),
            (b"Infinity", byte(b'I'), (1, 1, 0)),
            (b"True", byte(b'T'), (1, 1, 0)),
            (b"nulL", byte(b'L'), (1, 4, 3)),
            (b"[0x1]", byte(b'x'), (1, 3, 2)),
            (b"[1,]", byte(b']'), (1, 4, 3)),
            (b"[,1]", byte(b','), (1, 2, 1)),
            (b"[1 2]", byte(b'2'), (1, 4, 3)),
            (b"[1}", byte(b'}'), (1, 3, 2)),
            (br#"{"a":1,}"#, byte(b'}'), (1, 8, 7)),
            (br#"{"a" 1}"#, byte(b'1'), (1, 6, 5)),
            (br#"{"a":}"#, byte(b'}'), (1, 6, 5)),
            (b"{a:1}", byte(b'a'), (1, 2, 1)),
            (b"{'a':1}", byte(b'\''), (1, 2, 1)),
            (b"{1:1}", byte(b'1'), (1, 2, 1)),
            (b"/**/1", byte(b'/'), (1, 1, 0)),
            (b"\x0b1", byte(0x0B), (1, 1, 0)),
            (b"\xC2\xA01", byte(0xC2), (1, 1, 0)),
            (b"1 1", ErrorKind::TrailingBytes, (1, 3, 2)),
            (b"{}\n\0", ErrorKind::TrailingBytes, (2, 1, 3)),
            (b"1.5.2", ErrorKind::TrailingBytes, (1, 4, 3)),
            ("\"é😀\"x".as_bytes(), ErrorKind::TrailingBytes, (1, 5, 8)),
            (b"", ErrorKind::UnexpectedEnd, (1, 1, 0)),
            (b" \r\n ", ErrorKind::UnexpectedEnd, (2, 2, 4)),
        ];
        for (text, expected, place) in table {
            assert_eq!(kind(text), expected, "{}", text.escape_ascii());
            assert_eq!(at(text), place, "{}", text.escape_ascii());
            assert_eq!(parse(text, &LIMITS).map(|_| ()), parse_positioned(text, &LIMITS).map(|_| ()));
        }
    }

    // Every limit holds exactly: its value passes, one more does not.
    #[test]
    fn each_limit_holds_exactly() {
        let limits = Limits { bytes_max: 10, depth_max: 2, values_max: 3, number_digits_max: 4 };
        let kind = |text: &str| parse(text.as_bytes(), &limits).map_err(|error| error.kind);
        assert!(kind("         1").is_ok());
        assert_eq!(kind("          1"), Err(ErrorKind::TooLarge { bytes: 11, max: 10 }));
        assert!(kind("[[]]").is_ok());
        assert_eq!(kind("[[[]]]"), Err(ErrorKind::TooDeep { max: 2 }));
        assert_eq!(kind(r#"[{"":{}}]"#), Err(ErrorKind::TooDeep { max: 2 }));
        assert!(kind("[1,2]").is_ok());
        assert_eq!(kind("[1,2,3]"), Err(ErrorKind::TooManyValues { max: 3 }));
        assert!(kind("-1.2e+34").is_ok());
        assert_eq!(kind("-1.2e+345"), Err(ErrorKind::NumberTooLong { digits: 5, max: 4 }));
        let unbounded = Limits {
            bytes_max: usize::MAX,
            depth_max: usize::MAX,
            values_max: usize::MAX,
            number_digits_max: usize::MAX,
        };
        let bomb = "[".repeat(1 << 20);
        assert_eq!(parse(bomb.as_bytes(), &unbounded).unwrap_err().kind, ErrorKind::TooDeep { max: DEPTH_CEILING });
    }

    // A document cut anywhere ends unexpectedly, or within a character.
    #[test]
    fn truncation_at_each_byte_is_refused() {
        let text = r#" {"a":[true,false,null,-1.5e+3,0.25],"é\n😀":"\ud83d\ude00\\\"\/é😀","":{"x":{}},"last":[[]]}"#;
        let whole = value(text);
        assert_eq!(whole.get(&["é\n😀"]).unwrap().as_str(), Some("😀\\\"/é😀"));
        for length in 0..text.len() {
            let expected = if text.is_char_boundary(length) { ErrorKind::UnexpectedEnd } else { ErrorKind::NotUtf8 };
            assert_eq!(kind(&text.as_bytes()[..length]), expected, "{length}");
        }
        for scalar in [
            "-",
            "1.",
            "1e",
            "1e-",
            "tru",
            "\"\\",
            "\"\\u00",
            "\"\\ud800",
            "\"\\ud800\\",
            "\"\\ud800\\u",
            "\"\\ud800\\udc0",
        ] {
            assert_eq!(kind(scalar), ErrorKind::UnexpectedEnd, "{scalar}");
        }
    }

    // Duplicates are found on both sides of the switch from comparing to hashing, and a large object stays cheap.
    #[test]
    fn duplicates_are_found_in_small_and_huge_objects() {
        let object = |count: usize, twice: usize| {
            let members: Vec<_> =
                (0..count).map(|n| format!("\"n{n}\":0")).chain([format!("\"n{twice}\":0")]).collect();
            format!("{{{}}}", members.join(","))
        };
        for count in 1..40 {
            for twice in 0..count {
                assert_eq!(kind(object(count, twice)), ErrorKind::DuplicateMember { name: format!("n{twice}") });
            }
            assert_eq!(value(&object(count, count)).as_object().unwrap().len(), count + 1);
        }
        let limits = Limits { bytes_max: 1 << 24, values_max: 1 << 20, ..LIMITS };
        let huge = object(200_000, 199_999);
        assert_eq!(
            parse(huge.as_bytes(), &limits).unwrap_err().kind,
            ErrorKind::DuplicateMember { name: "n199999".to_owned() }
        );
    }

    // Printing uses the fewest escapes and leaves everything else verbatim.
    #[test]
    fn printing_escapes_no_more_than_needed() {
        let text = "\"\\\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}/é😀\u{2028}";
        let printed = Value::from(text).to_json();
        assert_eq!(printed, "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}/é😀\u{2028}\"");
        assert_eq!(value(&printed).as_str(), Some(text));
        assert_eq!(Value::from("").to_json(), "\"\"");
        assert_eq!(value(" { \"b\" : [ 1 , 2.50E+1 ] , \"a\" : { } } ").to_json(), r#"{"b":[1,2.50E+1],"a":{}}"#);
    }

    // Only canonical integers in range become integers; text is kept as received.
    #[test]
    fn numbers_are_text_until_asked() {
        for (text, unsigned, signed, integer) in [
            ("0", Some(0), Some(0), true),
            ("-0", None, None, false),
            ("1.0", None, None, false),
            ("1e3", None, None, false),
            ("-5", None, Some(-5), true),
            ("18446744073709551615", Some(u64::MAX), None, true),
            ("18446744073709551616", None, None, true),
            ("-9223372036854775808", None, Some(i64::MIN), true),
        ] {
            let number = value(text);
            assert_eq!(number.to_json(), text);
            assert_eq!(number.as_u64(), unsigned, "{text}");
            assert_eq!(number.as_i64(), signed, "{text}");
            assert_eq!(number.as_number().unwrap().is_integer(), integer, "{text}");
        }
        assert_ne!(value("1"), value("1.0"));
    }

    // An object keeps the order in which members came, replaces in place, and sorts by bytes when asked.
    #[test]
    fn objects_keep_order_until_sorted() {
        let mut object = Object::new().with("b", 1_u64).with("a", Object::new().with("z", true).with("Z", Value::Null));
        assert_eq!(object.insert("b", "x"), Some(Value::from(1_u64)));
        assert_eq!(object.insert("é", vec![-1_i64]), None);
        assert_eq!(object.to_json(), r#"{"b":"x","a":{"z":true,"Z":null},"é":[-1]}"#);
        let mut sorted = Value::from(object.clone());
        sorted.sort();
        assert_eq!(sorted.to_json(), r#"{"a":{"Z":null,"z":true},"b":"x","é":[-1]}"#);
        assert_eq!(object.remove("b"), Some(Value::from("x")));
        assert_eq!(object.remove("b"), None);
        assert!(!object.contains("b") && object.len() == 2 && !object.is_empty());
        assert_eq!(object.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "é"]);
    }

    // Values and names know their line, column and offset, with characters of several bytes before them.
    #[test]
    fn nodes_know_where_they_began() {
        let node = parse_positioned("\r\n{\"é😀\" : [1,\n\t{}] }".as_bytes(), &LIMITS).unwrap();
        let place = |at: Position| (at.line, at.column, at.offset);
        assert_eq!(place(node.at), (2, 1, 2));
        let NodeValue::Object(members) = node.value else { panic!("object") };
        assert_eq!((members[0].name.as_str(), place(members[0].at)), ("é😀", (2, 2, 3)));
        assert_eq!(place(members[0].node.at), (2, 9, 14));
        let NodeValue::Array(items) = &members[0].node.value else { panic!("array") };
        assert_eq!(items.iter().map(|item| place(item.at)).collect::<Vec<_>>(), [(2, 10, 15), (3, 2, 19)]);
    }

    // A message names the fault and the place once.
    #[test]
    fn messages_name_fault_and_place() {
        let error = parse(b"{\"a\":1,\n\"a\":2}", &LIMITS).unwrap_err();
        assert_eq!(error.to_string(), "duplicate member \"a\" at line 2 column 1");
    }
}
