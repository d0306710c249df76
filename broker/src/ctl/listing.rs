//! Which columns the rows of a request have.

use crate::manage::columns::Column;
use crate::manage::request::Request;

/// The columns of a listing.
pub(super) struct Listing {
    /// Their names, in the order of the cells.
    pub(super) columns: Vec<&'static str>,
    /// Whether RabbitMQ sends it whole, see [`Rows::end`](super::render::Rows::end).
    pub(super) whole: bool,
}

impl Listing {
    /// The listing that answers a request; None when it is no listing.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::ListQueues { columns, .. } => streamed(columns),
            Request::ListConnections { columns } => streamed(columns),
            Request::ListChannels { columns } => streamed(columns),
            Request::ListConsumers { columns, .. } => streamed(columns),
            Request::ListExchanges { columns, .. } => streamed(columns),
            Request::ListBindings { columns, .. } => streamed(columns),
            Request::ListVhosts { columns } => streamed(columns),
            Request::ListUsers => whole(&["user", "tags"]),
            Request::ListPermissions { .. } => whole(&["user", "configure", "write", "read"]),
            Request::ListUserPermissions { .. } => whole(&["vhost", "configure", "write", "read"]),
            Request::ListVhostLimits { vhost: None } => whole(&["vhost", "limits"]),
            Request::ListUserLimits { user: None } => whole(&["user", "limits"]),
            Request::ListPolicies { .. } => streamed_as(&[
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
        whole: false,
    }
}

fn streamed_as(columns: &[&'static str]) -> Listing {
    Listing {
        columns: columns.to_vec(),
        whole: false,
    }
}

fn whole(columns: &[&'static str]) -> Listing {
    Listing {
        columns: columns.to_vec(),
        whole: true,
    }
}
