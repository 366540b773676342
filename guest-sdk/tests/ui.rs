//! What the compiler says of signatures: wrong ones are refused in words that help, odd ones that are right compile.
//! `TRYBUILD=overwrite cargo test -p tidemill-sdk --test ui` rewrites the expected words.

#[test]
fn wrong_signatures_are_refused_and_odd_ones_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
