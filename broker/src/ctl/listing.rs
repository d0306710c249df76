//! The columns of each listing.

use crate::manage::columns::Column;
use crate::manage::request::Request;

/// The columns of a listing.
pub(super) struct Listing {
    /// The names of the columns, in the order of the cells.
    pub(super) columns: Vec<&'static str>,
    /// Whether RabbitMQ streams it row by row, see [`Rows::end`](super::render::Rows::end).
    pub(super) is_streamed: bool,
}

impl Listing {
    /// Returns the listing for a request; `None` if the request is not for a listing.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::ListQueues { columns, .. } => streamed(columns),
            Request::ListConnections { columns } => streamed(columns),
            Request::ListChannels { columns } => streamed(columns),
            Request::ListConsumers { columns, .. } => streamed(columns),
            Request::ListExchanges { columns, .. } => streamed(columns),
            Request::ListBindings { columns, .. } => streamed(columns),
            Request::ListVhosts { columns } => streamed(columns),
            Request::ListUsers => unstreamed(&["user", "tags"]),
            Request::ListPermissions { .. } => unstreamed(&["user", "configure", "write", "read"]),
            Request::ListUserPermissions { .. } => {
                unstreamed(&["vhost", "configure", "write", "read"])
            }
            Request::ListTopicPermissions { .. } => {
                unstreamed(&["user", "exchange", "write", "read"])
            }
            Request::ListUserTopicPermissions { .. } => {
                unstreamed(&["vhost", "exchange", "write", "read"])
            }
            Request::ListParameters { .. } => streamed_names(&["component", "name", "value"]),
            Request::ListGlobalParameters => streamed_names(&["name", "value"]),
            Request::ListVhostLimits { vhost: None } => unstreamed(&["vhost", "limits"]),
            Request::ListUserLimits { user: None } => unstreamed(&["user", "limits"]),
            Request::ListPolicies { .. } => streamed_names(&[
                "vhost",
                "name",
                "pattern",
                "apply-to",
                "definition",
                "priority",
            ]),
            _ => return None,
        })
    }
}

fn streamed<C: Column>(columns: &[C]) -> Listing {
    Listing {
        columns: columns.iter().map(|column| column.name()).collect(),
        is_streamed: true,
    }
}

fn streamed_names(columns: &[&'static str]) -> Listing {
    Listing {
        columns: columns.to_vec(),
        is_streamed: true,
    }
}

fn unstreamed(columns: &[&'static str]) -> Listing {
    Listing {
        columns: columns.to_vec(),
        is_streamed: false,
    }
}
