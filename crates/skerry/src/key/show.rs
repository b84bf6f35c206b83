//! Keys as tables and as JSON. The members of the JSON are stable: one that has no value is null, and new ones may come.

use std::time::{Duration, UNIX_EPOCH};

use der::DateTime;
use skerry_client::vault::{Attributes, Deletion, Key, ReleasePolicy, RotationPolicy, Row, Tags, Trigger};
use skerry_jose::json::{Object, Value};

use crate::edge::{say, table};
use crate::remote::shown;

/// A key, and when it was deleted if it was.
pub(super) fn key(json: bool, key: &Key, deletion: Option<&Deletion>) -> anyhow::Result<()> {
    if json {
        return say(&key_json(key, deletion).to_json());
    }
    let mut table = table(["", "value"]);
    for (name, value) in key_rows(key, deletion) {
        table.add_row([name, &shown(&value)]);
    }
    say(&table.to_string())
}

/// What of a key has a value, each in a row.
fn key_rows(key: &Key, deletion: Option<&Deletion>) -> Vec<(&'static str, String)> {
    let attributes = &key.attributes;
    let mut rows = vec![("key", key.kid.clone()), ("type", kind(key)), ("operations", key.key_ops.join(", "))];
    rows.push(("enabled", attributes.enabled.map(yes).unwrap_or_default()));
    for (name, time) in [
        ("created", attributes.created),
        ("updated", attributes.updated),
        ("not before", attributes.not_before),
        ("expires", attributes.expires),
        ("deleted", deletion.and_then(|deletion| deletion.deleted)),
        ("purged on", deletion.and_then(|deletion| deletion.purge)),
        ("tokens from", attributes.min_iat),
    ] {
        rows.extend(time.map(|secs| (name, date(secs))));
    }
    rows.push(("exportable", yes(attributes.exportable)));
    rows.extend(attributes.hsm_platform.clone().map(|platform| ("HSM platform", platform)));
    let recovery = attributes.recovery_level.clone().map(|level| match attributes.recoverable_days {
        Some(days) => format!("{level}, {days} days"),
        None => level,
    });
    rows.extend(recovery.map(|recovery| ("recovery", recovery)));
    rows.extend(key.tags.iter().map(|(name, value)| ("tag", format!("{name} = {value}"))));
    if let Some(policy) = &key.policy {
        rows.push(("release policy", policy_text(policy)));
        rows.push(("immutable", yes(policy.immutable)));
    }
    rows
}

/// The type with what tells its size.
fn kind(key: &Key) -> String {
    let text = |name| key.public.get(name).and_then(Value::as_str);
    let bits = text("n").map(|n| {
        let octets = skerry_jose::b64::decode_lenient(n).unwrap_or_default();
        format!("{}", octets.iter().skip_while(|octet| **octet == 0).count() * 8)
    });
    let size = text("crv").or(text("alg")).map(str::to_owned).or(bits);
    size.map_or(key.kty.clone(), |size| format!("{} {size}", key.kty))
}

fn policy_text(policy: &ReleasePolicy) -> String {
    String::from_utf8_lossy(&policy.data).into_owned()
}

fn key_json(key: &Key, deletion: Option<&Deletion>) -> Object {
    let attributes = &key.attributes;
    let policy = key
        .policy
        .as_ref()
        .map(|policy| Object::new().with("text", policy_text(policy)).with("immutable", policy.immutable));
    let object = Object::new()
        .with("kid", key.kid.as_str())
        .with("name", key.name.as_str())
        .with("version", key.version.as_str())
        .with("kty", key.kty.as_str())
        .with("key_ops", key.key_ops.clone())
        .with("public", key.public.clone());
    with_attributes(object, attributes, &key.tags, deletion)
        .with("hsm_platform", or_null(attributes.hsm_platform.as_deref()))
        .with("recovery_level", or_null(attributes.recovery_level.as_deref()))
        .with("recoverable_days", or_null(attributes.recoverable_days))
        .with("min_iat", or_null(attributes.min_iat))
        .with("release_policy", or_null(policy))
}

fn with_attributes(object: Object, attributes: &Attributes, tags: &Tags, deletion: Option<&Deletion>) -> Object {
    let tags = tags.iter().fold(Object::new(), |tags, (name, value)| tags.with(name, value.as_str()));
    object
        .with("enabled", or_null(attributes.enabled))
        .with("created", or_null(attributes.created))
        .with("updated", or_null(attributes.updated))
        .with("not_before", or_null(attributes.not_before))
        .with("expires", or_null(attributes.expires))
        .with("exportable", attributes.exportable)
        .with("tags", tags)
        .with("deleted", or_null(deletion.and_then(|deletion| deletion.deleted)))
        .with("purge", or_null(deletion.and_then(|deletion| deletion.purge)))
}

/// Rows of a list as they come. Those of one table are kept until it is full, so that its columns fit all of them.
pub(super) struct Listed {
    json: bool,
    rows: Vec<Row>,
    count: usize,
}

impl Listed {
    pub(super) fn new(json: bool) -> Listed {
        Listed { json, rows: Vec::new(), count: 0 }
    }

    /// Takes a page.
    pub(super) fn page(&mut self, page: Vec<Row>) -> anyhow::Result<()> {
        self.count += page.len();
        if self.json {
            return page.iter().try_for_each(|row| say(&row_json(row).to_json()));
        }
        self.rows.extend(page);
        if self.rows.len() >= TABLE_ROWS { self.print() } else { Ok(()) }
    }

    /// The end of the list.
    pub(super) fn end(mut self, what: &str) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        if !self.rows.is_empty() {
            self.print()?;
        }
        let plural = if self.count == 1 { "" } else { "s" };
        say(&format!("{} {what}{plural}", self.count))
    }

    fn print(&mut self) -> anyhow::Result<()> {
        let deleted = self.rows.iter().any(|row| row.deletion.is_some());
        let mut table = match deleted {
            true => table(["name", "enabled", "created", "expires", "purged on", "tags"]),
            false => table(["name", "enabled", "created", "expires", "tags"]),
        };
        for row in self.rows.drain(..) {
            let name = row.version.as_ref().map_or(row.name.clone(), |version| format!("{}/{version}", row.name));
            let tags: Vec<String> = row.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (attributes, time) = (&row.attributes, |secs: Option<u64>| secs.map(date).unwrap_or_default());
            let mut cells = vec![
                name,
                attributes.enabled.map(yes).unwrap_or_default(),
                time(attributes.created),
                time(attributes.expires),
            ];
            cells.extend(deleted.then(|| time(row.deletion.and_then(|deletion| deletion.purge))));
            cells.push(tags.join(" "));
            table.add_row(cells.iter().map(|cell| shown(cell)));
        }
        say(&table.to_string())
    }
}

fn row_json(row: &Row) -> Object {
    let object = Object::new()
        .with("kid", row.kid.as_str())
        .with("name", row.name.as_str())
        .with("version", or_null(row.version.as_deref()));
    with_attributes(object, &row.attributes, &row.tags, row.deletion.as_ref())
}

/// A rotation policy.
pub(super) fn rotation(json: bool, policy: &RotationPolicy) -> anyhow::Result<()> {
    let parts = policy.actions.iter().map(|action| match &action.trigger {
        Trigger::AfterCreate(period) => (&action.action, "after_create", period),
        Trigger::BeforeExpiry(period) => (&action.action, "before_expiry", period),
    });
    if json {
        let action = |(action, trigger, period): (&String, &str, &String)| {
            Object::new().with("action", action.as_str()).with("trigger", trigger).with("period", period.as_str())
        };
        let object = Object::new()
            .with("expires_in", or_null(policy.lifetime.as_deref()))
            .with("actions", parts.map(action).collect::<Vec<_>>())
            .with("created", or_null(policy.created))
            .with("updated", or_null(policy.updated));
        return say(&object.to_json());
    }
    let mut table = table(["", "value"]);
    table.add_row(["versions are good for", &policy.lifetime.as_deref().map_or("ever".to_owned(), shown)]);
    for (action, trigger, period) in parts {
        table.add_row([shown(action), format!("{} {}", shown(period), trigger.replace('_', " "))]);
    }
    say(&table.to_string())
}

/// One line for people, one object for scripts.
pub(super) fn done(json: bool, words: &str, object: Object) -> anyhow::Result<()> {
    say(&if json { object.to_json() } else { shown(words) })
}

pub(crate) fn or_null(value: Option<impl Into<Value>>) -> Value {
    value.map_or(Value::Null, Into::into)
}

/// Seconds since the epoch as RFC 3339 has them, or as they are where they are no date.
pub(crate) fn date(secs: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(secs));
    let date = time.and_then(|time| DateTime::from_system_time(time).ok());
    date.map_or(secs.to_string(), |date| date.to_string())
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// Longer lists are several tables, each printed when it is full.
const TABLE_ROWS: usize = 1_000;
