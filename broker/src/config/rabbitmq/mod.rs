//! What is taken of RabbitMQ's own ways to be configured: its environment variables and its configuration file.

mod beside;
pub(super) mod conf;
mod note;
mod variables;

pub(super) use beside::look;
pub use conf::import::Imported;
pub(super) use conf::import::RABBITMQ_CONF;
pub use note::Note;
pub use variables::TakenVariable;
pub(super) use variables::{first_line, is_without_effect, layer};
