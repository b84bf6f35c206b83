//! Why a text is not an appraisal policy, in the words of the service as far as they are recorded.

use skerry_jose::json::Position;

use super::syntax::{Section, Version};

/// A text that is refused: what is wrong, at which symbol, where, and in which rule of the grammar.
///
/// The form is recorded: `Offending symbol`, `Line`, `Column`, `Failure message`, `Failing rule`. Whether the service counts
/// columns from 0 or 1 is not; here it is from 1, as everywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Policy Parser Exception Thrown: Offending symbol: '{symbol}'\nLine: '{}', Column: '{}'\nFailure message: '{kind}'\nFailing rule: '{rule}'",
    at.line,
    at.column
)]
pub struct PolicyParsingError {
    /// What is wrong.
    pub kind: PolicyParsingErrorKind,
    /// The symbol at which it was noticed, as it is written and cut to 64 characters; `<EOF>` at the end.
    pub symbol: String,
    /// Where that begins.
    pub at: Position,
    /// Where in the grammar, outermost first.
    pub rule: &'static str,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum PolicyParsingErrorKind {
    // Its size.
    #[error("policy has {len} bytes, more than {max}")]
    TooLarge { len: usize, max: usize },
    #[error("more than {max} symbols")]
    TooManySymbols { max: usize },
    #[error("more than {max} rules")]
    TooManyRules { max: usize },
    #[error("more than {max} conditions in one rule")]
    TooManyConditions { max: usize },
    #[error("calls nested deeper than {max}")]
    TooDeep { max: usize },

    // Its symbols.
    #[error("token recognition error at: '{0}'")]
    Character(char),
    #[error("string without an end")]
    Unterminated,
    #[error("control character in a string")]
    Control,
    #[error("escape other than \\\" and \\\\ in a string")]
    Escape,
    #[error("integer that is not written in its shortest decimal form, or beyond 64 bits")]
    Integer,
    #[error("mismatched input '{found}' expecting {expected}")]
    Mismatched { found: String, expected: &'static str },

    // Its frame.
    #[error("version {version} is not known; 1.0, 1.1 and 1.2 are")]
    Version { version: String },
    #[error("{what} is of version {since} and later")]
    Since { what: &'static str, since: Version },
    #[error("section {0} comes twice")]
    SectionTwice(Section),
    #[error("section {section} comes after {after}")]
    SectionOrder { section: Section, after: Section },
    #[error("no authorizationrules: nothing would be permitted")]
    NoAuthorization,

    // Its rules.
    #[error("'{0}' is a word of the language and names no claims")]
    IdentifierReserved(String),
    #[error("'{0}' names the claims of another condition of this rule")]
    IdentifierTwice(String),
    #[error("'{0}' names no claims of an earlier condition of this rule")]
    IdentifierUnknown(String),
    #[error("a condition under ! has no claims to be named")]
    IdentifierOfNone,
    #[error("{property} is a string, which this is not")]
    NotAString { property: &'static str },
    #[error("only integers are ordered; strings and booleans are compared by == and !=")]
    NotOrdered,
    #[error("{action} is no action of {section}")]
    ActionElsewhere { action: &'static str, section: Section },
    #[error("{0} is given twice")]
    AssignedTwice(&'static str),
    #[error("no {0} is given")]
    NotAssigned(&'static str),
    #[error("{0} of a claim that a policy makes is not the policy's to choose")]
    NotAssignable(&'static str),
    #[error("a claim has a type")]
    TypeEmpty,
    #[error("claim {0} is the service's: a policy makes none of this name")]
    ReservedClaim(String),
    #[error("property {0} is not one that this section has for this type of evidence")]
    Property(String),
    #[error("property {property} is of type {expected}")]
    PropertyType { property: String, expected: &'static str },

    // Functions.
    #[error("function {0} is not known")]
    FunctionUnknown(String),
    #[error("function {0} is not evaluated here: how the service does is not known exactly")]
    FunctionUnsupported(&'static str),
    #[error("{function} takes {takes} arguments, not {given}")]
    Arguments { function: &'static str, takes: usize, given: usize },
}
