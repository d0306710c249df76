//! The management page in a real browser: each test runs one program of `tests/browser/`.

use leveret_tests::python::Browser;
use leveret_tests::{TestBroker, run_within};

/// Runs a program with the page of a broker of its own, if a browser is found.
fn visit(program: &str) {
    let Some(browser) = Browser::find() else {
        return;
    };
    run_within(Browser::PATIENCE, async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        browser.run(program, &broker).await;
    });
}

#[test]
fn a_person_signs_in_and_out() {
    visit("signs_in.py");
}
