//! `/api/index.html`: the paths, for people.

use std::fmt::Write;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

/// Writes the page. All text in it is the program's own.
pub(super) fn page(document: &OpenApi) -> String {
    let mut rows = String::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            let summary = operation.summary.as_deref().unwrap_or_default();
            let (path, summary) = (escaped(path), escaped(summary));
            // Writing to a string does not fail.
            let _ = writeln!(
                rows,
                "<tr><td>{method}</td><td><code>{path}</code></td><td>{summary}</td></tr>"
            );
        }
    }
    let title = escaped(&document.info.title);
    let description = escaped(document.info.description.as_deref().unwrap_or_default());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n<p>{description} The same for programs: <a \
         href=\"/api/openapi.json\">openapi.json</a>.</p>\n<table>\n\
         <tr><th>Method</th><th>Path</th><th>What it does</th></tr>\n{rows}</table>\n</body>\n</html>\n"
    )
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
