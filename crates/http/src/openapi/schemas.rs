//! The few forms of JSON Schema that bodies here need.

use skerry_jose::json::{Object, Value};

/// A JSON Schema.
#[derive(Debug, Clone)]
pub(crate) struct Schema(Object);

impl Schema {
    pub(crate) fn into_object(self) -> Object {
        self.0
    }

    /// The schema with a sentence about what it is.
    pub(crate) fn of(self, description: &str) -> Schema {
        Schema(self.0.with("description", description))
    }

    /// Within these bounds, both included.
    pub(crate) fn within(self, min: usize, max: usize, what: &str) -> Schema {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Schema(self.0.with(format!("min{what}"), number(min)).with(format!("max{what}"), number(max)))
    }

    /// Matching a regular expression.
    pub(crate) fn like(self, pattern: &str) -> Schema {
        Schema(self.0.with("pattern", pattern))
    }
}

impl From<Object> for Schema {
    fn from(object: Object) -> Schema {
        Schema(object)
    }
}

fn of_type(name: &str) -> Object {
    Object::new().with("type", name)
}

pub(crate) fn text() -> Schema {
    Schema(of_type("string"))
}

/// Octets as base64url, without padding as they are answered.
pub(crate) fn octets() -> Schema {
    Schema(of_type("string").with("contentEncoding", "base64url"))
}

pub(crate) fn integer() -> Schema {
    Schema(of_type("integer"))
}

pub(crate) fn flag() -> Schema {
    Schema(of_type("boolean"))
}

/// One of a closed set of words.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    Schema(of_type("string").with("enum", words))
}

pub(crate) fn array(items: Schema) -> Schema {
    Schema(of_type("array").with("items", items.0))
}

/// Another of the components.
pub(crate) fn reference(name: &str) -> Schema {
    Schema(Object::new().with("$ref", format!("#/components/schemas/{name}")))
}

/// An object whose members have any names and are texts.
pub(crate) fn texts_by_name() -> Schema {
    Schema(of_type("object").with("additionalProperties", of_type("string")))
}

/// The same schema, or null.
pub(crate) fn or_null(schema: Schema) -> Schema {
    Schema(Object::new().with("anyOf", vec![schema.0, of_type("null")]))
}

/// An object with these members.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Schema)>) -> Schema {
    let properties = members.into_iter().fold(Object::new(), |all, (name, schema)| all.with(name, schema.0));
    Schema(of_type("object").with("properties", properties))
}

/// The same object, which has to have these members.
pub(crate) fn required(schema: Schema, names: &[&str]) -> Schema {
    let names: Vec<Value> = names.iter().map(|name| Value::from(*name)).collect();
    Schema(schema.0.with("required", names))
}
