//! Calendar times in certificates and CRLs (RFC 5280, 4.1.2.5).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::DateTime;

use crate::SimulatorError;
use crate::encode::tlv;

/// Last year written as UTCTime (RFC 5280, 4.1.2.5).
const UTC_TIME_YEAR_MAX: u16 = 2049;

/// `time` as UTCTime, or GeneralizedTime from 2050 on.
pub(crate) fn time(time: SystemTime) -> Result<Vec<u8>, SimulatorError> {
    let at = calendar(time)?;
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", at.month(), at.day(), at.hour(), at.minutes(), at.seconds());
    if at.year() > UTC_TIME_YEAR_MAX {
        return Ok(tlv(0x18, format!("{:04}{rest}", at.year()).as_bytes()));
    }
    Ok(tlv(0x17, format!("{:02}{rest}", at.year() % 100).as_bytes()))
}

/// The same day and time `years` later; 29 February becomes the 28th.
pub(crate) fn years_later(time: SystemTime, years: u16) -> Result<SystemTime, SimulatorError> {
    let at = calendar(time)?;
    let day = if (at.month(), at.day()) == (2, 29) { 28 } else { at.day() };
    let year = at.year().checked_add(years).ok_or(SimulatorError::TimeOutOfRange)?;
    DateTime::new(year, at.month(), day, at.hour(), at.minutes(), at.seconds())
        .map(|later| later.to_system_time())
        .map_err(|_| SimulatorError::TimeOutOfRange)
}

/// Whole seconds since 1970.
pub(crate) fn unix_secs(time: SystemTime) -> Result<u64, SimulatorError> {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(|_| SimulatorError::TimeOutOfRange)
}

/// The time `secs` after 1970.
pub(crate) fn from_unix_secs(secs: u64) -> Result<SystemTime, SimulatorError> {
    UNIX_EPOCH.checked_add(Duration::from_secs(secs)).ok_or(SimulatorError::TimeOutOfRange)
}

fn calendar(time: SystemTime) -> Result<DateTime, SimulatorError> {
    DateTime::from_unix_duration(Duration::from_secs(unix_secs(time)?)).map_err(|_| SimulatorError::TimeOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times cross from UTCTime to GeneralizedTime at 2050, and a leap day stays in February.
    #[test]
    fn times_are_written_as_rfc_5280_says() {
        let at = from_unix_secs(1_709_164_800).unwrap();
        assert_eq!(time(at).unwrap(), [b"\x17\x0d".as_slice(), b"240229000000Z"].concat());
        let later = years_later(at, 7).unwrap();
        assert_eq!(time(later).unwrap(), [b"\x17\x0d".as_slice(), b"310228000000Z"].concat());
        let later = years_later(at, 26).unwrap();
        assert_eq!(time(later).unwrap(), [b"\x18\x0f".as_slice(), b"20500228000000Z"].concat());
    }

    /// What X.509 cannot say is refused.
    #[test]
    fn times_out_of_range_are_refused() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(time(before), Err(SimulatorError::TimeOutOfRange));
        let late = from_unix_secs(253_402_300_799).unwrap();
        assert_eq!(years_later(late, 1), Err(SimulatorError::TimeOutOfRange));
        assert_eq!(from_unix_secs(u64::MAX), Err(SimulatorError::TimeOutOfRange));
    }
}
