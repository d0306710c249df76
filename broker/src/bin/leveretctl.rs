//! leveretctl
fn main() {}
