//! From symbols to a program, or to a refusal that says where.
//!
//! Strict where two readers could differ: what the documentation's own samples leave out (a `;` after the last rule or
//! section) is asked for, and what no source settles is refused.

use std::sync::Arc;

use super::EvidenceType;
use super::claims::{Value, is_reserved};
use super::error::{PolicyParsingError, PolicyParsingErrorKind as Kind};
use super::functions::{self, Function};
use super::lex::{Lexeme, Symbol, lexemes};
use super::properties;
use super::syntax::{
    Action, Comparison, Condition, Expression, Made, Operator, Program, Property, Reference, Rule, Section, Version,
};
use crate::limits::{APPRAISAL_CALLS_DEPTH_MAX, APPRAISAL_CONDITIONS_MAX, APPRAISAL_RULES_MAX};

type Parsed<T> = Result<T, PolicyParsingError>;

/// Reads a policy for evidence of this type.
pub(super) fn program(kind: EvidenceType, text: &str) -> Parsed<Program> {
    let lexemes = lexemes(text)?;
    let mut parser = Parser { kind, lexemes: &lexemes, next: 0, version: Version::V1_0, path: POLICY };
    parser.program()
}

struct Parser<'t> {
    kind: EvidenceType,
    lexemes: &'t [Lexeme<'t>],
    next: usize,
    version: Version,
    /// Where in the grammar we are, for messages.
    path: &'static str,
}

impl<'t> Parser<'t> {
    fn program(&mut self) -> Parsed<Program> {
        self.version = self.version_info()?;
        self.path = POLICY;
        let (mut rules, mut sections) = (Vec::new(), Vec::new());
        while self.peek().symbol != Symbol::End {
            let section = self.section(sections.last().copied())?;
            self.rules(section, &mut rules)?;
            sections.push(section);
            self.path = POLICY;
        }
        // One without rules is one all the same: it permits nothing, and says so each time.
        if !sections.contains(&Section::Authorization) {
            return Err(self.fail(Kind::NoAuthorization));
        }
        Ok(Program { version: self.version, rules })
    }

    fn version_info(&mut self) -> Parsed<Version> {
        self.path = "policy > versionInfo";
        self.word("version", "'version'")?;
        self.mark("=", "'='")?;
        let at = self.peek().clone();
        let major = self.integer()?;
        self.mark(".", "'.'")?;
        let minor = self.integer()?;
        let version = format!("{major}.{minor}");
        let known = Version::ALL.into_iter().find(|known| known.text() == version);
        let known = known.ok_or_else(|| at.fail(Kind::Version { version }, self.path))?;
        self.mark(";", "';'")?;
        Ok(known)
    }

    /// The keyword of a section, iff it may come here.
    fn section(&mut self, last: Option<Section>) -> Parsed<Section> {
        let Some(section) = section_of(&self.peek().symbol) else {
            return Err(self.mismatched("'configurationrules', 'authorizationrules' or 'issuancerules'"));
        };
        self.path = section.path();
        match last {
            Some(last) if last == section => return Err(self.fail(Kind::SectionTwice(section))),
            Some(after) if after > section => return Err(self.fail(Kind::SectionOrder { section, after })),
            _ => {}
        }
        if section == Section::Configuration {
            self.since(Version::V1_1, section.keyword())?;
        }
        self.take();
        Ok(section)
    }

    fn rules(&mut self, section: Section, rules: &mut Vec<Rule>) -> Parsed<()> {
        self.mark("{", "'{'")?;
        let mut number: usize = 0;
        while self.peek().symbol != Symbol::Mark("}") {
            if rules.len() >= APPRAISAL_RULES_MAX {
                return Err(self.fail(Kind::TooManyRules { max: APPRAISAL_RULES_MAX }));
            }
            number = number.saturating_add(1);
            rules.push(self.rule(section, number)?);
        }
        self.mark("}", "'}'")?;
        self.mark(";", "';'")
    }

    fn rule(&mut self, section: Section, number: usize) -> Parsed<Rule> {
        let at = self.peek().at;
        let mut conditions = Vec::new();
        if self.peek().symbol != Symbol::Mark("=>") {
            loop {
                if conditions.len() >= APPRAISAL_CONDITIONS_MAX {
                    return Err(self.fail(Kind::TooManyConditions { max: APPRAISAL_CONDITIONS_MAX }));
                }
                let condition = self.condition(&conditions)?;
                conditions.push(condition);
                if !self.takes("&&") {
                    break;
                }
            }
        }
        self.mark("=>", "'&&' or '=>'")?;
        let action = self.action(section, &conditions)?;
        self.mark(";", "';'")?;
        Ok(Rule { section, number, at, conditions, action })
    }

    fn condition(&mut self, before: &[Condition]) -> Parsed<Condition> {
        let negated = self.peek().symbol == Symbol::Mark("!");
        if negated {
            self.since(Version::V1_2, "a condition under !")?;
            self.take();
        }
        let name = match self.peek().symbol {
            Symbol::Word(name) => Some(self.name(name, negated, before)?),
            _ => None,
        };
        self.mark("[", "'['")?;
        let mut comparisons = vec![self.comparison(before)?];
        while self.takes(",") {
            comparisons.push(self.comparison(before)?);
        }
        self.mark("]", "',' or ']'")?;
        Ok(Condition { negated, name, comparisons })
    }

    fn name(&mut self, name: &str, negated: bool, before: &[Condition]) -> Parsed<Arc<str>> {
        if is_word(name) {
            return Err(self.fail(Kind::IdentifierReserved(name.to_owned())));
        }
        if negated {
            return Err(self.fail(Kind::IdentifierOfNone));
        }
        if place(before, name).is_some() {
            return Err(self.fail(Kind::IdentifierTwice(name.to_owned())));
        }
        self.take();
        self.mark(":", "':'")?;
        Ok(name.into())
    }

    fn comparison(&mut self, before: &[Condition]) -> Parsed<Comparison> {
        let property = self.property()?;
        let at = self.peek().clone();
        let operator = self.operator()?;
        let operand_at = self.peek().clone();
        let operand = self.expression(before, 0)?;
        let fixed = match &operand {
            Expression::Literal(value) => Some(value.kind()),
            Expression::Reference(Reference { property: Property::Value, .. }) | Expression::Call(..) => None,
            Expression::Reference(_) => Some(STRING),
        };
        if property != Property::Value && fixed.is_some_and(|kind| kind != STRING) {
            return Err(operand_at.fail(Kind::NotAString { property: property.keyword() }, self.path));
        }
        let unordered = property != Property::Value || fixed.is_some_and(|kind| kind != INTEGER);
        if operator.is_ordering() && unordered {
            return Err(at.fail(Kind::NotOrdered, self.path));
        }
        Ok(Comparison { property, operator, operand })
    }

    fn property(&mut self) -> Parsed<Property> {
        let found = match self.peek().symbol {
            Symbol::Word(word) => Property::ALL.into_iter().find(|own| own.keyword() == word),
            _ => None,
        };
        let property = found.ok_or_else(|| self.mismatched("'type', 'value', 'valueType' or 'issuer'"))?;
        self.take();
        Ok(property)
    }

    /// A single `=` is in published samples, and compares.
    fn operator(&mut self) -> Parsed<Operator> {
        let operator = match self.peek().symbol {
            Symbol::Mark("==" | "=") => Operator::Equal,
            Symbol::Mark("!=") => Operator::NotEqual,
            Symbol::Mark("<") => Operator::Less,
            Symbol::Mark("<=") => Operator::LessOrEqual,
            Symbol::Mark(">") => Operator::Greater,
            Symbol::Mark(">=") => Operator::GreaterOrEqual,
            _ => return Err(self.mismatched("'==', '!=', '<', '<=', '>' or '>='")),
        };
        self.take();
        Ok(operator)
    }

    fn expression(&mut self, before: &[Condition], depth: usize) -> Parsed<Expression> {
        let value = match &self.peek().symbol {
            Symbol::String(text) => Value::String(Arc::clone(text)),
            Symbol::Integer(value) => Value::Integer(i128::from(*value)),
            Symbol::Word("true") => Value::Boolean(true),
            Symbol::Word("false") => Value::Boolean(false),
            Symbol::Word(word) => {
                let word = *word;
                return self.reference_or_call(word, before, depth);
            }
            Symbol::Mark(_) | Symbol::End => return Err(self.mismatched("a value")),
        };
        self.take();
        Ok(Expression::Literal(value))
    }

    fn reference_or_call(&mut self, word: &'t str, before: &[Condition], depth: usize) -> Parsed<Expression> {
        let at = self.peek().clone();
        self.take();
        if self.peek().symbol == Symbol::Mark("(") {
            return self.call(&at, word, before, depth);
        }
        let condition = place(before, word);
        let condition = condition.ok_or_else(|| at.fail(Kind::IdentifierUnknown(word.to_owned()), self.path))?;
        self.mark(".", "'.'")?;
        let property = self.property()?;
        Ok(Expression::Reference(Reference { condition, property }))
    }

    fn call(&mut self, at: &Lexeme<'_>, name: &str, before: &[Condition], depth: usize) -> Parsed<Expression> {
        if self.version < Version::V1_2 {
            return Err(at.fail(Kind::Since { what: "a function", since: Version::V1_2 }, self.path));
        }
        if let Some(name) = functions::unsupported(name) {
            return Err(at.fail(Kind::FunctionUnsupported(name), self.path));
        }
        let known = Function::ALL.into_iter().find(|own| own.name() == name);
        let function = known.ok_or_else(|| at.fail(Kind::FunctionUnknown(name.to_owned()), self.path))?;
        if depth >= APPRAISAL_CALLS_DEPTH_MAX {
            return Err(at.fail(Kind::TooDeep { max: APPRAISAL_CALLS_DEPTH_MAX }, self.path));
        }
        self.mark("(", "'('")?;
        let mut arguments = Vec::new();
        if !self.takes(")") {
            loop {
                arguments.push(self.expression(before, depth.saturating_add(1))?);
                if !self.takes(",") {
                    break;
                }
            }
            self.mark(")", "',' or ')'")?;
        }
        let (takes, given) = (function.sets().len(), arguments.len());
        if takes != given {
            return Err(at.fail(Kind::Arguments { function: function.name(), takes, given }, self.path));
        }
        Ok(Expression::Call(function, arguments))
    }

    fn action(&mut self, section: Section, conditions: &[Condition]) -> Parsed<Action> {
        let at = self.peek().clone();
        let Symbol::Word(word) = at.symbol else { return Err(self.mismatched(ACTIONS)) };
        let keyword = ["permit", "deny", "add", "issue", "issueproperty"].into_iter().find(|own| *own == word);
        let keyword = keyword.ok_or_else(|| self.mismatched(ACTIONS))?;
        if !actions(section).contains(&keyword) {
            return Err(self.fail(Kind::ActionElsewhere { action: keyword, section }));
        }
        self.take();
        self.mark("(", "'('")?;
        let action = match keyword {
            "permit" => Action::Permit,
            "deny" => Action::Deny,
            "add" => Action::Add(self.made(conditions)?),
            // An authorization rule of a published sample issues; nothing is issued there, so it adds.
            "issue" if section == Section::Authorization => Action::Add(self.made(conditions)?),
            "issue" => Action::Issue(self.made(conditions)?),
            _ => self.set_property(section, conditions)?,
        };
        self.mark(")", "')'")?;
        Ok(action)
    }

    fn made(&mut self, conditions: &[Condition]) -> Parsed<Made> {
        if self.peek().symbol == Symbol::Word("claim") {
            self.take();
            self.mark("=", "'='")?;
            let at = self.peek().clone();
            let Symbol::Word(word) = at.symbol else { return Err(self.mismatched("an identifier")) };
            let condition = place(conditions, word);
            let condition = condition.ok_or_else(|| at.fail(Kind::IdentifierUnknown(word.to_owned()), self.path))?;
            self.take();
            return Ok(Made::Copy(condition));
        }
        let at = self.peek().clone();
        let (kind, value) = self.assignments(conditions)?;
        if let Expression::Literal(Value::String(name)) = &kind
            && is_reserved(name)
        {
            return Err(at.fail(Kind::ReservedClaim(name.to_string()), self.path));
        }
        Ok(Made::New { kind, value })
    }

    /// `type=..., value=...` in any order.
    fn assignments(&mut self, conditions: &[Condition]) -> Parsed<(Expression, Expression)> {
        let (mut kind, mut value) = (None, None);
        let first = self.peek().clone();
        loop {
            let at = self.peek().clone();
            let property = self.property()?;
            let place = match property {
                Property::Type => &mut kind,
                Property::Value => &mut value,
                Property::ValueType | Property::Issuer => {
                    return Err(at.fail(Kind::NotAssignable(property.keyword()), self.path));
                }
            };
            if place.is_some() {
                return Err(at.fail(Kind::AssignedTwice(property.keyword()), self.path));
            }
            self.mark("=", "'='")?;
            let at = self.peek().clone();
            let expression = self.expression(conditions, 0)?;
            if property == Property::Type {
                self.check_type(&at, &expression)?;
            }
            *place = Some(expression);
            if !self.takes(",") {
                break;
            }
        }
        let missing = |name| first.fail(Kind::NotAssigned(name), self.path);
        Ok((kind.ok_or_else(|| missing("type"))?, value.ok_or_else(|| missing("value"))?))
    }

    fn check_type(&self, at: &Lexeme<'_>, kind: &Expression) -> Parsed<()> {
        match kind {
            Expression::Literal(Value::String(text)) if text.is_empty() => Err(at.fail(Kind::TypeEmpty, self.path)),
            Expression::Literal(Value::Integer(_) | Value::Boolean(_)) => {
                Err(at.fail(Kind::NotAString { property: Property::Type.keyword() }, self.path))
            }
            _ => Ok(()),
        }
    }

    /// Which properties there are depends on section and type of evidence; what would have no effect is refused, since
    /// somebody meant it.
    fn set_property(&mut self, section: Section, conditions: &[Condition]) -> Parsed<Action> {
        let at = self.peek().clone();
        let (kind, value) = self.assignments(conditions)?;
        let Expression::Literal(Value::String(name)) = kind else {
            return Err(at.fail(Kind::NotAString { property: Property::Type.keyword() }, self.path));
        };
        let Some(expected) = properties::value_type(section, self.kind, &name) else {
            return Err(at.fail(Kind::Property(name.to_string()), self.path));
        };
        match &value {
            Expression::Literal(value) if value.kind() != expected => {
                Err(at.fail(Kind::PropertyType { property: name.to_string(), expected }, self.path))
            }
            _ => Ok(Action::Property { name, value }),
        }
    }

    fn since(&self, since: Version, what: &'static str) -> Parsed<()> {
        if self.version < since { Err(self.fail(Kind::Since { what, since })) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str, expected: &'static str) -> Parsed<()> {
        if self.peek().symbol != Symbol::Word(word) {
            return Err(self.mismatched(expected));
        }
        self.take();
        Ok(())
    }

    fn integer(&mut self) -> Parsed<i64> {
        let Symbol::Integer(value) = self.peek().symbol else { return Err(self.mismatched("an integer")) };
        self.take();
        Ok(value)
    }

    fn mark(&mut self, mark: &'static str, expected: &'static str) -> Parsed<()> {
        if self.takes(mark) { Ok(()) } else { Err(self.mismatched(expected)) }
    }

    fn takes(&mut self, mark: &'static str) -> bool {
        let taken = self.peek().symbol == Symbol::Mark(mark);
        if taken {
            self.take();
        }
        taken
    }

    /// The next symbol; the last one is the end, which is never passed.
    fn peek(&self) -> &'t Lexeme<'t> {
        self.lexemes.get(self.next).or(self.lexemes.last()).unwrap_or(&END)
    }

    fn take(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn fail(&self, kind: Kind) -> PolicyParsingError {
        self.peek().fail(kind, self.path)
    }

    fn mismatched(&self, expected: &'static str) -> PolicyParsingError {
        self.fail(Kind::Mismatched { found: self.peek().shown(), expected })
    }
}

/// The condition of this name.
fn place(conditions: &[Condition], name: &str) -> Option<usize> {
    conditions.iter().position(|condition| condition.name.as_deref() == Some(name))
}

/// Keywords of sections are read in any letter case: a published sample has a capital.
fn section_of(symbol: &Symbol<'_>) -> Option<Section> {
    let Symbol::Word(word) = symbol else { return None };
    Section::ALL.into_iter().find(|section| section.keyword().eq_ignore_ascii_case(word))
}

fn actions(section: Section) -> &'static [&'static str] {
    match section {
        Section::Configuration => &["issueproperty"],
        Section::Authorization => &["permit", "deny", "add", "issue"],
        Section::Issuance => &["add", "issue", "issueproperty"],
    }
}

/// Words that mean something else at some place.
fn is_word(name: &str) -> bool {
    let sections = Section::ALL.into_iter().map(Section::keyword);
    let properties = Property::ALL.into_iter().map(Property::keyword);
    let others = ["true", "false", "claim", "version", "permit", "deny", "add", "issue", "issueproperty"];
    sections.chain(properties).chain(others).any(|word| word == name)
}

const POLICY: &str = "policy";
const ACTIONS: &str = "'permit', 'deny', 'add', 'issue' or 'issueproperty'";
const STRING: &str = "String";
const INTEGER: &str = "Integer";
static END: Lexeme<'static> =
    Lexeme { symbol: Symbol::End, text: "", at: skerry_jose::json::Position { line: 1, column: 1, offset: 0 } };
