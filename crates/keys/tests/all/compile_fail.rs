//! What cannot be written: forging, copying or reusing a proof, naming or printing a secret.

#[test]
fn proofs_hold() {
    // Each program that would go around a proof is refused by the compiler, beside one that goes the right way.
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile-fail/control.rs");
    cases.compile_fail("tests/compile-fail/not_*.rs");
}
