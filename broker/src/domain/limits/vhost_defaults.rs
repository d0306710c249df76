//! The limits that virtual hosts get when they are made.

use super::VhostLimits;
use crate::config::Config;
use crate::text::pattern::Expression;

/// Limits by the pattern that the name of a new virtual host fits.
#[derive(Debug, Default)]
pub struct VhostDefaults(Vec<(Expression, VhostLimits)>);

impl VhostDefaults {
    /// Returns the limits of a new virtual host: those of the first pattern that fits its name.
    pub fn of(&self, name: &str) -> Option<VhostLimits> {
        let fits = |(pattern, _): &&(Expression, VhostLimits)| pattern.matches(name);
        self.0.iter().find(fits).map(|(_, limits)| *limits)
    }
}

impl From<&Config> for VhostDefaults {
    fn from(config: &Config) -> Self {
        let compiled = config.default_limits.iter().filter_map(|limit| {
            // The configuration has compiled it before.
            let pattern = Expression::compile(&limit.pattern).ok()?;
            let limits = VhostLimits {
                max_connections: limit.max_connections.map(i64::from),
                max_queues: limit.max_queues.map(i64::from),
            };
            Some((pattern, limits))
        });
        VhostDefaults(compiled.collect())
    }
}
