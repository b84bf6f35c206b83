//! How the story is told: a line per step and a table, or one JSON object.

use skerry_jose::json::{Object, Value};

use crate::edge::{say, table};

/// One attempt that must fail.
pub(crate) struct Refused {
    pub(crate) who: &'static str,
    pub(crate) check: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// Whether the error was exactly the one it must be.
    pub(crate) as_expected: bool,
    /// Whether the same attempt without the fault was released.
    pub(crate) control: bool,
}

/// What has been shown so far.
pub(crate) struct Shown {
    json: bool,
    steps: Vec<Value>,
}

impl Shown {
    pub(crate) fn new(json: bool) -> Shown {
        Shown { json, steps: Vec::new() }
    }

    /// One step of the flow.
    pub(crate) fn step(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        self.steps.push(Value::Object(Object::new().with("step", name).with("text", text)));
        match self.json {
            true => Ok(()),
            false => say(&format!("{:>2}  {name:<10} {text}", self.steps.len())),
        }
    }

    /// The release policy, indented.
    pub(crate) fn policy(&self, policy: &str) -> anyhow::Result<()> {
        match self.json {
            true => Ok(()),
            false => say(&policy.lines().map(|line| format!("               {line}")).collect::<Vec<_>>().join("\n")),
        }
    }

    /// The refusals and the verdict: whether there was one release and every refusal was what it must be.
    pub(crate) fn finish(self, refusals: &[Refused]) -> anyhow::Result<bool> {
        let ok = refusals.iter().all(|refused| refused.as_expected && refused.control);
        match self.json {
            true => say(&json(&self.steps, refusals, ok).to_json())?,
            false => tell(refusals, ok)?,
        }
        Ok(ok)
    }
}

fn tell(refusals: &[Refused], ok: bool) -> anyhow::Result<()> {
    say("\nWho does not get it, and gets it when only that fault is taken away:")?;
    let mut table = table(["who tried", "clause or check", "expected", "seen", "refused", "without the fault"]);
    for refused in refusals {
        table.add_row([
            refused.who,
            &refused.check,
            &refused.expected,
            &refused.seen,
            if refused.as_expected { "yes" } else { "NO" },
            if refused.control { "released" } else { "NOT RELEASED" },
        ]);
    }
    say(&table.to_string())?;
    say(NEXT)?;
    let held = refusals.iter().filter(|refused| refused.as_expected && refused.control).count();
    let verdict = if ok { "ok" } else { "FAILED" };
    say(&format!("demo: {verdict}, 1 release, {held} refusals"))
}

fn json(steps: &[Value], refusals: &[Refused], ok: bool) -> Object {
    let row = |refused: &Refused| {
        Value::Object(
            Object::new()
                .with("who", refused.who)
                .with("check", refused.check.as_str())
                .with("expected", refused.expected.as_str())
                .with("seen", refused.seen.as_str())
                .with("as_expected", refused.as_expected)
                .with("control_released", refused.control),
        )
    };
    Object::new()
        .with("ok", ok)
        .with("releases", 1u64)
        .with("steps", steps.to_vec())
        .with("refusals", refusals.iter().map(row).collect::<Vec<_>>())
}

const NEXT: &str = "
Try next:
  cargo run --release -- evidence show vectors/simulated/milan-v3-debug.report.bin
  cargo run --release -- policy explain --policy examples/policy.json --claims examples/claims.json
  cargo run --release -p skerry-testkit --bin vectors -- vectors/simulated
";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(as_expected: bool, control: bool) -> Refused {
        let text = || "x".to_owned();
        Refused { who: "somebody", check: text(), expected: text(), seen: text(), as_expected, control }
    }

    /// The verdict is no only when something is wrong, and then it is no: another error, or a control that failed.
    #[test]
    fn demo_fails_when_a_refusal_or_its_control_is_not_as_it_must_be() {
        let verdict = |refusals: &[Refused]| Shown::new(true).finish(refusals).unwrap();
        assert!(verdict(&[refused(true, true), refused(true, true)]));
        assert!(!verdict(&[refused(true, true), refused(false, true)]));
        assert!(!verdict(&[refused(true, false), refused(true, true)]));
    }
}
