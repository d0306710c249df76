//! All virtual hosts by name, shared by the broker, which changes them, and by code that looks one up
//! without access to the rest of the broker.

use super::Vhost;
use crate::engine::interfaces::{VirtualHost, VirtualHosts};
use leveret_protocol::VhostName;
use parking_lot::{RwLock, RwLockWriteGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The virtual hosts.
#[derive(Debug, Default)]
pub struct Vhosts(RwLock<ByName>);

/// Virtual hosts by name.
pub type ByName = BTreeMap<VhostName, Arc<Vhost>>;

impl Vhosts {
    /// Returns a virtual host by name.
    pub fn get(&self, name: &str) -> Option<Arc<Vhost>> {
        self.0.read().get(name).cloned()
    }

    /// Returns all virtual hosts, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Vhost>> {
        self.0.read().values().cloned().collect()
    }

    /// Locks the virtual hosts for a change, which blocks look-ups.
    pub fn write(&self) -> RwLockWriteGuard<'_, ByName> {
        self.0.write()
    }
}

impl VirtualHosts for Vhosts {
    fn find(&self, name: &str) -> Option<Arc<dyn VirtualHost>> {
        let vhost = self.get(name)?;
        Some(vhost)
    }
}
