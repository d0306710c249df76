//! How passwords are stored and checked, and who exists in a new data directory.

mod defaults;
mod passwords;
mod slowed;

use leveret_tests::{Client, TestBroker};

/// Returns whether a user can log in over AMQP.
async fn can_log_in(broker: &TestBroker, user: &str, password: &str) -> bool {
    match Client::login(broker, user, password, "%2f").await {
        Ok(client) => {
            client.close().await;
            true
        }
        Err(_) => false,
    }
}
