//! The broker as a service: what it tells the service manager, how long it takes to stop, and the unit for systemd.

mod drain;
mod manager;
mod notify;
mod stop;
mod unit;
