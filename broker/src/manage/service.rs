//! The requests about whether the broker serves clients.

use super::AdminContext;
use super::definitions;
use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response};
use crate::domain::broker::Broker;
use crate::domain::recovery;
use std::fmt::Display;

impl Operations {
    /// Performs a request about the service; returns any other request unchanged.
    pub(super) fn service_operation(
        &mut self,
        request: Request,
    ) -> Result<OperationResult, Request> {
        let broker = self.context.broker.clone();
        Ok(match request {
            // The application runs, or the request would not have come here.
            Request::IsRunning => Ok(Response::Ok),
            Request::StopApp => {
                let _switching = broker.service.switching.lock();
                let stopped = broker.stop_app();
                stopped
                    .map_err(failed("cannot stop the service"))
                    .map(|()| Response::Ok)
            }
            Request::StartApp => self.start_app(),
            Request::Reset => self.reset(),
            Request::SuspendListeners => self.while_it_runs(|broker| {
                let closed = broker.suspend();
                closed.map_err(failed("cannot close the ports"))?;
                Ok(Response::Ok)
            }),
            Request::ResumeListeners => self.while_it_runs(|broker| {
                let opened = broker.open_ports();
                opened.map_err(failed("cannot open the ports again"))?;
                Ok(Response::Ok)
            }),
            Request::Drain => self.while_it_runs(|broker| {
                let closed = broker.drain();
                let closed = closed.map_err(failed("cannot turn all clients away"))?;
                Ok(Response::Count(closed as u64))
            }),
            other => return Err(other),
        })
    }

    /// Opens or closes ports, unless the application was stopped in the meantime.
    fn while_it_runs(&self, change: impl FnOnce(&Broker) -> OperationResult) -> OperationResult {
        let broker = &self.context.broker;
        let _switching = broker.service.switching.lock();
        match broker.service.is_running() {
            true => change(broker),
            false => Err(Response::refused(ErrorKind::AppStopped)),
        }
    }

    fn reset(&mut self) -> OperationResult {
        let broker = self.context.broker.clone();
        let _switching = broker.service.switching.lock();
        // Somebody may just have started it.
        if broker.service.is_running() {
            return Err(Response::refused(ErrorKind::AppRunning));
        }
        let changing = broker.admin_changes.lock();
        broker.reset(&mut self.fx);
        self.fx.perform();
        drop(changing);
        let store = broker.store.as_ref();
        let flushed = store.map_or(Ok(()), |store| store.flush());
        flushed.map_err(failed("not stored"))?;
        Ok(Response::Ok)
    }

    /// Starts the application. Like a broker that starts, it gets its defaults if it is new, and loads definitions.
    fn start_app(&mut self) -> OperationResult {
        let AdminContext { broker, config, .. } = &self.context;
        let _switching = broker.service.switching.lock();
        if broker.service.is_running() {
            return Ok(Response::Ok);
        }
        let changing = broker.admin_changes.lock();
        recovery::add_defaults(broker, config).map_err(failed("cannot add the defaults"))?;
        drop(changing);
        definitions::load_configured(broker, config).map_err(failed("cannot load definitions"))?;
        let started = broker.start_app();
        started.map_err(failed("cannot open the ports again"))?;
        Ok(Response::Ok)
    }
}

fn failed<E: Display>(what: &'static str) -> impl FnOnce(E) -> Response {
    move |error| Response::refused_because(ErrorKind::Software, format!("{what}: {error}"))
}
