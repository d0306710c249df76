//! The broker that dialogues are played to, and the command that operates it.

use std::process::Command;
use std::time::Instant;

use super::login;
use super::player::ANSWER;

/// A broker to play to.
#[derive(Debug)]
pub struct Target {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// The command that operates it, with its first arguments; empty for none.
    pub ctl: Vec<String>,
    /// Its product and version, as it says itself.
    pub product: String,
}

impl Target {
    /// Asks the broker at an address who it is.
    ///
    /// # Errors
    /// When guest cannot log in there.
    pub fn find(address: &str, ctl: Vec<String>) -> Result<Self, String> {
        let (_, product) = login::connect(address, "", true, Instant::now() + ANSWER)?;
        Ok(Target {
            address: address.to_owned(),
            ctl,
            product: product.ok_or("a broker without a name")?,
        })
    }

    /// Whether it is a RabbitMQ; only those are recorded.
    pub fn is_rabbitmq(&self) -> bool {
        self.product.starts_with("RabbitMQ ")
    }

    /// Runs its operating command; an error is what that printed.
    pub(super) fn ctl(&self, arguments: &[String]) -> Result<(), String> {
        let (program, first) = self.ctl.split_first().ok_or("no ctl: LEVERET_TEST_CTL")?;
        let mut command = Command::new(program);
        crate::isolate(&mut command);
        let run = command.args(first).args(arguments).output();
        let output = run.map_err(|error| format!("{program}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "ctl {arguments:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }
}
