//! The files that a configuration names.

use super::{Config, ListenerSpec, Place};
use std::path::Path;

impl Config {
    /// Returns every file and directory that the configuration names or consists of, but not the data directory.
    pub fn paths(&self) -> Vec<&Path> {
        let single = [
            &self.log_file,
            &self.load_definitions,
            &self.default_pass_file,
            &self.tls_key_password_file,
            &self.tls_cacertfile,
            &self.auth_oauth2_https_cacertfile,
            &self.auth_http_ssl_options_cacertfile,
            &self.auth_http_ssl_options_certfile,
            &self.auth_http_ssl_options_keyfile,
        ];
        let several = [
            &self.config_files,
            &self.tls_certfile,
            &self.tls_keyfile,
            &self.tls_crlfile,
        ];
        let keys = self.auth_oauth2_signing_keys.iter();
        let mut paths: Vec<&Path> = keys.map(|key| key.file.as_path()).collect();
        paths.extend(single.into_iter().filter_map(|path| path.as_deref()));
        paths.extend(several.into_iter().flatten().map(|path| path.as_path()));
        let listeners = [
            &self.listeners,
            &self.management_listeners,
            &self.prometheus_listeners,
        ];
        paths.extend(
            listeners
                .into_iter()
                .flatten()
                .filter_map(ListenerSpec::path),
        );
        paths
    }
}

impl ListenerSpec {
    /// Returns the path of a Unix socket.
    fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            _ => None,
        }
    }
}
