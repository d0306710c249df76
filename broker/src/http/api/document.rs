//! The OpenAPI document, completed with what follows from the rules of the API and is written at no path.

use crate::http::error::ErrorBody;
use axum::http::StatusCode;
use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, RefOr, Required};

/// The name of the way to log in.
const BASIC: &str = "basic";
/// The paths that answer without a login.
const OPEN: [&str; 4] = ["/api/version", "/api/auth", "/api/login", "/api/session"];

/// Completes the document: what every operation is called and needs, and how it refuses.
pub(super) fn complete(document: &mut OpenApi) {
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BASIC, basic);
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], _>(BASIC, [])]);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            if OPEN.contains(&path.as_str()) {
                operation.security = Some(Vec::new());
            }
            declare_parameters(operation, path);
            describe_responses(operation);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Returns the name of an operation: its method and its path, without `/api` and braces.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

/// Iterates over the parameters in a path.
fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Declares the parameters in the path that the handler has not described.
fn declare_parameters(operation: &mut Operation, path: &str) {
    for name in parameters_of(path) {
        let parameters = operation.parameters.get_or_insert_default();
        let is_it = |parameter: &RefOr<Parameter>| match parameter {
            RefOr::T(parameter) => {
                parameter.name == name && parameter.parameter_in == ParameterIn::Path
            }
            RefOr::Ref(_) => false,
        };
        if !parameters.iter().any(is_it) {
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
                .build();
            parameters.push(RefOr::T(parameter));
        }
    }
}

/// Describes the answers that the handler has not described, and refusals, which are the same everywhere.
fn describe_responses(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = status
                .parse()
                .ok()
                .and_then(|it| StatusCode::from_u16(it).ok());
            let reason = status.and_then(|status| status.canonical_reason());
            response.description = reason.unwrap_or("The answer").to_owned();
        }
    }
    let refusal = ContentBuilder::new()
        .schema(Some(ErrorBody::schema()))
        .build();
    responses.entry("default".to_owned()).or_insert_with(|| {
        RefOr::T(
            ResponseBuilder::new()
                .description("A refusal: 400, 401, 404, … with what is wrong")
                .content("application/json", refusal)
                .build(),
        )
    });
}
