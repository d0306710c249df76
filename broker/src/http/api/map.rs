//! `/api/map`: a virtual host as a picture. Leveret's own: RabbitMQ has no such path.

use crate::http::error::ApiResult;
use crate::http::list::json as answer;
use crate::http::state::Api;
use crate::manage::access::Principal;
use crate::manage::map::{Map, MapFilter};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(map))
}

/// Which part of a virtual host is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MapQuery {
    /// Only queues and exchanges whose names contain this text, whatever its case, and the exchanges that lead to them.
    name: Option<String>,
    /// Only queues whose names begin with this text, and the exchanges that lead to them.
    prefix: Option<String>,
}

/// The exchanges and queues of a virtual host, what leads where, and how much. Leveret's own.
#[utoipa::path(get, path = "/map/{vhost}", params(MapQuery), responses((status = 200, body = Map)))]
async fn map(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(query): Query<MapQuery>,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    let filter = MapFilter {
        name: query.name.unwrap_or_default(),
        prefix: query.prefix.unwrap_or_default(),
    };
    let broker = api.broker().clone();
    let map = move || Map::of(&broker, &vhost, &filter);
    answer(&api.effort().apart(map).await?)
}
