//! The OpenAPI document: that it is published as it is, and that what it says of bodies is what is read and answered.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use skerry_http::openapi;
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

/// One operation at one path.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// A template.
    pub(crate) path: &'static str,
    /// In upper case.
    pub(crate) method: String,
    pub(crate) operation: &'static Object,
}

impl Row {
    pub(crate) fn id(&self) -> &'static str {
        self.operation.get("operationId").and_then(Value::as_str).unwrap()
    }

    /// The schema of what it takes.
    pub(crate) fn body(&self) -> Option<&'static Object> {
        self.operation.get("requestBody").map(schema_of)
    }

    /// The schema of what it answers with this status; none for an empty body.
    pub(crate) fn answer(&self, status: u16) -> Option<&'static Object> {
        let class = if status < 500 { "4XX" } else { "5XX" };
        let responses = self.operation.get("responses").unwrap();
        let exact = responses.get(&[status.to_string().as_str()]);
        let response = exact.or_else(|| responses.get(&[class]).filter(|_| status >= 400));
        response.filter(|response| response.get(&["content"]).is_some()).map(schema_of)
    }

    /// Whether it is ever answered with anything but a refusal.
    pub(crate) fn succeeds(&self) -> bool {
        let responses = self.operation.get("responses").unwrap();
        responses.get(&["200"]).or_else(|| responses.get(&["204"])).is_some()
    }
}

fn schema_of(content: &'static Value) -> &'static Object {
    let media = content.get(&["content"]).and_then(Value::as_object).and_then(|all| all.iter().next()).unwrap().1;
    media.get(&["schema"]).and_then(Value::as_object).unwrap()
}

pub(crate) fn document() -> &'static Object {
    static DOCUMENT: OnceLock<Object> = OnceLock::new();
    DOCUMENT.get_or_init(openapi::document)
}

/// Every operation at every path.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (path, item) in document().get("paths").and_then(Value::as_object).unwrap().iter() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            rows.push(Row { path, method: method.to_uppercase(), operation: operation.as_object().unwrap() });
        }
    }
    rows
}

/// The rows of the vault, or those of the attestation service.
pub(crate) fn rows_of(vault: bool) -> Vec<Row> {
    let of_vault =
        |row: &Row| ["/keys", "/deletedkeys", "/rng", "/x-skerry"].iter().any(|first| row.path.starts_with(first));
    rows().into_iter().filter(|row| of_vault(row) == vault).collect()
}

/// A component by its reference, or the schema itself.
pub(crate) fn resolved(schema: &'static Object) -> &'static Object {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let names: Vec<&str> = reference.split('/').skip(2).collect();
            document().get("components").and_then(|all| all.get(&names)).and_then(Value::as_object).unwrap()
        }
        None => schema,
    }
}

/// Why a value is not as its schema says: the place and the reason. Members that the schema does not have are a reason: what
/// is answered is described whole.
pub(crate) fn fault(schema: &'static Object, value: &Value) -> Option<String> {
    let schema = resolved(schema);
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let faults: Vec<_> = any.iter().map(|one| fault(one.as_object().unwrap(), value)).collect();
        return if faults.iter().any(Option::is_none) { None } else { faults.into_iter().flatten().next() };
    }
    let wrong = || Some(format!("{} is not {}", value.to_json(), schema.to_json()));
    match schema.get("type").and_then(Value::as_str).unwrap() {
        "null" if value.is_null() => None,
        "boolean" if value.as_bool().is_some() => None,
        "integer" if value.as_u64().is_some() => None,
        "string" => {
            let Some(text) = value.as_str() else { return wrong() };
            let words = schema.get("enum").and_then(Value::as_array);
            let known = words.is_none_or(|words| words.iter().any(|word| word.as_str() == Some(text)));
            let octets = schema.contains("contentEncoding");
            if known && (!octets || b64::decode(text).is_ok()) { None } else { wrong() }
        }
        "array" => {
            let items = schema.get("items").and_then(Value::as_object).unwrap();
            let Some(values) = value.as_array() else { return wrong() };
            values.iter().find_map(|value| fault(items, value))
        }
        "object" => match value.as_object() {
            Some(object) => fault_of_members(schema, object),
            None => wrong(),
        },
        _ => wrong(),
    }
}

fn fault_of_members(schema: &'static Object, object: &Object) -> Option<String> {
    let none = Object::new().into();
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").unwrap_or(&none).as_array().unwrap_or_default();
    if let Some(missing) = required.iter().filter_map(Value::as_str).find(|name| !object.contains(name)) {
        return Some(format!("{missing} is missing"));
    }
    object.iter().find_map(|(name, value)| {
        let own = properties.and_then(|properties| properties.get(name));
        match own.or_else(|| schema.get("additionalProperties")).and_then(Value::as_object) {
            Some(own) => fault(own, value).map(|fault| format!("{name}: {fault}")),
            None => Some(format!("{name} is not described")),
        }
    })
}

/// The document in docs is the one that the code makes: `skerry openapi > docs/openapi.json` writes it.
#[test]
fn what_is_published_is_what_is_made() {
    let published = include_str!("../../../../docs/openapi.json");
    assert!(published == openapi::published(), "docs/openapi.json is old: skerry openapi > docs/openapi.json");
}

/// Each operation has a name of its own, each reference leads somewhere, and each component is used.
#[test]
fn names_and_references_hold() {
    let ids: BTreeSet<&str> = rows().iter().map(Row::id).collect();
    assert_eq!(ids.len(), rows().len());
    assert!(rows_of(true).len() >= 39 && rows_of(false).len() >= 29, "{}", rows().len());
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        for (name, member) in value.as_object().into_iter().flat_map(Object::iter) {
            match member.as_str().filter(|_| name == "$ref") {
                Some(reference) => drop(found.insert(reference.to_owned())),
                None => references(member, found),
            }
        }
        value.as_array().unwrap_or_default().iter().for_each(|item| references(item, found));
    }
    let mut found = BTreeSet::new();
    references(&document().clone().into(), &mut found);
    let mut components = BTreeSet::new();
    for kind in ["parameters", "schemas"] {
        let all = document().get("components").and_then(|all| all.get(&[kind])).and_then(Value::as_object).unwrap();
        components.extend(all.iter().map(|(name, _)| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(found, components);
}

/// Every member that the vault's reader looks for is described for some request, under that name.
#[test]
fn members_that_are_read_are_described() {
    let source = include_str!("../../src/vault/wire.rs").split("#[cfg(test)]").next().unwrap();
    let mut described = BTreeSet::new();
    fn names(schema: &'static Object, described: &mut BTreeSet<&'static str>) {
        let schema = resolved(schema);
        let either = schema.get("anyOf").and_then(Value::as_array).unwrap_or_default();
        either.iter().filter_map(Value::as_object).for_each(|one| names(one, described));
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Object::iter) {
            described.insert(name);
            names(member.as_object().unwrap(), described);
        }
        schema.get("items").and_then(Value::as_object).into_iter().for_each(|items| names(items, described));
    }
    rows_of(true).iter().filter_map(Row::body).for_each(|schema| names(schema, &mut described));
    let mut read = BTreeSet::new();
    for reader in [
        ".text(\"",
        ".flag(\"",
        ".number(\"",
        ".octets(\"",
        ".members(\"",
        ".take(\"",
        ".any_case(\"",
        ".get(\"",
        "period(\"",
    ] {
        read.extend(source.split(reader).skip(1).map(|rest| rest.split('"').next().unwrap()));
    }
    assert!(read.len() > 20, "{read:?}");
    let missing: Vec<_> = read.iter().filter(|name| !described.contains(*name) && !ELSEWHERE.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are read and not described");
}

/// Members of a key transfer blob, which is octets to a request; and one that is looked for in order to be refused.
const ELSEWHERE: [&str; 4] = ["ciphertext", "header", "schema_version", "external_key"];
