//! What a policy is made of once it is read: sections of rules, each with conditions and one action.

use std::fmt;
use std::sync::Arc;

use skerry_jose::json::Position;

use super::claims::Value;
use super::functions::Function;

/// A version of the language; each has all that the one before has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0.
    V1_0,
    /// 1.1: configuration rules.
    V1_1,
    /// 1.2: conditions that hold for no claim, and functions.
    V1_2,
}

impl Version {
    pub(super) const ALL: [Version; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A part of a policy, in the order in which they come and are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `configurationrules`: how evidence is looked at.
    Configuration,
    /// `authorizationrules`: whether there is a token.
    Authorization,
    /// `issuancerules`: what it says besides.
    Issuance,
}

impl Section {
    pub(super) const ALL: [Section; 3] = [Self::Configuration, Self::Authorization, Self::Issuance];

    /// The word that it begins with.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Configuration => "configurationrules",
            Self::Authorization => "authorizationrules",
            Self::Issuance => "issuancerules",
        }
    }

    /// Its place in the grammar.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Configuration => "policy > configurationRules",
            Self::Authorization => "policy > authorizationRules",
            Self::Issuance => "policy > issuanceRules",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// A policy, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) version: Version,
    /// In the order of the text, which is that of evaluation.
    pub(super) rules: Vec<Rule>,
}

impl Program {
    /// `version= 1.0;authorizationrules{=> permit();};`, the default for SEV-SNP, as it is read.
    pub(super) fn permit_all() -> Program {
        let at = Position { line: 1, column: 33, offset: 32 };
        let (section, number, conditions, action) = (Section::Authorization, 1, Vec::new(), Action::Permit);
        Program { version: Version::V1_0, rules: vec![Rule { section, number, at, conditions, action }] }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) section: Section,
    /// From 1, within the section.
    pub(super) number: usize,
    pub(super) at: Position,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// Holds iff some claim, or under `!` none, satisfies all comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) negated: bool,
    pub(super) name: Option<Arc<str>>,
    pub(super) comparisons: Vec<Comparison>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) property: Property,
    pub(super) operator: Operator,
    pub(super) operand: Expression,
}

/// A property of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    Type,
    Value,
    ValueType,
    Issuer,
}

impl Property {
    pub(super) const ALL: [Property; 4] = [Self::Type, Self::Value, Self::ValueType, Self::Issuer];

    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Value => "value",
            Self::ValueType => "valueType",
            Self::Issuer => "issuer",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(super) fn is_ordering(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Literal(Value),
    Reference(Reference),
    Call(Function, Vec<Expression>),
}

/// A property of the claims of a condition, which is told by its place in the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) condition: usize,
    pub(super) property: Property,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Permit,
    Deny,
    /// Into the claims that later rules see.
    Add(Made),
    /// Into the token besides.
    Issue(Made),
    Property {
        name: Arc<str>,
        value: Expression,
    },
}

impl Action {
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Add(_) => "add",
            Self::Issue(_) => "issue",
            Self::Property { .. } => "issueproperty",
        }
    }
}

/// The claim of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    /// Each claim of that condition, with its type and value.
    Copy(usize),
    New {
        kind: Expression,
        value: Expression,
    },
}
