//! The page while the broker does not answer, and after a restart.

use leveret_tests::python::Browser;
use leveret_tests::{TestBroker, run_within};

#[test]
fn the_page_says_since_when_the_broker_does_not_answer_and_recovers() {
    let Some(browser) = Browser::find() else {
        return;
    };
    run_within(Browser::PATIENCE, async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut page = browser.start("is_disconnected.py", &[], &broker);
        page.line("the page waits for a kill", |line| {
            (line == "kill").then_some(())
        })
        .await;
        broker.kill();
        page.line("the page waits for a start", |line| {
            (line == "start").then_some(())
        })
        .await;
        // Where the page looks for it.
        let port = broker.management().rsplit_once(':').expect("a port").1;
        let port = port.to_owned();
        broker.set_environment(vec![("LEVERET_MANAGEMENT_PORT", port.into())]);
        broker.start_again().await;
        page.succeeded_within(Browser::PATIENCE).await;
    });
}
