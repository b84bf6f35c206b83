//! The time a vector is judged at.

use std::time::{Duration, SystemTime};

use der::DateTime;
use serde_json::Value;

/// `verify_at`, else `verify_at_unix`, else the middle of the certificate's validity, else a fixed day.
pub(super) fn of_vector(vector: &Value) -> Result<SystemTime, String> {
    if let Some(at) = vector.get("verify_at").and_then(Value::as_str) {
        return parse(at);
    }
    if let Some(at) = vector.get("verify_at_unix").and_then(Value::as_u64) {
        return Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
    }
    let validity = ["vek_validity", "vcek_validity"].into_iter().find_map(|name| vector.get(name));
    let bound = |index| validity.and_then(|v| v.get(index)).and_then(Value::as_str);
    match (bound(0), bound(1)) {
        (Some(from), Some(until)) => Ok(middle(parse(from)?, parse(until)?)),
        _ => parse(DEFAULT),
    }
}

fn middle(from: SystemTime, until: SystemTime) -> SystemTime {
    from + until.duration_since(from).unwrap_or_default() / 2
}

/// `2026-03-01T00:00:00Z`, also with a space for `T` and without `Z`.
fn parse(text: &str) -> Result<SystemTime, String> {
    let strict = format!("{}Z", text.trim_end_matches('Z').replacen(' ', "T", 1));
    strict.parse::<DateTime>().map(|time| time.to_system_time()).map_err(|_| format!("{text:?} is no time"))
}

/// For vectors that name no time and no validity.
const DEFAULT: &str = "2026-03-01T00:00:00Z";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(secs: u64) -> Result<SystemTime, String> {
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))
    }

    /// The first of the four sources that is there decides.
    #[test]
    fn the_first_source_decides() {
        let validity = json!(["2024-01-01 00:00:00", "2024-01-03 00:00:00"]);
        let both = json!({"verify_at": "2025-06-25T00:00:00Z", "vek_validity": validity});
        assert_eq!(of_vector(&both), at(1_750_809_600));
        assert_eq!(of_vector(&json!({"verify_at_unix": 5})), at(5));
        assert_eq!(of_vector(&json!({"vek_validity": validity})), at(1_704_153_600));
        assert_eq!(of_vector(&json!({"vcek_validity": validity})), at(1_704_153_600));
        assert_eq!(of_vector(&json!({"vek_validity": [null, null]})), at(1_772_323_200));
        assert_eq!(of_vector(&json!({"verify_at": "tomorrow"})), Err("\"tomorrow\" is no time".to_owned()));
    }
}
