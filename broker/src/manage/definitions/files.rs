//! Importing files as administrators do: one at a time, and on disk when it is done.

use super::import::apply;
use super::problem::Imported;
use super::read::{File, NotDefinitions};
use crate::domain::broker::Broker;
use crate::engine::queue::Effects;
use serde_json::Value;
use std::sync::Arc;
use thiserror::Error;

/// The largest file that is accepted from outside, in bytes.
pub const MAX_FILE: usize = 64 << 20;

/// The global parameter with the hash of the definitions that were imported last with `skip_if_unchanged`. Its prefix
/// keeps it out of definition files.
const IMPORTED_HASH: &str = "internal_imported_definitions_hash";

/// How a file is imported.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The virtual host that it is imported into; all that it names if `None`.
    pub vhost: Option<String>,
    /// Do nothing if the same definitions were imported last with this option.
    pub skip_if_unchanged: bool,
}

/// Why a file was not imported, or not safely.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It is not a file of definitions: nothing was applied.
    #[error(transparent)]
    NotDefinitions(#[from] NotDefinitions),
    /// The store failed.
    #[error("cannot store the definitions: {0}")]
    Store(String),
}

impl Broker {
    /// Imports a file and returns once it is on disk. Blocks.
    ///
    /// # Errors
    /// When nothing was applied, or the store failed.
    pub fn import_definitions(
        self: &Arc<Self>,
        text: &[u8],
        options: &ImportOptions,
    ) -> Result<Imported, ImportError> {
        let vhost = options.vhost.as_deref();
        let file = File::parse(text, vhost.is_some())?;
        self.import_files(&[file], vhost, options.skip_if_unchanged, |_, _| true)
    }

    /// Imports files in their order; `go_on` is called with the index of each and what became of it. Returns the sum.
    pub(super) fn import_files(
        self: &Arc<Self>,
        files: &[File<'_>],
        vhost: Option<&str>,
        skip_if_unchanged: bool,
        mut go_on: impl FnMut(usize, &Imported) -> bool,
    ) -> Result<Imported, ImportError> {
        let changing = self.admin_changes.lock();
        let hash = skip_if_unchanged.then(|| File::hash(&Vec::from_iter(files)));
        let last = self.global_parameters.get(IMPORTED_HASH);
        if let (Some(hash), Some(Value::String(last))) = (&hash, last)
            && *hash == last
        {
            tracing::info!("definitions not imported: they have not changed since the last import");
            return Ok(Imported {
                unchanged: true,
                ..Imported::default()
            });
        }
        let mut fx = self.effects(None);
        let mut all = Imported::default();
        for (index, file) in files.iter().enumerate() {
            let imported = apply(self, file, vhost, &mut fx);
            let go_on = go_on(index, &imported);
            all.append(imported);
            if !go_on {
                break;
            }
        }
        if let Some(hash) = hash.filter(|_| all.invalid == 0) {
            self.remember(hash, &mut fx);
        }
        fx.perform();
        drop(changing);
        let flushed = self.store.as_ref().map_or(Ok(()), |store| store.flush());
        match flushed {
            Ok(()) => Ok(all),
            Err(error) => Err(ImportError::Store(error.to_string())),
        }
    }

    fn remember(&self, hash: String, fx: &mut Effects) {
        // The name and the value are short.
        let _ = self.set_global_parameter(IMPORTED_HASH, hash.into(), fx);
    }
}
