//! What a claim shows to a clause, and whether the clause holds for it.

use std::borrow::Cow;
use std::cmp::Ordering;

use skerry_jose::json::{Object, Value};

use super::Operator;
use crate::limits::INTEGER_DIGITS_MAX;

/// What stands at a claim's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// A name on the path is not there.
    Missing,
    /// The path goes on, but through something that is not an object. Not called missing: who asks that a claim be
    /// absent should not be satisfied by a token of unknown shape.
    Blocked,
    Null,
    Array,
    Object,
    /// A number that has no canonical text: a fraction, an exponent, or `-0`.
    NotCanonical(&'a str),
    /// A scalar by its canonical text.
    Text(Cow<'a, str>),
}

/// Walks objects only, name by name, exactly as spelt.
pub(super) fn look<'a>(claims: &'a Object, claim: &str) -> Shown<'a> {
    let mut object = claims;
    let mut names = claim.split('.').peekable();
    while let Some(name) = names.next() {
        match (object.get(name), names.peek()) {
            (None, _) => return Shown::Missing,
            (Some(value), None) => return shown(value),
            (Some(Value::Object(inner)), Some(_)) => object = inner,
            (Some(_), Some(_)) => return Shown::Blocked,
        }
    }
    Shown::Missing
}

fn shown(value: &Value) -> Shown<'_> {
    match value {
        Value::Null => Shown::Null,
        Value::Array(_) => Shown::Array,
        Value::Object(_) => Shown::Object,
        Value::Bool(true) => Shown::Text("true".into()),
        Value::Bool(false) => Shown::Text("false".into()),
        Value::Number(number) if number.is_integer() => Shown::Text(number.text().into()),
        Value::Number(number) => Shown::NotCanonical(number.text()),
        Value::String(text) => Shown::Text(text.into()),
    }
}

/// Whether `operator` holds between what is shown and the canonical text of the operand.
pub(super) fn holds(operator: Operator, shown: &Shown<'_>, operand: &str) -> bool {
    match (operator, shown) {
        (Operator::Exists, _) => exists(shown, operand),
        (Operator::Equals, Shown::Text(text)) => text == operand,
        (Operator::NotEquals, Shown::Text(text)) => text != operand,
        (ordering, Shown::Text(text)) => order(text, operand).is_some_and(|order| admits(ordering, order)),
        _ => false,
    }
}

fn exists(shown: &Shown<'_>, operand: &str) -> bool {
    match shown {
        Shown::Missing => operand == "false",
        Shown::Null | Shown::Blocked => false,
        Shown::Array | Shown::Object | Shown::NotCanonical(_) | Shown::Text(_) => operand == "true",
    }
}

fn admits(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEquals => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEquals => order.is_ge(),
        Operator::Equals | Operator::NotEquals | Operator::Exists => false,
    }
}

/// The order of two canonical integers; none when either text is not one.
pub(super) fn order(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Integer::parse(a)?, Integer::parse(b)?);
    Some(match (a.negative, b.negative) {
        (false, false) => a.magnitude().cmp(&b.magnitude()),
        (true, true) => b.magnitude().cmp(&a.magnitude()),
        (negative, _) => {
            if negative {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    })
}

/// A canonical integer of up to [`INTEGER_DIGITS_MAX`] digits, as text.
pub(super) struct Integer<'a> {
    negative: bool,
    digits: &'a str,
}

impl<'a> Integer<'a> {
    /// Accepts "0", or digits that do not begin with 0 after an optional minus; nothing else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let canonical = text == "0" || !digits.starts_with('0');
        let valid = canonical
            && (1..=INTEGER_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then_some(Self { negative: text.starts_with('-'), digits })
    }

    /// Without leading zeros, more digits are more, and equal lengths compare as text.
    fn magnitude(&self) -> (usize, &str) {
        (self.digits.len(), self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Only canonical integers have an order, up to the last admitted digit.
    #[test]
    fn only_canonical_integers_have_an_order() {
        let longest = "9".repeat(INTEGER_DIGITS_MAX);
        let longer = "9".repeat(INTEGER_DIGITS_MAX + 1);
        for text in ["0", "5", "-5", "10", longest.as_str()] {
            assert_eq!(order(text, text), Some(Ordering::Equal), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "05",
            "-05",
            "+5",
            "5 ",
            " 5",
            "5\n",
            "5.0",
            "5e0",
            "0x5",
            "٥",
            "5a",
            "true",
            longer.as_str(),
        ] {
            assert_eq!(order(text, "5"), None, "{text}");
            assert_eq!(order("5", text), None, "{text}");
        }
        assert_eq!(order(&longest, "18446744073709551616"), Some(Ordering::Greater));
        assert_eq!(order(&format!("-{longest}"), "-18446744073709551616"), Some(Ordering::Less));
    }

    proptest! {
        // The order of texts is the order of the numbers they write.
        #[test]
        fn order_is_that_of_the_numbers(a in any::<i128>(), b in any::<i128>(), shift in 0_u32..128) {
            let (a, b) = (a >> shift, b >> (127 - shift));
            prop_assert_eq!(order(&a.to_string(), &b.to_string()), Some(a.cmp(&b)));
        }
    }
}
