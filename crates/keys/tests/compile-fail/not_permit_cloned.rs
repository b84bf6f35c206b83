// A permit cannot be copied.
use skerry_policy::permit::Permit;

fn copy(permit: &Permit) -> Permit {
    permit.clone()
}

fn main() {
    let _ = copy;
}
