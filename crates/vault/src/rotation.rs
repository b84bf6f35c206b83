//! Rotation policies: when a key gets a new version by itself, and how long a version lasts.
//!
//! Azure's rules (key-vault spec 2.2): at most one action to rotate and one to notify; a key vault counts at least seven
//! days, a Managed HSM at least 28 and does not notify. Periods are ISO 8601 durations of years, months, weeks and days;
//! months and years are those of the calendar. The texts that clients gave are kept and repeated.

use crate::signer::VaultKind;

/// A period of whole days, months or years, with the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    text: String,
    months: u32,
    days: u32,
}

/// When an action is due, counted from the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// So long after it was made.
    AfterCreate(Period),
    /// So long before it expires.
    BeforeExpiry(Period),
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A new version is made.
    Rotate,
    /// Somebody is told; nothing here does it yet.
    Notify,
}

/// A rotation policy as a request brings it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationInput {
    /// How long a version made by rotation lasts.
    pub lifetime: Option<Period>,
    /// What is due when.
    pub actions: Vec<(Action, Trigger)>,
}

/// A rotation policy. Times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationPolicy {
    /// How long a version made by rotation lasts.
    pub lifetime: Option<Period>,
    /// What is due when.
    pub actions: Vec<(Action, Trigger)>,
    /// When it was first set; none while it is the default.
    pub created: Option<u64>,
    /// When it was last set.
    pub updated: Option<u64>,
}

/// Why a text is no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 duration of years, months, weeks or days, such as P90D or P1Y")]
pub struct NotAPeriod;

/// Why a rotation policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum RotationError {
    #[error("two actions of one type")]
    ActionTwice,
    #[error("a Managed HSM does not notify")]
    NotifyOnManagedHsm,
    #[error("{period} is shorter than the {days_min} days that are the least here")]
    TooShort { period: String, days_min: u32 },
    #[error("timeBeforeExpiry needs an expiryTime")]
    NoLifetime,
    #[error("{trigger} is not less than the lifetime {lifetime}")]
    NotWithinLifetime { trigger: String, lifetime: String },
}

impl Period {
    /// Reads a period. Zero is none.
    pub fn parse(text: &str) -> Result<Period, NotAPeriod> {
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty() && text.len() <= TEXT_LEN_MAX);
        let (mut months, mut days) = (0_u32, 0_u32);
        for (unit, months_each, days_each) in [('Y', 12, 0), ('M', 1, 0), ('W', 0, 7), ('D', 0, 1)] {
            let Some(now) = rest else { return Err(NotAPeriod) };
            let Some((number, after)) = now.split_once(unit) else { continue };
            let canonical = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u32 = number.parse().ok().filter(|_| canonical).ok_or(NotAPeriod)?;
            let add = |sum: u32, each: u32| number.checked_mul(each).and_then(|more| sum.checked_add(more));
            (months, days) = add(months, months_each).zip(add(days, days_each)).ok_or(NotAPeriod)?;
            rest = Some(after);
        }
        let whole = rest == Some("") && months <= MONTHS_MAX && days <= DAYS_MAX && (months, days) != (0, 0);
        if whole { Ok(Period { text: text.to_owned(), months, days }) } else { Err(NotAPeriod) }
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The time so long after another, in seconds since the epoch; a day that a month does not have is its last.
    pub fn after(&self, secs: u64) -> u64 {
        let (days, of_day) = (secs / DAY_SECS, secs % DAY_SECS);
        let days = if self.months == 0 { days } else { add_months(days, self.months) };
        days.saturating_add(u64::from(self.days)).saturating_mul(DAY_SECS).saturating_add(of_day)
    }

    /// The time so long before another.
    pub fn before(&self, secs: u64) -> u64 {
        // Counted from the earlier time: the latest day from which this period reaches no further.
        let (mut low, mut high) = (0, secs);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.after(middle) <= secs { low = middle } else { high = middle - 1 }
        }
        low
    }

    /// Days at the least: months count 28.
    fn days_min(&self) -> u32 {
        self.months.saturating_mul(28).saturating_add(self.days)
    }

    /// Days by a month of 30, by which two periods are compared.
    fn nominal_days(&self) -> u32 {
        (self.months / 12)
            .saturating_mul(365)
            .saturating_add((self.months % 12).saturating_mul(30))
            .saturating_add(self.days)
    }
}

impl RotationPolicy {
    /// What a key has that nobody set a policy for: on a key vault somebody is told 30 days before it expires.
    pub fn unset(kind: VaultKind) -> RotationPolicy {
        RotationPolicy { actions: default_actions(kind), ..RotationPolicy::default() }
    }

    /// When the newest version, made and expiring then, is due to be replaced; in seconds since the epoch.
    pub fn rotates_at(&self, created: u64, expires: Option<u64>) -> Option<u64> {
        let rotates = self.actions.iter().find(|(action, _)| *action == Action::Rotate);
        match &rotates?.1 {
            Trigger::AfterCreate(period) => Some(period.after(created)),
            Trigger::BeforeExpiry(period) => expires.map(|expires| period.before(expires)),
        }
    }
}

/// The policy once it is set to this. `now` in seconds since the epoch.
pub fn set(
    kind: VaultKind,
    before: Option<&RotationPolicy>,
    input: &RotationInput,
    now: u64,
) -> Result<RotationPolicy, RotationError> {
    let days_min = if kind == VaultKind::ManagedHsm { HSM_DAYS_MIN } else { VAULT_DAYS_MIN };
    let too_short = |period: &Period| RotationError::TooShort { period: period.text.clone(), days_min };
    if let Some(short) = input.lifetime.iter().find(|period| period.days_min() < days_min) {
        return Err(too_short(short));
    }
    let defaults = default_actions(kind);
    for (index, (action, trigger)) in input.actions.iter().enumerate() {
        if input.actions.iter().take(index).any(|(other, _)| other == action) {
            return Err(RotationError::ActionTwice);
        }
        if *action == Action::Notify && kind == VaultKind::ManagedHsm {
            return Err(RotationError::NotifyOnManagedHsm);
        }
        let (Trigger::AfterCreate(period) | Trigger::BeforeExpiry(period)) = trigger;
        if period.days_min() < days_min && !matches!((kind, trigger), (VaultKind::ManagedHsm, Trigger::BeforeExpiry(_)))
        {
            return Err(too_short(period));
        }
        match &input.lifetime {
            None if matches!(trigger, Trigger::BeforeExpiry(_)) && *action == Action::Rotate => {
                return Err(RotationError::NoLifetime);
            }
            // What a key vault adds to a policy it takes back, whatever the lifetime: clients send what they were given.
            _ if defaults.contains(&(*action, trigger.clone())) => {}
            Some(lifetime) if period.nominal_days() >= lifetime.nominal_days() => {
                let (trigger, lifetime) = (period.text.clone(), lifetime.text.clone());
                return Err(RotationError::NotWithinLifetime { trigger, lifetime });
            }
            _ => {}
        }
    }
    let mut actions = input.actions.clone();
    // Recorded: a key vault adds the action to notify where a policy has none.
    let missing = |(action, _): &(Action, Trigger)| !input.actions.iter().any(|(own, _)| own == action);
    actions.extend(defaults.into_iter().filter(missing));
    let created = before.and_then(|policy| policy.created).unwrap_or(now);
    Ok(RotationPolicy { lifetime: input.lifetime.clone(), actions, created: Some(created), updated: Some(now) })
}

fn default_actions(kind: VaultKind) -> Vec<(Action, Trigger)> {
    match (kind, Period::parse("P30D")) {
        (VaultKind::Standard | VaultKind::Premium, Ok(period)) => {
            vec![(Action::Notify, Trigger::BeforeExpiry(period))]
        }
        _ => Vec::new(),
    }
}

/// The day so many months after another, both counted from 1970-01-01 (proleptic Gregorian calendar).
fn add_months(days: u64, months: u32) -> u64 {
    let (year, month, day) = date_of(days);
    let total = year.saturating_mul(12).saturating_add(month - 1).saturating_add(u64::from(months));
    let (year, month) = (total / 12, total % 12 + 1);
    days_of(year, month, day.min(month_len(year, month)))
}

fn month_len(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days, for days from 1970 on.
fn date_of(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(EPOCH_SHIFT_DAYS);
    let (era, of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The same paper, days_from_civil.
fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * ERA_DAYS + of_era).saturating_sub(EPOCH_SHIFT_DAYS)
}

const DAY_SECS: u64 = 86_400;
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_SHIFT_DAYS: u64 = 719_468;
/// Longest text of a period: P99Y12M99W9999D is longer than any that makes sense.
const TEXT_LEN_MAX: usize = 20;
/// A hundred years.
const MONTHS_MAX: u32 = 1_200;
const DAYS_MAX: u32 = 36_525;
/// Azure documents seven days for a key vault.
const VAULT_DAYS_MIN: u32 = 7;
/// Azure documents 28 days for a Managed HSM.
const HSM_DAYS_MIN: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    fn secs(year: u64, month: u64, day: u64) -> u64 {
        days_of(year, month, day) * DAY_SECS + 3_600
    }

    /// Periods are of whole days and up, in the order of ISO 8601; nothing else is one.
    #[test]
    fn periods_are_read_strictly() {
        for good in ["P1D", "P90D", "P2W", "P6M", "P1Y", "P1Y2M3W4D", "P07D"] {
            assert_eq!(period(good).as_str(), good);
        }
        for bad in
            ["", "P", "90D", "P90", "PD", "P-1D", "P+1D", "P1.5Y", "PT1H", "P1DT1H", "p1d", "P1D1Y", "P0D", " P1D"]
        {
            assert_eq!(Period::parse(bad), Err(NotAPeriod), "{bad:?}");
        }
        assert_eq!(Period::parse("P99999999999Y"), Err(NotAPeriod));
        assert_eq!(Period::parse("P101Y"), Err(NotAPeriod));
    }

    /// Months and years are those of the calendar, the end of a month stays within it, and the time of day is kept.
    #[test]
    fn periods_follow_the_calendar() {
        for (text, from, to) in [
            ("P90D", (2026, 11, 25), (2027, 2, 23)),
            ("P1M", (2027, 1, 31), (2027, 2, 28)),
            ("P1M", (2028, 1, 31), (2028, 2, 29)),
            ("P1Y", (2028, 2, 29), (2029, 2, 28)),
            ("P14M", (2026, 12, 1), (2028, 2, 1)),
            ("P2W", (1999, 12, 25), (2000, 1, 8)),
        ] {
            let (from, to) = (secs(from.0, from.1, from.2), secs(to.0, to.1, to.2));
            assert_eq!(period(text).after(from), to, "{text}");
        }
        assert_eq!(period("P30D").before(secs(2027, 1, 31)), secs(2027, 1, 1));
        let month = period("P1M");
        for day in 0..800 {
            let at = secs(2027, 1, 1) + day * DAY_SECS;
            assert!(month.after(month.before(at)) <= at && month.after(month.before(at) + 1) > at, "{day}");
        }
    }

    /// The calendar agrees with itself over four centuries.
    #[test]
    fn days_and_dates_are_inverse() {
        for days in 0..ERA_DAYS {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=month_len(year, month)).contains(&day));
        }
    }

    /// Each rule of Azure's has its refusal.
    #[test]
    fn policies_are_checked() {
        let rotate =
            |trigger| RotationInput { lifetime: Some(period("P90D")), actions: vec![(Action::Rotate, trigger)] };
        let of_vault = |input: &RotationInput| set(VaultKind::Premium, None, input, 5);
        let of_hsm = |input: &RotationInput| set(VaultKind::ManagedHsm, None, input, 5);
        let good = rotate(Trigger::BeforeExpiry(period("P30D")));
        let set_policy = of_vault(&good).unwrap();
        assert_eq!(set_policy.actions.len(), 2, "the action to notify is added");
        assert_eq!((set_policy.created, set_policy.updated), (Some(5), Some(5)));
        let again = set(VaultKind::Premium, Some(&set_policy), &good, 9).unwrap();
        assert_eq!((again.created, again.updated), (Some(5), Some(9)));
        assert_eq!(of_hsm(&good).unwrap().actions.len(), 1);
        let twice = RotationInput { actions: [good.actions.clone(), good.actions.clone()].concat(), ..good.clone() };
        assert_eq!(of_vault(&twice), Err(RotationError::ActionTwice));
        let notify = (Action::Notify, Trigger::BeforeExpiry(period("P30D")));
        let notify = RotationInput { lifetime: Some(period("P90D")), actions: vec![notify] };
        assert!(of_vault(&notify).is_ok());
        assert_eq!(of_hsm(&notify), Err(RotationError::NotifyOnManagedHsm));
        let short = rotate(Trigger::AfterCreate(period("P6D")));
        assert_eq!(of_vault(&short), Err(RotationError::TooShort { period: "P6D".into(), days_min: 7 }));
        let short = rotate(Trigger::AfterCreate(period("P27D")));
        assert_eq!(of_hsm(&short), Err(RotationError::TooShort { period: "P27D".into(), days_min: 28 }));
        assert!(of_vault(&short).is_ok());
        let endless = RotationInput { lifetime: None, ..good.clone() };
        assert_eq!(of_vault(&endless), Err(RotationError::NoLifetime));
        let long = rotate(Trigger::AfterCreate(period("P3M")));
        let expected = RotationError::NotWithinLifetime { trigger: "P3M".into(), lifetime: "P90D".into() };
        assert_eq!(of_vault(&long), Err(expected));
        let brief = RotationInput { lifetime: Some(period("P28D")), actions: Vec::new() };
        let given = of_vault(&brief).unwrap();
        assert_eq!(given.actions.len(), 1);
        let back = RotationInput { actions: given.actions.clone(), ..brief };
        assert_eq!(of_vault(&back), Ok(given), "what was given is taken back");
    }

    /// Rotation is due so long after the newest version was made, or so long before it expires.
    #[test]
    fn rotation_is_due() {
        let policy = |trigger| RotationPolicy { actions: vec![(Action::Rotate, trigger)], ..RotationPolicy::default() };
        let made = secs(2026, 1, 1);
        let after = policy(Trigger::AfterCreate(period("P1M")));
        assert_eq!(after.rotates_at(made, None), Some(secs(2026, 2, 1)));
        let before = policy(Trigger::BeforeExpiry(period("P30D")));
        assert_eq!(before.rotates_at(made, Some(secs(2026, 3, 31))), Some(secs(2026, 3, 1)));
        assert_eq!(before.rotates_at(made, None), None);
        assert_eq!(RotationPolicy::unset(VaultKind::Premium).rotates_at(made, Some(made)), None);
    }
}
