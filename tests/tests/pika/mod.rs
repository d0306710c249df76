//! What the worker-queue tutorials promise, for every version of pika that they were written for:
//! small Python programs, run unmodified.

mod blocked;
mod durability;
mod fanout;
mod programs;
mod promises;
mod retries;
mod shared;
mod streams;
mod users;
