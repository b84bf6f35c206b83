//! The OpenAPI 3.1 description of the vault's and the attestation service's surface.
//!
//! Paths, methods and the words of closed sets come from the tables that the server itself routes and reads by, so that
//! they cannot differ from it; members of bodies are written here, and tests hold them against what is read and answered.
//! Clients spell paths in more ways than a description can: the canonical one is here.
//!
//! Not here: token service and instance metadata, which are other people's protocols.

mod schemas;

use skerry_jose::json::{Object, Value};

use crate::{attestation, vault};

pub(crate) use schemas::{
    Schema, array, flag, integer, object, octets, one_of, or_null, reference, required, text, texts_by_name,
};

/// One operation at one path: what is said of it beside its path and method.
pub(crate) struct Described {
    /// A name that no other operation has.
    pub(crate) id: String,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// The schema of what it takes; none for no body.
    pub(crate) body: Option<&'static str>,
    /// The status of success and the schema that comes with it; none for nothing.
    pub(crate) success: Option<(u16, Option<&'static str>)>,
    /// Parameters of the query, by their names among the components.
    pub(crate) parameters: &'static [&'static str],
    /// The schema of its errors.
    pub(crate) error: &'static str,
    /// Whether it takes a bearer token.
    pub(crate) authorized: bool,
}

/// A path as a template, a method in lower case, and the operation there.
pub(crate) type Row = (String, String, Described);

/// The document.
pub fn document() -> Object {
    let rows = vault::describe::rows().into_iter().chain(attestation::describe::rows());
    let mut paths = Object::new();
    for (path, method, described) in rows {
        if !paths.contains(&path) {
            paths.insert(path.as_str(), path_item(&path));
        }
        if let Some(item) = paths.get_mut(&path).and_then(Value::as_object_mut) {
            item.insert(method, operation(&described));
        }
    }
    Object::new()
        .with("openapi", "3.1.0")
        .with(
            "info",
            Object::new()
                .with("title", "Skerry")
                .with("version", env!("CARGO_PKG_VERSION"))
                .with("description", DESCRIPTION),
        )
        .with("paths", paths)
        .with("components", components())
}

/// The document as it is published: indented, and with a line feed at its end.
pub fn published() -> String {
    let mut out = String::new();
    indent(&document().into(), 0, &mut out);
    out.push('\n');
    out
}

const DESCRIPTION: &str = "Keys of a vault (as Azure Key Vault and Managed HSM), and attestation (as Microsoft Azure Attestation). \
    Members that are not known are ignored; null is absent. A version may be left out of a path or be an empty segment.";

fn path_item(path: &str) -> Object {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameters: Vec<Object> = names.map(|name| reference_to("parameters", name)).collect();
    if parameters.is_empty() { Object::new() } else { Object::new().with("parameters", parameters) }
}

fn operation(described: &Described) -> Object {
    let Described { id, summary, body, success, parameters, error, authorized } = described;
    let mut operation = Object::new().with("operationId", id.as_str()).with("summary", *summary);
    let parameters: Vec<Object> = parameters.iter().map(|name| reference_to("parameters", name)).collect();
    operation.insert("parameters", parameters);
    if let Some(schema) = body {
        operation.insert("requestBody", content(schema).with("required", true));
    }
    let mut responses = Object::new();
    if let Some((status, schema)) = success {
        let response = schema.map_or_else(Object::new, content);
        responses.insert(status.to_string(), response.with("description", "success"));
    }
    for status in ["4XX", "5XX"] {
        responses.insert(status, content(error).with("description", "refused"));
    }
    let security = if *authorized { vec![Object::new().with("bearer", Vec::<Object>::new())] } else { Vec::new() };
    operation.with("responses", responses).with("security", security)
}

fn content(schema: &str) -> Object {
    let media = Object::new().with("schema", reference_to("schemas", schema));
    let kind = if TEXTS.contains(&schema) { "text/plain" } else { "application/json" };
    Object::new().with("content", Object::new().with(kind, media))
}

/// Schemas of bodies that are not JSON.
const TEXTS: [&str; 1] = ["PolicyDocument"];

fn reference_to(kind: &str, name: &str) -> Object {
    Object::new().with("$ref", format!("#/components/{kind}/{name}"))
}

fn components() -> Object {
    let schemes = Object::new().with("bearer", Object::new().with("type", "http").with("scheme", "bearer"));
    let all = vault::describe::schemas().into_iter().chain(attestation::describe::schemas());
    let schemas = all.fold(Object::new(), |all, (name, schema)| all.with(name, schema.into_object()));
    let named = vault::describe::parameters().into_iter().chain(attestation::describe::parameters());
    let parameters = named.fold(Object::new(), |all, (name, parameter)| all.with(name, parameter));
    Object::new().with("parameters", parameters).with("schemas", schemas).with("securitySchemes", schemes)
}

/// A parameter of a path or a query.
pub(crate) fn parameter(name: &str, place: &str, required: bool, schema: Schema) -> Object {
    Object::new().with("name", name).with("in", place).with("required", required).with("schema", schema.into_object())
}

fn indent(value: &Value, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(object) if !object.is_empty() => {
            out.push('{');
            for (at, (name, member)) in object.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(depth.saturating_add(1), out);
                Value::from(name).write_json(out);
                out.push_str(": ");
                indent(member, depth.saturating_add(1), out);
            }
            line(depth, out);
            out.push('}');
        }
        Value::Array(items) if items.iter().any(|item| item.as_object().is_some()) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(depth.saturating_add(1), out);
                indent(item, depth.saturating_add(1), out);
            }
            line(depth, out);
            out.push(']');
        }
        other => other.write_json(out),
    }
}
