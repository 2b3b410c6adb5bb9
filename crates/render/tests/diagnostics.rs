//! Findings that only show when a cloud is rendered, drawn as an operator sees
//! them: `tests/diagnostics-render`.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "../../../tests/diagnostics/runner.rs"]
mod runner;

#[test]
fn findings_are_drawn_as_expected() {
    runner::run(&compare::root().join("tests/diagnostics-render"), |source, _| {
        let model = examples::model_of(&source.name, &source.text, &[]);
        render::render(&model).1
    });
}
