//! From a text to symbols, each with its place.

use std::iter::Peekable;
use std::str::CharIndices;
use std::sync::Arc;

use skerry_jose::json::Position;

use super::error::{PolicyParsingError, PolicyParsingErrorKind as Kind};
use crate::limits::{APPRAISAL_BYTES_MAX, APPRAISAL_SYMBOLS_MAX};

/// A symbol and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lexeme<'a> {
    pub(super) symbol: Symbol<'a>,
    /// As it is written.
    pub(super) text: &'a str,
    pub(super) at: Position,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Symbol<'a> {
    /// A letter, then letters, digits and `_`.
    Word(&'a str),
    /// Without its quotes and escapes.
    String(Arc<str>),
    Integer(i64),
    /// One of [`MARKS`].
    Mark(&'static str),
    End,
}

impl Lexeme<'_> {
    /// A refusal at this symbol.
    pub(super) fn fail(&self, kind: Kind, rule: &'static str) -> PolicyParsingError {
        PolicyParsingError { kind, symbol: self.shown(), at: self.at, rule }
    }

    /// The symbol as messages show it.
    pub(super) fn shown(&self) -> String {
        match self.symbol {
            Symbol::End => "<EOF>".to_owned(),
            _ => cut(self.text),
        }
    }
}

/// The symbols of a text, the last of which is its end. White space and comments, which begin with `//` and end with their
/// line, are between them.
pub(super) fn lexemes(text: &str) -> Result<Vec<Lexeme<'_>>, PolicyParsingError> {
    let mut lexer = Lexer { text, rest: text.char_indices().peekable(), line: 1, column: 1 };
    if text.len() > APPRAISAL_BYTES_MAX {
        let kind = Kind::TooLarge { len: text.len(), max: APPRAISAL_BYTES_MAX };
        return Err(PolicyParsingError { kind, symbol: String::new(), at: lexer.place(0), rule: RULE });
    }
    let mut lexemes = Vec::new();
    loop {
        let lexeme = lexer.next()?;
        if lexemes.len() >= APPRAISAL_SYMBOLS_MAX {
            return Err(lexeme.fail(Kind::TooManySymbols { max: APPRAISAL_SYMBOLS_MAX }, RULE));
        }
        let last = lexeme.symbol == Symbol::End;
        lexemes.push(lexeme);
        if last {
            return Ok(lexemes);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Lexeme<'a>, PolicyParsingError> {
        self.skip();
        let at = self.here();
        let Some(first) = self.peek() else { return Ok(Lexeme { symbol: Symbol::End, text: "", at }) };
        let symbol = match first {
            '"' => self.string(),
            '-' | '0'..='9' => self.integer(at),
            'a'..='z' | 'A'..='Z' => Ok(self.word(at)),
            _ => self.mark(first),
        };
        let text = self.since(at);
        match symbol {
            Ok(symbol) => Ok(Lexeme { symbol, text, at }),
            Err(kind) => Err(PolicyParsingError { kind, symbol: cut(text), at, rule: RULE }),
        }
    }

    fn skip(&mut self) {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' => self.take(),
                '/' if self.text.get(self.here().offset..).is_some_and(|rest| rest.starts_with("//")) => {
                    while self.peek().is_some_and(|next| next != '\n') {
                        self.take();
                    }
                }
                _ => return,
            }
        }
    }

    fn string(&mut self) -> Result<Symbol<'a>, Kind> {
        self.take();
        let mut text = String::new();
        loop {
            let next = self.peek().ok_or(Kind::Unterminated)?;
            self.take();
            match next {
                '"' => return Ok(Symbol::String(text.into())),
                '\\' => match self.peek() {
                    Some(escaped @ ('"' | '\\')) => {
                        self.take();
                        text.push(escaped);
                    }
                    _ => return Err(Kind::Escape),
                },
                control if control.is_control() => return Err(Kind::Control),
                other => text.push(other),
            }
        }
    }

    fn integer(&mut self, at: Position) -> Result<Symbol<'a>, Kind> {
        self.take();
        while self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || next == '_') {
            self.take();
        }
        let text = self.since(at);
        let value: i64 = text.parse().map_err(|_| Kind::Integer)?;
        if value.to_string() == text { Ok(Symbol::Integer(value)) } else { Err(Kind::Integer) }
    }

    fn word(&mut self, at: Position) -> Symbol<'a> {
        while self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || next == '_') {
            self.take();
        }
        Symbol::Word(self.since(at))
    }

    fn mark(&mut self, first: char) -> Result<Symbol<'a>, Kind> {
        let rest = self.text.get(self.here().offset..).unwrap_or_default();
        let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark));
        let Some(mark) = mark else {
            self.take();
            return Err(Kind::Character(first));
        };
        mark.chars().for_each(|_| self.take());
        Ok(Symbol::Mark(mark))
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, next)| *next)
    }

    fn take(&mut self) {
        match self.rest.next() {
            Some((_, '\n')) => {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            }
            Some(_) => self.column = self.column.saturating_add(1),
            None => {}
        }
    }

    fn here(&mut self) -> Position {
        let offset = self.rest.peek().map_or(self.text.len(), |(offset, _)| *offset);
        self.place(offset)
    }

    fn place(&self, offset: usize) -> Position {
        Position { line: self.line, column: self.column, offset }
    }

    fn since(&mut self, at: Position) -> &'a str {
        let end = self.here().offset;
        self.text.get(at.offset..end).unwrap_or_default()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Longer ones before those that they begin with.
const MARKS: [&str; 20] =
    ["=>", "==", "!=", "<=", ">=", "&&", "=", "!", "<", ">", "{", "}", "[", "]", "(", ")", ";", ",", ":", "."];

/// Of a symbol, in a message.
const SHOWN_CHARS_MAX: usize = 64;

const RULE: &str = "policy";
