//! Several clients that send anything that frames can say, and what no frame says, to one broker:
//! it never panics, never hangs, keeps within its bounds, says nothing that a strict client would
//! not take, and loses count of nothing.
//!
//! A case is a list of [`turns`] in a [`world`]; [`methods`], [`tables`] and [`acts`] make them, [`peer`]
//! stands for socket and session, [`sent`] and [`heard`] judge the conversation, [`driver`] runs.

mod acts;
mod checks;
mod driver;
mod heard;
mod methods;
mod operator;
mod peer;
mod probe;
mod sent;
mod tables;
mod turns;
mod world;

#[test]
fn nothing_that_clients_send_does_harm() {
    driver::fuzz(turns::cases, world::in_memory);
}

#[test]
fn nor_with_a_store() {
    driver::fuzz(turns::cases, world::with_a_store);
}
