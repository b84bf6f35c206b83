// A record cannot be copied.
use skerry_audit::Recorded;

fn copy(recorded: &Recorded) -> Recorded {
    recorded.clone()
}

fn main() {
    let _ = copy;
}
