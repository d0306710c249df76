//! Sessions: how somebody who has signed in with the form of the management page is known again.
//!
//! A browser keeps the session's id in a cookie that no script can read, and the page keeps the CSRF token, which no other
//! site can read. A request needs both. Here is what is remembered ([`store`]), and how a request is recognised
//! ([`resume`], [`cookie`]); what the paths answer does not belong here.

mod cookie;
mod resume;
mod store;

pub(super) use cookie::SessionCookie;
pub(super) use resume::{csrf_token, found, live, resume};
pub(super) use store::{Seen, Sessions};
