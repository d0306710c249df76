//! The black-box tests, one binary. Each module is a class of AMQP or a promise to users.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests, helpers included"
)]

mod admin;
mod alarms;
mod amqp;
mod amqprs;
mod auth_http;
mod backup;
mod bounds;
mod browser;
mod bytes;
mod celery;
mod command_line;
mod configuration;
mod conformance;
mod crash;
mod credentials;
mod ctl;
mod ctl_tools;
mod definitions;
mod delayed;
mod docs;
mod durability;
mod fan_out;
mod firehose;
mod http;
mod limits;
mod listeners;
mod log_files;
mod logging;
mod memory;
mod metrics;
mod mistakes;
mod moving;
mod oauth2;
mod packaging;
mod paging;
mod parameters;
mod perf;
mod permissions;
mod pika;
mod policies;
mod power;
mod private;
mod rabbitmq_conf;
mod service;
mod shovel;
mod shutdown;
mod signals;
mod streams;
mod systemd;
mod tidy;
mod tidy_page;
mod tls;
mod tools;
mod top;
mod users;
