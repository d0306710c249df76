//! `leveret --check-config`: reads everything that a start would read, and changes nothing.

use super::data_dir;
use super::failure::Failure;
use super::listeners;
use super::logging;
use crate::config::Config;
use crate::domain::broker::Broker;
use crate::domain::recovery;
use crate::manage::definitions;
use crate::net::tls::{Tls, TlsSettings};
use crate::text::escape::{Form, escaped};
use std::fmt::Write;

/// Checks a configuration. Returns what is said of a valid one; warnings are printed as they arise.
///
/// # Errors
/// Why a broker would not start.
pub fn run(config: &Config) -> Result<String, Failure> {
    logging::start_plain();
    data_dir::check_existing(config)?;
    let tls = Tls::open(TlsSettings::from(config))?;
    listeners::check(config, &tls)?;
    let broker = Broker::new(config.into(), config.loopback_users.clone(), None);
    broker.prepare_logins(config).map_err(Failure::Logins)?;
    let _ = recovery::mechanisms(config);
    if !config.data_dir.join("store").exists() {
        recovery::add_defaults(&broker, config)?;
    }
    definitions::check_configured(config)?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let unknown = Config::unknown_variables();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        tracing::warn!("these environment variables are no settings and have no effect: {unknown}");
    }
    Ok(report(config, &Config::variables()))
}

/// Returns where the settings come from, and that they are valid.
fn report(config: &Config, variables: &[String]) -> String {
    let mut text = match config.config_files.is_empty() {
        true => "No configuration file was read.\n".to_owned(),
        false => "These configuration files were read, of which later ones win:\n".to_owned(),
    };
    for path in &config.config_files {
        let path = path.display().to_string();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", escaped(&path, Form::Line));
    }
    if !variables.is_empty() {
        let _ = writeln!(
            text,
            "These environment variables win over files: {}",
            variables.join(", ")
        );
    }
    for (variable, setting) in &config.rabbitmq_variables {
        let _ = writeln!(text, "The variable {variable} of RabbitMQ sets {setting}.");
    }
    text.push_str("The configuration is valid.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_where_settings_come_from() {
        let mut config = Config::with_data_dir("/nonexistent".into());
        let none = "No configuration file was read.\nThe configuration is valid.\n";
        assert_eq!(report(&config, &[]), none);
        config.config_files = vec!["/a.toml".into(), "/b.toml".into()];
        config.rabbitmq_variables = vec![("RABBITMQ_NODE_PORT", "port")];
        assert_eq!(
            report(&config, &["LEVERET_BIND".to_owned()]),
            "These configuration files were read, of which later ones win:\n  /a.toml\n  /b.toml\nThese environment \
             variables win over files: LEVERET_BIND\nThe variable RABBITMQ_NODE_PORT of RabbitMQ sets port.\nThe \
             configuration is valid.\n"
        );
    }
}
