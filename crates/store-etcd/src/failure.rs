//! What became of a request that was not answered as it should be.
//!
//! Told apart by what may have happened to it, since a commit is never sent again unless nothing can have come of it.

use skerry_store::StoreError;
use std::error::Error as _;
use tonic::{Code, ConnectError, Status};

/// What became of a request that was not answered as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nothing came of it, and it may be sent again.
    NotDone(StoreError),
    /// Something may have come of it, or may yet.
    Lost(StoreError),
    /// Nothing came of it, and nothing would.
    Refused(StoreError),
    /// The revision asked for is compacted.
    Compacted,
    /// The revision asked for is yet to come.
    Ahead,
    /// The answer is longer than is taken.
    TooLong,
}

/// What became of a request with this status. etcd's own statuses say what they are in words (`rpctypes/error.go`).
pub(crate) fn classify(status: &Status) -> Failure {
    let message = status.message();
    if let Some((_, failure)) = SAID.iter().find(|(said, _)| message.contains(said)) {
        return failure();
    }
    if let Some(why) = untrusted(status) {
        return Failure::NotDone(why);
    }
    let detail = || message.to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Failure::Refused(StoreError::Denied { detail: detail() }),
        Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound | Code::Unimplemented => {
            Failure::Refused(StoreError::Refused { detail: detail() })
        }
        _ if was_not_sent(status) => Failure::NotDone(StoreError::Unreachable),
        _ => Failure::Lost(StoreError::Unreachable),
    }
}

type Said = (&'static str, fn() -> Failure);

/// What a server says, first match first.
const SAID: &[Said] = &[
    ("etcdserver: no leader", || Failure::NotDone(StoreError::NoQuorum)),
    ("etcdserver: too many requests", || Failure::NotDone(StoreError::Unreachable)),
    ("etcdserver: leader changed", || Failure::Lost(StoreError::NoQuorum)),
    ("etcdserver: request timed out", || Failure::Lost(StoreError::NoQuorum)),
    ("mvcc: database space exceeded", || Failure::Refused(StoreError::Full)),
    ("mvcc: required revision has been compacted", || Failure::Compacted),
    ("mvcc: required revision is a future revision", || Failure::Ahead),
    ("message length too large", || Failure::TooLong),
    ("etcdserver: user name is empty", || {
        Failure::Refused(StoreError::Denied { detail: "etcdserver: user name is empty".to_owned() })
    }),
];

/// Whether there was no connection to send it on.
fn was_not_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether one side does not trust the other, in rustls' words. A server of TLS 1.3 says so only after its handshake, when
/// something is read.
pub(crate) fn untrusted(error: &dyn std::error::Error) -> Option<StoreError> {
    let detail = chain(error);
    let told = ["received fatal alert", "invalid peer certificate"].iter().any(|said| detail.contains(said));
    told.then_some(StoreError::Denied { detail })
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Whether the next attempt would meet the same.
pub(crate) fn is_final(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unreachable | StoreError::NoQuorum)
}

/// Of two reasons the one that says more.
pub(crate) fn worse(one: Option<StoreError>, other: StoreError) -> StoreError {
    let rank = |error: &StoreError| match error {
        StoreError::Unreachable => 0,
        StoreError::NoQuorum => 1,
        StoreError::Denied { .. } => 2,
        StoreError::ServerVersion { .. } => 3,
        _ => 4,
    };
    match one {
        Some(one) if rank(&one) >= rank(&other) => one,
        _ => other,
    }
}

pub(crate) const NO_ANSWER: &str = "no answer in time";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_server_says_is_told_apart() {
        // A commit goes out again after the first kind alone.
        let of = |code, text: &str| classify(&Status::new(code, text));
        assert_eq!(of(Code::Unavailable, "etcdserver: no leader"), Failure::NotDone(StoreError::NoQuorum));
        assert_eq!(of(Code::Unavailable, "etcdserver: leader changed"), Failure::Lost(StoreError::NoQuorum));
        let text = "etcdserver: request timed out, possibly due to previous leader failure";
        assert_eq!(of(Code::Unavailable, text), Failure::Lost(StoreError::NoQuorum));
        assert_eq!(of(Code::Unavailable, "broken pipe"), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::Unknown, "h2 protocol error"), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::DeadlineExceeded, NO_ANSWER), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"), Failure::Compacted);
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert_eq!(full, Failure::Refused(StoreError::Full));
        let detail = "etcdserver: too many operations in txn request".to_owned();
        assert_eq!(of(Code::InvalidArgument, &detail), Failure::Refused(StoreError::Refused { detail }));
        let denied = of(Code::PermissionDenied, "etcdserver: permission denied");
        assert!(matches!(denied, Failure::Refused(StoreError::Denied { .. })));
    }
}
