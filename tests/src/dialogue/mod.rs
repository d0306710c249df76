//! Dialogues with a broker, kept as text: what a client says, and what RabbitMQ says to it, field
//! by field. `tests/conformance/README.md` describes the language and how to record.
//!
//! - [`script`]: files of dialogues, read strictly and written when they are recorded;
//! - `scanner`, `value`, `fields`, `item`: the words of the language, which are also the fields,
//!   methods and frames of AMQP 0-9-1, by the table in `spec`;
//! - `names`: what differs from run to run, taken out in one place;
//! - `peer`, `login`: a connection; `player`: one case from its first line to its last;
//!   `speaker`: a connection for the tests that only need AMQP to have happened.

mod fields;
mod item;
mod login;
mod names;
mod peer;
mod player;
mod run;
mod scanner;
mod script;
mod speaker;
mod spec;
mod target;
mod value;

pub use run::{play, record};
pub use script::Script;
pub(crate) use speaker::Speaker;
pub use target::Target;
