//! `/api/map`: a virtual host as a picture. Leveret's own: RabbitMQ has no such path.

use crate::http::error::ApiResult;
use crate::http::fields::check_name;
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

impl MapQuery {
    fn filter(self) -> ApiResult<MapFilter> {
        let [name, prefix] = [self.name, self.prefix].map(Option::unwrap_or_default);
        // No name contains more.
        check_name("name", &name)?;
        check_name("prefix", &prefix)?;
        Ok(MapFilter::new(&name, prefix))
    }
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
    let filter = query.filter()?;
    let broker = api.broker().clone();
    let map = move || Map::of(&broker, &vhost, &filter);
    answer(&api.effort().apart(map).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_name_can_contain_is_refused() {
        let filter = |name: usize, prefix: usize| {
            let [name, prefix] = [name, prefix].map(|bytes| Some("x".repeat(bytes)));
            MapQuery { name, prefix }.filter().is_ok()
        };
        assert!(filter(255, 255) && !filter(256, 0) && !filter(0, 256));
    }
}
