//! The management page in a real browser: each test runs one program of `tests/browser/`.

mod disconnected;

use leveret_tests::python::Browser;
use leveret_tests::{TestBroker, run_within};

/// Runs a program with the page of a broker of its own, if a browser is found.
fn visit(program: &str, arguments: &[&str]) {
    let Some(browser) = Browser::find() else {
        return;
    };
    run_within(Browser::PATIENCE, async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let process = browser.start(program, arguments, &broker);
        for line in process.succeeded_within(Browser::PATIENCE).await {
            // Measurements: how well a limit was kept.
            println!("{program}: {line}");
        }
    });
}

#[test]
fn a_person_signs_in_and_out() {
    visit("signs_in.py", &[]);
}

#[test]
fn a_queue_is_declared_filled_looked_at_and_purged() {
    visit("declares_and_publishes.py", &[]);
}

#[test]
fn users_permissions_and_limits_are_set_by_forms() {
    visit("administers.py", &[]);
}

#[test]
fn a_connection_is_closed_with_a_reason() {
    visit("closes_connections.py", &[]);
}

#[test]
fn all_that_a_search_finds_is_selected_and_done_to() {
    visit("selects_all_that_are_found.py", &[]);
}

#[test]
fn names_never_become_markup() {
    visit("shows_hostile_names.py", &[]);
}

#[test]
fn values_of_clients_never_become_markup() {
    visit("shows_hostile_values.py", &[]);
}

#[test]
fn a_user_sees_and_is_offered_what_its_tags_and_permissions_allow() {
    visit("respects_tags.py", &[]);
}

#[test]
fn a_queue_is_declared_and_deleted_without_a_mouse() {
    visit("works_by_keyboard.py", &[]);
}

#[test]
fn no_page_has_to_be_moved_sideways_on_a_phone() {
    visit("fits_a_phone.py", &[]);
}

#[test]
fn every_light_page_is_accessible() {
    visit("every_page.py", &["light"]);
}

#[test]
fn every_dark_page_is_accessible() {
    visit("every_page.py", &["dark"]);
}

#[test]
fn ten_thousand_queues_are_shown_at_once_and_cost_little() {
    visit("has_many_queues.py", &[]);
}

#[test]
fn a_policy_says_what_it_matches_before_it_is_saved() {
    visit("matches_policies.py", &[]);
}

#[test]
fn the_map_shows_where_messages_go() {
    visit("draws_the_map.py", &[]);
}

#[test]
fn a_message_is_traced_and_not_sent() {
    visit("traces_a_message.py", &[]);
}

#[test]
fn the_log_is_shown_as_it_is_written() {
    visit("tails_the_log.py", &[]);
}
