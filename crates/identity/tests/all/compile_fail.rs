//! What cannot be written: forging, copying or widening a grant, printing a secret.

#[test]
fn grants_hold() {
    // Each program that would go around a grant is refused by the compiler, beside one that goes the right way.
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile-fail/control.rs");
    cases.compile_fail("tests/compile-fail/not_*.rs");
}
