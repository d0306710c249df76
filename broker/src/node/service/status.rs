//! The text that `systemctl status` shows while the broker runs.

use super::Notifier;
use crate::domain::service::Condition;
use crate::net::{Bound, Service};
use crate::node::listeners::shown;
use crate::text::escape::{Form, escaped};
use sd_notify::NotifyState;
use std::sync::Arc;
use tokio::sync::watch;

/// What the service manager is told of a broker that runs. Copies are the same.
#[derive(Clone)]
pub(in crate::node) struct Status {
    notifier: Notifier,
    listeners: Arc<[Bound]>,
    condition: watch::Receiver<Condition>,
}

impl Status {
    pub(in crate::node) fn new(
        notifier: &Notifier,
        listeners: &Arc<[Bound]>,
        condition: watch::Receiver<Condition>,
    ) -> Self {
        Status {
            notifier: notifier.clone(),
            listeners: listeners.clone(),
            condition,
        }
    }

    /// Tells that the broker is ready, and in which condition.
    pub(in crate::node) fn ready(&self) {
        let text = self.text();
        self.notifier
            .send(&[NotifyState::Ready, NotifyState::Status(&text)]);
    }

    /// Tells that the configuration is being read again, which [`ready`](Self::ready) ends.
    pub(in crate::node) fn reloading(&self) {
        let mut states = vec![NotifyState::Reloading];
        // The clock does not fail; without its time, the manager would wait for another message.
        states.extend(NotifyState::monotonic_usec_now());
        states.push(NotifyState::Status("reloading the configuration"));
        self.notifier.send(&states);
    }

    /// Tells of every change of the condition.
    pub(in crate::node) async fn follow(mut self) {
        while self.condition.changed().await.is_ok() {
            let text = self.text();
            self.notifier.status(&text);
        }
    }

    fn text(&self) -> String {
        let condition = *self.condition.borrow();
        match condition {
            Condition::Serving => serving(&self.listeners),
            Condition::Suspended => {
                "no new connections: suspend_listeners is in force until leveretctl resume_listeners"
                    .to_owned()
            }
            Condition::Draining => "draining: clients are being told to go".to_owned(),
            Condition::Maintenance => {
                "drained: under maintenance until leveretctl revive".to_owned()
            }
            Condition::Stopped => {
                "no clients are served: stop_app is in force until leveretctl start_app".to_owned()
            }
        }
    }
}

/// Says where clients find the broker.
fn serving(listeners: &[Bound]) -> String {
    let kinds = [
        ("AMQP on", Service::Amqp, false),
        ("AMQP with TLS on", Service::Amqp, true),
        ("HTTP API on", Service::Management, false),
        ("HTTPS API on", Service::Management, true),
        ("metrics on", Service::Prometheus, false),
        ("metrics with TLS on", Service::Prometheus, true),
    ];
    let listed = kinds.into_iter().filter_map(|(what, service, tls)| {
        shown(listeners, service, tls).map(|places| format!("{what} {places}"))
    });
    let listed: Vec<String> = listed.collect();
    let text = format!("ready: {}", listed.join("; "));
    // Paths of sockets may contain anything.
    escaped(&text, Form::Line).into_owned()
}
