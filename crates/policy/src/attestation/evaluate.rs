//! What a policy says of claims.
//!
//! Rules are evaluated in their order, every one of them. A condition holds iff some claim satisfies all of its comparisons,
//! under `!` iff none does; conditions are evaluated from left to right until one does not hold. A deny that fires refuses,
//! whatever permits; without a permit there is nothing either; only then are issuance rules looked at. What is not settled
//! by any source refuses: a comparison of two types on which a condition depends, a name that stands for several claims
//! where one is compared, a function that has no result.

use std::sync::Arc;

use skerry_jose::json::{self, Object};

use super::claims::{Claim, ClaimIssuer, Value, is_reserved};
use super::functions::FunctionError;
use super::syntax::{
    Action, Comparison, Condition, Expression, Made, Operator, Program, Property, Reference, Rule, Section,
};
use crate::limits::{APPRAISAL_CLAIMS_MAX, APPRAISAL_ISSUED_BYTES_MAX, APPRAISAL_STEPS_MAX};

/// What came of an appraisal, and what each rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the policy permits, or why there is no token.
    pub outcome: Result<Appraised, EvaluationError>,
    /// The rules that were evaluated, in their order.
    pub findings: Vec<Finding>,
}

/// What a policy that permits adds to the claims of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appraised {
    /// Claims for the token: none has a name of the service's. Several values of one name are an array.
    pub issued: Object,
    /// What else was set. No type of evidence that is attested here has such a property.
    pub properties: Object,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: RulePlace,
    /// What it does where its conditions hold, by the word of the language.
    pub action: &'static str,
    /// Whether they held.
    pub fired: bool,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rule {number} of {section}, line {line}")]
pub struct RulePlace {
    /// Its section.
    pub section: Section,
    /// Its number there, from 1.
    pub number: usize,
    /// The line that it begins in, from 1.
    pub line: usize,
}

/// Why a policy gives no token. The beginning is recorded, for a denial and for want of a permit alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Policy Engine Exception: {kind}{}", at(.rule))]
pub struct EvaluationError {
    /// What happened.
    pub kind: EvaluationErrorKind,
    /// The rule in which it did; none for want of a permit.
    pub rule: Option<RulePlace>,
}

fn at(rule: &Option<RulePlace>) -> String {
    rule.map(|rule| format!(" ({rule})")).unwrap_or_default()
}

/// What happened in an appraisal that gives no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum EvaluationErrorKind {
    #[error("A Deny claim was issued, authorization failed.")]
    Denied,
    #[error("A Deny claim was issued, authorization failed. (no rule permits)")]
    NotPermitted,
    #[error("{property} of claim {claim} is of type {found}, and compared by {operator} with one of type {expected}")]
    Types { claim: String, property: &'static str, found: &'static str, operator: &'static str, expected: &'static str },
    #[error("{name} stands for {claims} claims, where one is needed")]
    Ambiguous { name: String, claims: usize },
    #[error("{values} values, where one is needed")]
    NotOne { values: usize },
    #[error(transparent)]
    Function(FunctionError),
    #[error("the type of a claim is a text that is not empty")]
    ClaimType,
    #[error("claim {0} is the service's: a policy makes none of this name")]
    ReservedClaim(String),
    #[error("property {0} is set twice")]
    PropertyTwice(String),
    #[error("more than {max} claims")]
    TooManyClaims { max: usize },
    #[error("claims of more than {max} bytes are issued")]
    IssuedTooLarge { max: usize },
    #[error("more work than {max} comparisons")]
    TooMuchWork { max: usize },
}

use EvaluationErrorKind as Kind;

/// What a program says of these claims.
pub(super) fn verdict(program: &Program, claims: &[Claim]) -> Verdict {
    let mut run = Run { claims: claims.to_vec(), ..Run::default() };
    let mut findings = Vec::new();
    let outcome = run.all(program, &mut findings);
    Verdict { outcome: outcome.map(|()| run.appraised()), findings }
}

#[derive(Default)]
struct Run {
    claims: Vec<Claim>,
    issued: Vec<(Arc<str>, Value)>,
    issued_bytes: usize,
    properties: Vec<(Arc<str>, Value)>,
    permitted: bool,
    denied: Option<RulePlace>,
    steps: usize,
}

/// For each condition of a rule the claims that satisfy it, by their places.
type Bound = Vec<Vec<usize>>;

/// What names stand for.
#[derive(Clone, Copy)]
struct Names<'a> {
    rule: &'a Rule,
    bound: &'a [Vec<usize>],
    /// For each condition the claim that this firing is about; none while conditions are evaluated.
    chosen: Option<&'a [usize]>,
}

impl Run {
    fn all(&mut self, program: &Program, findings: &mut Vec<Finding>) -> Result<(), EvaluationError> {
        let (deciding, issuing): (Vec<_>, Vec<_>) =
            program.rules.iter().partition(|rule| rule.section < Section::Issuance);
        deciding.into_iter().try_for_each(|rule| self.rule(rule, findings))?;
        if let Some(rule) = self.denied {
            return Err(EvaluationError { kind: Kind::Denied, rule: Some(rule) });
        }
        if !self.permitted {
            return Err(EvaluationError { kind: Kind::NotPermitted, rule: None });
        }
        issuing.into_iter().try_for_each(|rule| self.rule(rule, findings))
    }

    fn rule(&mut self, rule: &Rule, findings: &mut Vec<Finding>) -> Result<(), EvaluationError> {
        let place = RulePlace { section: rule.section, number: rule.number, line: rule.at.line };
        let failed = |kind| EvaluationError { kind, rule: Some(place) };
        let bound = self.conditions(rule).map_err(failed)?;
        findings.push(Finding { rule: place, action: rule.action.keyword(), fired: bound.is_some() });
        match bound {
            Some(bound) => self.fire(rule, place, &bound).map_err(failed),
            None => Ok(()),
        }
    }

    /// What the conditions bind, iff all hold.
    fn conditions(&mut self, rule: &Rule) -> Result<Option<Bound>, Kind> {
        let mut bound = Bound::new();
        for condition in &rule.conditions {
            let satisfying = self.satisfying(condition, Names { rule, bound: &bound, chosen: None })?;
            if satisfying.is_empty() != condition.negated {
                return Ok(None);
            }
            bound.push(satisfying);
        }
        Ok(Some(bound))
    }

    fn satisfying(&mut self, condition: &Condition, names: Names<'_>) -> Result<Vec<usize>, Kind> {
        let mut operands = Vec::new();
        for comparison in &condition.comparisons {
            operands.push((comparison, self.one(&comparison.operand, names)?));
        }
        let mut satisfying = Vec::new();
        for place in 0..self.claims.len() {
            let work = operands.iter().map(|(_, operand)| cost(operand)).fold(0, usize::saturating_add);
            self.spend(work)?;
            if self.claims.get(place).is_some_and(|claim| claim_may(claim, &operands)) {
                let claim = self.claims.get(place).into_iter();
                claim.flat_map(|claim| operands.iter().filter_map(|pair| mismatch(claim, pair))).try_for_each(Err)?;
                satisfying.push(place);
            }
        }
        Ok(satisfying)
    }

    fn fire(&mut self, rule: &Rule, place: RulePlace, bound: &Bound) -> Result<(), Kind> {
        match &rule.action {
            Action::Permit => self.permitted = true,
            Action::Deny => self.denied = self.denied.or(Some(place)),
            Action::Add(made) => self.make(rule, bound, made, false)?,
            Action::Issue(made) => self.make(rule, bound, made, true)?,
            Action::Property { name, value } => {
                for chosen in Choices::of(&[value], bound) {
                    let value = self.one(value, Names { rule, bound, chosen: Some(&chosen) })?;
                    self.set(name, value)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a claim for each choice of claims that the action speaks of.
    fn make(&mut self, rule: &Rule, bound: &Bound, made: &Made, issued: bool) -> Result<(), Kind> {
        match made {
            Made::Copy(condition) => {
                for place in bound.get(*condition).into_iter().flatten() {
                    let Some(Claim { kind, value, .. }) = self.claims.get(*place).cloned() else { continue };
                    self.put(kind, value, issued)?;
                }
            }
            Made::New { kind, value } => {
                for chosen in Choices::of(&[kind, value], bound) {
                    let names = Names { rule, bound, chosen: Some(&chosen) };
                    let Value::String(kind) = self.one(kind, names)? else { return Err(Kind::ClaimType) };
                    for value in self.values(value, false, names)? {
                        self.put(Arc::clone(&kind), value, issued)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, kind: Arc<str>, value: Value, issued: bool) -> Result<(), Kind> {
        self.spend(1)?;
        if kind.is_empty() {
            return Err(Kind::ClaimType);
        }
        if is_reserved(&kind) {
            // What the service says anyway may be said again, which changes nothing.
            let said =
                |own: &Claim| own.issuer == ClaimIssuer::AttestationService && own.kind == kind && own.value == value;
            return if self.claims.iter().any(said) { Ok(()) } else { Err(Kind::ReservedClaim(kind.to_string())) };
        }
        if self.claims.len() >= APPRAISAL_CLAIMS_MAX {
            return Err(Kind::TooManyClaims { max: APPRAISAL_CLAIMS_MAX });
        }
        if issued {
            self.issued_bytes = self.issued_bytes.saturating_add(kind.len()).saturating_add(value.len());
            if self.issued_bytes > APPRAISAL_ISSUED_BYTES_MAX {
                return Err(Kind::IssuedTooLarge { max: APPRAISAL_ISSUED_BYTES_MAX });
            }
            self.issued.push((Arc::clone(&kind), value.clone()));
        }
        self.claims.push(Claim { kind, value, issuer: ClaimIssuer::AttestationPolicy });
        Ok(())
    }

    fn set(&mut self, name: &Arc<str>, value: Value) -> Result<(), Kind> {
        if self.properties.iter().any(|(own, _)| own == name) {
            return Err(Kind::PropertyTwice(name.to_string()));
        }
        self.properties.push((Arc::clone(name), value));
        Ok(())
    }

    fn one(&mut self, expression: &Expression, names: Names<'_>) -> Result<Value, Kind> {
        let values = self.values(expression, false, names)?;
        match <[Value; 1]>::try_from(values) {
            Ok([value]) => Ok(value),
            Err(values) => Err(Kind::NotOne { values: values.len() }),
        }
    }

    /// The values of an expression: as a set those of all claims that a name stands for.
    fn values(&mut self, expression: &Expression, set: bool, names: Names<'_>) -> Result<Vec<Value>, Kind> {
        match expression {
            Expression::Literal(value) => Ok(vec![value.clone()]),
            Expression::Reference(Reference { condition, property }) => {
                let places = if set { names.all(*condition).to_vec() } else { vec![names.one(*condition)?] };
                let claims = places.into_iter().filter_map(|place| self.claims.get(place));
                Ok(claims.map(|claim| property_of(claim, *property)).collect())
            }
            Expression::Call(function, arguments) => {
                let mut given = Vec::new();
                for (argument, set) in arguments.iter().zip(function.sets()) {
                    let values = self.values(argument, *set, names)?;
                    if !set && values.len() != 1 {
                        return Err(Kind::NotOne { values: values.len() });
                    }
                    given.push(values);
                }
                // Each element of one argument may meet each of another.
                let pairs = given.iter().map(Vec::len).fold(1, usize::saturating_mul);
                let longest = given.iter().flatten().map(cost).max().unwrap_or(1);
                self.spend(pairs.saturating_mul(longest).saturating_add(longest))?;
                function.apply(&given).map_err(Kind::Function)
            }
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), Kind> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > APPRAISAL_STEPS_MAX {
            true => Err(Kind::TooMuchWork { max: APPRAISAL_STEPS_MAX }),
            false => Ok(()),
        }
    }

    fn appraised(self) -> Appraised {
        Appraised { issued: object(self.issued), properties: object(self.properties) }
    }
}

impl<'a> Names<'a> {
    fn all(&self, condition: usize) -> &'a [usize] {
        self.bound.get(condition).map(Vec::as_slice).unwrap_or_default()
    }

    fn one(&self, condition: usize) -> Result<usize, Kind> {
        if let Some(place) = self.chosen.and_then(|chosen| chosen.get(condition)) {
            return Ok(*place);
        }
        match self.all(condition) {
            [place] => Ok(*place),
            several => {
                let name = self.rule.conditions.get(condition).and_then(|condition| condition.name.as_deref());
                Err(Kind::Ambiguous { name: name.unwrap_or_default().to_owned(), claims: several.len() })
            }
        }
    }
}

/// Every choice of one claim for each condition that expressions speak of one by one, in order, the last changing first.
struct Choices<'a> {
    bound: &'a Bound,
    varying: Vec<usize>,
    /// For each condition a place in what it binds.
    next: Option<Vec<usize>>,
}

impl<'a> Choices<'a> {
    fn of(expressions: &[&Expression], bound: &'a Bound) -> Choices<'a> {
        let mut varying = Vec::new();
        expressions.iter().for_each(|expression| spoken_of(expression, false, &mut varying));
        varying.sort_unstable();
        varying.dedup();
        Choices { bound, varying, next: Some(vec![0; bound.len()]) }
    }
}

impl Iterator for Choices<'_> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let at = self.next.take()?;
        // Negated conditions bind nothing, and nothing speaks of them.
        let chosen = at.iter().zip(self.bound).map(|(at, bound)| bound.get(*at).copied().unwrap_or_default()).collect();
        let mut following = at;
        for condition in self.varying.iter().rev() {
            let (Some(at), Some(bound)) = (following.get_mut(*condition), self.bound.get(*condition)) else { continue };
            *at = at.saturating_add(1);
            if *at < bound.len() {
                self.next = Some(following);
                break;
            }
            *at = 0;
        }
        Some(chosen)
    }
}

/// Conditions whose claims an expression takes one by one.
fn spoken_of(expression: &Expression, set: bool, conditions: &mut Vec<usize>) {
    match expression {
        Expression::Reference(reference) if !set => conditions.push(reference.condition),
        Expression::Literal(_) | Expression::Reference(_) => {}
        Expression::Call(function, arguments) => {
            arguments.iter().zip(function.sets()).for_each(|(argument, set)| spoken_of(argument, *set, conditions));
        }
    }
}

/// Whether no comparison is false. Where one is of two types, [`mismatch`] tells.
fn claim_may(claim: &Claim, operands: &[(&Comparison, Value)]) -> bool {
    operands.iter().all(|(comparison, operand)| {
        compare(&property_of(claim, comparison.property), comparison.operator, operand).unwrap_or(true)
    })
}

fn mismatch(claim: &Claim, (comparison, operand): &(&Comparison, Value)) -> Option<Kind> {
    let found = property_of(claim, comparison.property);
    if compare(&found, comparison.operator, operand).is_some() {
        return None;
    }
    Some(Kind::Types {
        claim: claim.kind.to_string(),
        property: comparison.property.keyword(),
        found: found.kind(),
        operator: comparison.operator.symbol(),
        expected: operand.kind(),
    })
}

/// None for two types, and for an order of what has none.
fn compare(left: &Value, operator: Operator, right: &Value) -> Option<bool> {
    let ordering = match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) if !operator.is_ordering() => left.cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) if !operator.is_ordering() => left.cmp(right),
        _ => return None,
    };
    Some(match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
    })
}

fn property_of(claim: &Claim, property: Property) -> Value {
    match property {
        Property::Type => Value::String(Arc::clone(&claim.kind)),
        Property::Value => claim.value.clone(),
        Property::ValueType => Value::text(claim.value.kind()),
        Property::Issuer => Value::text(claim.issuer.name()),
    }
}

/// Steps of looking at a value.
fn cost(value: &Value) -> usize {
    (value.len() / STEP_BYTES).saturating_add(1)
}

fn object(pairs: Vec<(Arc<str>, Value)>) -> Object {
    let mut named: Vec<(Arc<str>, Vec<json::Value>)> = Vec::new();
    for (name, value) in pairs {
        // Infallible: integers come from 64 bits.
        let value = value.to_json().unwrap_or(json::Value::Null);
        match named.iter_mut().find(|(own, _)| *own == name) {
            Some((_, values)) => values.push(value),
            None => named.push((name, vec![value])),
        }
    }
    let one_or_all = |values: Vec<json::Value>| match <[json::Value; 1]>::try_from(values) {
        Ok([value]) => value,
        Err(values) => json::Value::Array(values),
    };
    named.into_iter().fold(Object::new(), |object, (name, values)| object.with(&*name, one_or_all(values)))
}

const STEP_BYTES: usize = 64;
