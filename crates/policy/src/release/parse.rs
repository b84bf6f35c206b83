//! From bytes to a [`Policy`], or to a refusal that says where.

use skerry_attestation_result::{IssuerUrl, IssuerUrlError};
use skerry_jose::json::{self, Node, NodeMember, NodeValue, Position, Value};

use super::compare::Integer;
use super::{Clause, Condition, Entry, Group, Operand, Operator, Policy, Quantifier, Version};
use crate::limits::Limits;

/// Why a policy was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at {at}{}", in_clause(.clause))]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where it is in the text.
    pub at: Position,
    /// Where it is in the policy, as `anyOf[0].allOf[2].greater`; empty at the top and where the text is not JSON.
    pub clause: String,
}

fn in_clause(clause: &str) -> String {
    if clause.is_empty() { String::new() } else { format!(" in {clause}") }
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Not strict JSON, or beyond its limits; duplicate members are among these.
    #[error(transparent)]
    Json(json::ErrorKind),
    /// Something else where an object belongs.
    #[error("not an object")]
    NotAnObject,
    /// Something else where a list belongs.
    #[error("not a list")]
    NotAList,
    /// Something else where a string belongs.
    #[error("not a string")]
    NotAString,
    /// A member the grammar does not know at this place.
    #[error("unknown member {name:?}")]
    UnknownMember {
        /// Its name.
        name: String,
    },
    /// Two members that are one keyword in different letter case.
    #[error("duplicate keyword {name:?}")]
    DuplicateKeyword {
        /// The second one's name.
        name: String,
    },
    /// No version.
    #[error("no version")]
    VersionMissing,
    /// A version other than "1.0.0", "1.0" and "0.2".
    #[error("unknown version {version:?}")]
    VersionUnknown {
        /// The version.
        version: String,
    },
    /// Neither `allOf` nor `anyOf`.
    #[error("neither allOf nor anyOf")]
    GroupMissing,
    /// Both `allOf` and `anyOf`.
    #[error("both allOf and anyOf")]
    TwoGroups,
    /// An empty list, which would be always or never true.
    #[error("empty list")]
    EmptyGroup,
    /// An entry without authority.
    #[error("no authority")]
    AuthorityMissing,
    /// An authority that is no unambiguous https URL.
    #[error("authority: {0}")]
    Authority(IssuerUrlError),
    /// A condition with a claim and a list.
    #[error("both a claim and a list")]
    ClauseAndGroup,
    /// A clause without claim.
    #[error("no claim")]
    ClaimMissing,
    /// A claim path with an empty name.
    #[error("empty name in claim")]
    ClaimSegmentEmpty,
    /// A claim path longer than the limit.
    #[error("claim of {bytes} bytes, at most {max}")]
    ClaimTooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A clause without operator.
    #[error("no operator")]
    OperatorMissing,
    /// A clause with more than one operator.
    #[error("more than one operator")]
    TwoOperators,
    /// An operator the grammar does not know.
    #[error("unknown operator {name:?}")]
    OperatorUnknown {
        /// Its name.
        name: String,
    },
    /// A `condition` without `value`.
    #[error("no value")]
    OperandMissing,
    /// Null, a list or an object to compare with.
    #[error("value is not a scalar")]
    OperandNotScalar,
    /// A value longer than the limit.
    #[error("value of {bytes} bytes, at most {max}")]
    OperandTooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A number with fraction, exponent or minus zero: it has no canonical text, so it would equal nothing.
    #[error("number is not a canonical integer")]
    OperandNotCanonical,
    /// `exists` with something other than true and false.
    #[error("value is not true or false")]
    OperandNotBoolean,
    /// An ordering operator with something other than a canonical integer of bounded length.
    #[error("value is not an integer")]
    OperandNotInteger,
    /// Lists within each other beyond the limit.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// A canonical form longer than a policy may be: numbers and booleans grow by quotes, and what is stored must be read again.
    #[error("canonical form of {bytes} bytes, at most {max}")]
    CanonicalTooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// More clauses than the limit.
    #[error("more than {max} clauses")]
    TooManyClauses {
        /// The limit.
        max: usize,
    },
}

pub(super) fn policy(bytes: &[u8], limits: &Limits) -> Result<Policy, ParseError> {
    let node = json::parse_positioned(bytes, &limits.json)
        .map_err(|error| refusal(ParseErrorKind::Json(error.kind), error.at, ""))?;
    Reader { limits, clauses: 0 }.document(&node)
}

fn refusal(kind: ParseErrorKind, at: Position, clause: &str) -> ParseError {
    ParseError { kind, at, clause: clause.to_owned() }
}

/// A value of the document and its place in the policy.
struct Place<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Place<'n> {
    fn fail(&self, kind: ParseErrorKind) -> ParseError {
        refusal(kind, self.node.at, &self.path)
    }

    fn string(&self) -> Result<&'n str, ParseError> {
        match &self.node.value {
            NodeValue::String(text) => Ok(text),
            _ => Err(self.fail(ParseErrorKind::NotAString)),
        }
    }

    /// The items of a list that is not empty.
    fn items(&self) -> Result<Vec<Place<'n>>, ParseError> {
        match &self.node.value {
            NodeValue::Array(nodes) if nodes.is_empty() => Err(self.fail(ParseErrorKind::EmptyGroup)),
            NodeValue::Array(nodes) => {
                Ok(nodes.iter().enumerate().map(|(index, node)| self.item(index, node)).collect())
            }
            _ => Err(self.fail(ParseErrorKind::NotAList)),
        }
    }

    fn item(&self, index: usize, node: &'n Node) -> Place<'n> {
        Place { node, path: format!("{}[{index}]", self.path) }
    }

    fn member(&self, name: &str, node: &'n Node) -> Place<'n> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { node, path }
    }
}

/// The members of an object by keyword; each is taken once, and what is left is refused.
struct Fields<'n> {
    place: Place<'n>,
    known: Vec<(Keyword, &'n NodeMember)>,
    unknown: Vec<&'n NodeMember>,
}

impl<'n> Fields<'n> {
    fn of(place: Place<'n>) -> Result<Self, ParseError> {
        let NodeValue::Object(members) = &place.node.value else {
            return Err(place.fail(ParseErrorKind::NotAnObject));
        };
        let mut fields = Self { place, known: Vec::new(), unknown: Vec::new() };
        members.iter().try_for_each(|member| fields.add(member))?;
        Ok(fields)
    }

    fn add(&mut self, member: &'n NodeMember) -> Result<(), ParseError> {
        let Some(keyword) = Keyword::of(&member.name) else {
            self.unknown.push(member);
            return Ok(());
        };
        if self.has(keyword) {
            return Err(self.fail_at(member, ParseErrorKind::DuplicateKeyword { name: member.name.clone() }));
        }
        self.known.push((keyword, member));
        Ok(())
    }

    fn has(&self, keyword: Keyword) -> bool {
        self.known.iter().any(|(own, _)| *own == keyword)
    }

    fn take(&mut self, keyword: Keyword) -> Option<Place<'n>> {
        let index = self.known.iter().position(|(own, _)| *own == keyword)?;
        let (_, member) = self.known.remove(index);
        Some(self.place.member(keyword.text(), &member.node))
    }

    fn need(&mut self, keyword: Keyword, missing: ParseErrorKind) -> Result<Place<'n>, ParseError> {
        self.take(keyword).ok_or_else(|| self.place.fail(missing))
    }

    /// The one list under `allOf` or `anyOf`.
    fn group(&mut self) -> Result<(Quantifier, Place<'n>), ParseError> {
        match (self.take(Keyword::AllOf), self.take(Keyword::AnyOf)) {
            (Some(list), None) => Ok((Quantifier::AllOf, list)),
            (None, Some(list)) => Ok((Quantifier::AnyOf, list)),
            (None, None) => Err(self.place.fail(ParseErrorKind::GroupMissing)),
            (Some(_), Some(_)) => Err(self.place.fail(ParseErrorKind::TwoGroups)),
        }
    }

    /// First of all where names are fixed: a misspelt keyword would else show as a missing one.
    fn refuse_unknown(&self) -> Result<(), ParseError> {
        self.unknown.first().map_or(Ok(()), |member| Err(self.unknown_member(member)))
    }

    /// Last: what nobody took does not belong here.
    fn finish(&self) -> Result<(), ParseError> {
        self.refuse_unknown()?;
        self.known.first().map_or(Ok(()), |(_, member)| Err(self.unknown_member(member)))
    }

    fn unknown_member(&self, member: &NodeMember) -> ParseError {
        self.fail_at(member, ParseErrorKind::UnknownMember { name: member.name.clone() })
    }

    fn fail_at(&self, member: &NodeMember, kind: ParseErrorKind) -> ParseError {
        refusal(kind, member.at, &self.place.member(&member.name, &member.node).path)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Version,
    Authority,
    AllOf,
    AnyOf,
    Claim,
    /// `condition` and `value` are the clause of API version 7.3-preview.
    Condition,
    Value,
    Operator(Operator),
}

impl Keyword {
    const OTHERS: [Self; 7] =
        [Self::Version, Self::Authority, Self::AllOf, Self::AnyOf, Self::Claim, Self::Condition, Self::Value];

    fn of(name: &str) -> Option<Self> {
        let mut all = Self::OTHERS.into_iter().chain(Operator::ALL.map(Self::Operator));
        all.find(|keyword| keyword.text().eq_ignore_ascii_case(name))
    }

    fn text(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Authority => "authority",
            Self::AllOf => Quantifier::AllOf.keyword(),
            Self::AnyOf => Quantifier::AnyOf.keyword(),
            Self::Claim => "claim",
            Self::Condition => "condition",
            Self::Value => "value",
            Self::Operator(operator) => operator.keyword(),
        }
    }
}

struct Reader<'l> {
    limits: &'l Limits,
    clauses: usize,
}

impl Reader<'_> {
    /// What is accepted must be read again from either of its canonical forms.
    fn storable(&self, policy: Policy) -> Result<Policy, ParseError> {
        let (bytes, max) = (policy.canonical.len().max(policy.canonical_hsm().len()), self.limits.json.bytes_max);
        match bytes > max {
            true => Err(refusal(ParseErrorKind::CanonicalTooLong { bytes, max }, Position::START, "")),
            false => Ok(policy),
        }
    }

    fn document(&mut self, node: &Node) -> Result<Policy, ParseError> {
        let mut fields = Fields::of(Place { node, path: String::new() })?;
        fields.refuse_unknown()?;
        let version = version(&fields.need(Keyword::Version, ParseErrorKind::VersionMissing)?)?;
        let (quantifier, list) = fields.group()?;
        fields.finish()?;
        let entries = list.items()?.into_iter().map(|place| self.entry(place)).collect::<Result<_, _>>()?;
        self.storable(Policy::new(version, quantifier, entries))
    }

    fn entry(&mut self, place: Place<'_>) -> Result<Entry, ParseError> {
        let mut fields = Fields::of(place)?;
        fields.refuse_unknown()?;
        let authority = authority(&fields.need(Keyword::Authority, ParseErrorKind::AuthorityMissing)?)?;
        let group = self.group(fields, 1)?;
        Ok(Entry { authority, group })
    }

    /// `depth` counts this group.
    fn group(&mut self, mut fields: Fields<'_>, depth: usize) -> Result<Group, ParseError> {
        fields.refuse_unknown()?;
        let (quantifier, list) = fields.group()?;
        fields.finish()?;
        let max = self.limits.groups_depth_max;
        if depth > max {
            return Err(list.fail(ParseErrorKind::TooDeep { max }));
        }
        let places = list.items()?.into_iter();
        let conditions = places.map(|place| self.condition(place, depth)).collect::<Result<_, _>>()?;
        Ok(Group { quantifier, conditions })
    }

    fn condition(&mut self, place: Place<'_>, depth: usize) -> Result<Condition, ParseError> {
        let fields = Fields::of(place)?;
        let group = fields.has(Keyword::AllOf) || fields.has(Keyword::AnyOf);
        match (group, fields.has(Keyword::Claim)) {
            (true, true) => Err(fields.place.fail(ParseErrorKind::ClauseAndGroup)),
            (true, false) => Ok(Condition::Group(self.group(fields, depth.saturating_add(1))?)),
            (false, _) => Ok(Condition::Clause(self.clause(fields)?)),
        }
    }

    fn clause(&mut self, mut fields: Fields<'_>) -> Result<Clause, ParseError> {
        let max = self.limits.clauses_max;
        self.clauses = self.clauses.saturating_add(1);
        if self.clauses > max {
            return Err(fields.place.fail(ParseErrorKind::TooManyClauses { max }));
        }
        let claim = self.claim(&fields.need(Keyword::Claim, ParseErrorKind::ClaimMissing)?)?;
        let (operator, place) = comparison(&mut fields)?;
        fields.finish()?;
        Ok(Clause { claim, operator, operand: self.operand(operator, &place)? })
    }

    fn claim(&self, place: &Place<'_>) -> Result<String, ParseError> {
        let (claim, max) = (place.string()?, self.limits.claim_bytes_max);
        if claim.len() > max {
            return Err(place.fail(ParseErrorKind::ClaimTooLong { bytes: claim.len(), max }));
        }
        if claim.split('.').any(str::is_empty) {
            return Err(place.fail(ParseErrorKind::ClaimSegmentEmpty));
        }
        Ok(claim.to_owned())
    }

    fn operand(&self, operator: Operator, place: &Place<'_>) -> Result<Operand, ParseError> {
        let (operand, max) = (scalar(place)?, self.limits.value_bytes_max);
        if operand.text.len() > max {
            return Err(place.fail(ParseErrorKind::OperandTooLong { bytes: operand.text.len(), max }));
        }
        if operator == Operator::Exists && !matches!(operand.text.as_str(), "true" | "false") {
            return Err(place.fail(ParseErrorKind::OperandNotBoolean));
        }
        if operator.is_ordering() && Integer::parse(&operand.text).is_none() {
            return Err(place.fail(ParseErrorKind::OperandNotInteger));
        }
        Ok(operand)
    }
}

fn version(place: &Place<'_>) -> Result<Version, ParseError> {
    let text = place.string()?;
    let known = Version::ALL.into_iter().find(|version| version.text() == text);
    known.ok_or_else(|| place.fail(ParseErrorKind::VersionUnknown { version: text.to_owned() }))
}

fn authority(place: &Place<'_>) -> Result<IssuerUrl, ParseError> {
    IssuerUrl::named(place.string()?).map_err(|error| place.fail(ParseErrorKind::Authority(error)))
}

/// The operator and the place of its value, in either form of a clause.
fn comparison<'n>(fields: &mut Fields<'n>) -> Result<(Operator, Place<'n>), ParseError> {
    let mut found = Operator::ALL.into_iter().filter_map(|own| Some((own, fields.take(Keyword::Operator(own))?)));
    let (first, second) = (found.next(), found.next());
    drop(found);
    let named = fields.take(Keyword::Condition);
    match (first, second.is_some() || named.is_some(), named) {
        (Some(one), false, _) => Ok(one),
        (None, _, Some(name)) => {
            let operator = operator(&name)?;
            Ok((operator, fields.need(Keyword::Value, ParseErrorKind::OperandMissing)?))
        }
        (None, _, None) => Err(no_operator(fields)),
        (Some(_), true, _) => Err(fields.place.fail(ParseErrorKind::TwoOperators)),
    }
}

fn operator(place: &Place<'_>) -> Result<Operator, ParseError> {
    let name = place.string()?;
    let known = Operator::ALL.into_iter().find(|operator| operator.keyword().eq_ignore_ascii_case(name));
    known.ok_or_else(|| place.fail(ParseErrorKind::OperatorUnknown { name: name.to_owned() }))
}

/// A member nobody knows stands where the operator belongs, or nothing does.
fn no_operator(fields: &Fields<'_>) -> ParseError {
    match fields.unknown.first() {
        Some(member) => fields.fail_at(member, ParseErrorKind::OperatorUnknown { name: member.name.clone() }),
        None => fields.place.fail(ParseErrorKind::OperatorMissing),
    }
}

fn scalar(place: &Place<'_>) -> Result<Operand, ParseError> {
    let (text, written) = match &place.node.value {
        NodeValue::Bool(value) => (value.to_string(), Value::Bool(*value)),
        NodeValue::String(text) => (text.clone(), Value::String(text.clone())),
        NodeValue::Number(number) if number.is_integer() => (number.text().to_owned(), Value::Number(number.clone())),
        NodeValue::Number(_) => return Err(place.fail(ParseErrorKind::OperandNotCanonical)),
        NodeValue::Null | NodeValue::Array(_) | NodeValue::Object(_) => {
            return Err(place.fail(ParseErrorKind::OperandNotScalar));
        }
    };
    Ok(Operand { text, written })
}
