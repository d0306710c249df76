//! The management page: the files of `broker/page/`, which are in the binary. A debug build reads them from the disk, so
//! that a change is seen without a build.

use super::error::ApiError;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{Embed, EmbeddedFile};
use std::fmt::Write;

/// The files of the page.
#[derive(Embed)]
#[folder = "page/"]
struct Files;

/// The file at `/`.
const INDEX: &str = "index.html";

/// Returns the paths: `/`, and the files that it needs below `/page/`.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| answer(INDEX, &headers)))
        .route("/page/{*path}", get(file))
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some((kind, file)) = content_type(path).zip(Files::get(path)) else {
        return ApiError::not_found().into_response();
    };
    let etag = etag(&file);
    if is_known(&etag, headers) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let told = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::ETAG, etag),
    ];
    (told, file.data).into_response()
}

/// Returns the type of a file, by the end of its name; `None` for one that is no part of a page.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// Returns what tells this content of a file from others. It is weak, because the answer may be sent compressed.
fn etag(file: &EmbeddedFile) -> String {
    let mut etag = String::from("W/\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        // Writing to a string does not fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag + "\""
}

/// Returns whether the client has this content already (`If-None-Match`, RFC 9110, 13.1.2).
fn is_known(etag: &str, headers: &HeaderMap) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = opaque(etag);
    let lists = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    tags.any(|tag| tag.trim() == "*" || opaque(tag) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Method, Request};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use regex::Regex;
    use std::io::Write;
    use tower::ServiceExt;

    /// The bytes of all files together, at most, as they are sent: a page that opens at once over a slow line, too.
    const MOST_BYTES: usize = 200 << 10;

    async fn ask(path: &str, known: Option<&str>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(Method::GET).uri(path);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router::<()>().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, MOST_BYTES).await.unwrap();
        (parts.status, parts.headers, body.to_vec())
    }

    fn text(path: &str) -> String {
        let file = Files::get(path).unwrap_or_else(|| panic!("there is no {path}"));
        String::from_utf8(file.data.into_owned()).unwrap()
    }

    #[tokio::test]
    async fn the_page_is_sent_once_and_known_by_its_etag_then() {
        let (status, headers, body) = ask("/", None).await;
        assert_eq!(
            (status, &headers[header::CONTENT_TYPE]),
            (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert_eq!(body, Files::get(INDEX).unwrap().data.as_ref());
        let etag = headers[header::ETAG].to_str().unwrap().to_owned();
        let strong = etag.trim_start_matches("W/").to_owned();
        for known in [
            etag.clone(),
            strong,
            format!("\"other\", {etag}"),
            "*".to_owned(),
        ] {
            let (status, headers, body) = ask("/", Some(&known)).await;
            assert_eq!(status, StatusCode::NOT_MODIFIED, "{known}");
            assert!(body.is_empty() && headers[header::ETAG] == *etag);
        }
        let (status, _, _) = ask("/", Some("W/\"other\"")).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[tokio::test]
    async fn every_file_is_sent_as_what_it_is_and_nothing_else_is() {
        for path in Files::iter() {
            let kind = content_type(&path);
            let kind = kind.unwrap_or_else(|| panic!("{path} is no file of a page"));
            let (status, headers, _) = ask(&format!("/page/{path}"), None).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], kind);
        }
        for path in [
            "nothing.js",
            "index",
            "../Cargo.toml",
            "..%2FCargo.toml",
            "..%2Fsrc%2Fhttp%2Fx.js",
            "%2Fetc%2Fx.html",
            "x%00.js",
        ] {
            let (status, _, _) = ask(&format!("/page/{path}"), None).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn all_files_together_are_small() {
        let sent = |path: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&Files::get(path).unwrap().data).unwrap();
            encoder.finish().unwrap().len()
        };
        let sum: usize = Files::iter().map(|path| sent(&path)).sum();
        assert!(sum < MOST_BYTES, "{sum} bytes");
    }

    /// Returns the path, within the folder, of what a file names.
    fn resolved(from: &str, named: &str) -> String {
        let absolute = named.strip_prefix("/page/");
        let mut parts: Vec<&str> = match absolute {
            Some(_) => Vec::new(),
            // The page itself is at `/`, beside the folder.
            None if from == INDEX => Vec::new(),
            None => from.split('/').rev().skip(1).collect(),
        };
        if absolute.is_none() {
            parts.reverse();
        }
        let named = absolute.unwrap_or(match from {
            INDEX => named.strip_prefix("page/").unwrap_or(named),
            _ => named,
        });
        for part in named.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    #[test]
    fn no_file_that_another_needs_is_missing() {
        let in_html = Regex::new(r#"(?:src|href)="((?:/page/|page/|\./|[a-z])[^":#?]*)"#).unwrap();
        let in_js = Regex::new(r#"(?m)(?:^import|\bfrom|\bimport\()\s*["']([./][^"']+)["']"#);
        let (in_js, in_css) = (
            in_js.unwrap(),
            Regex::new(r#"url\(["']?([^"':)#]+)"#).unwrap(),
        );
        for path in Files::iter() {
            let names = match path.rsplit_once('.').map(|(_, end)| end) {
                Some("html") => &in_html,
                Some("js") => &in_js,
                Some("css") => &in_css,
                _ => continue,
            };
            for named in names.captures_iter(&text(&path)) {
                // The API's own page.
                if named[1].starts_with("api/") {
                    continue;
                }
                let wanted = resolved(&path, &named[1]);
                assert!(Files::get(&wanted).is_some(), "{path} needs {wanted}");
            }
        }
        assert_eq!(resolved("pages/a.js", "../lib/b.js"), "lib/b.js");
        assert_eq!(resolved("pages/a.js", "./b.js"), "pages/b.js");
        assert_eq!(resolved(INDEX, "page/app.js"), "app.js");
    }

    #[test]
    fn nothing_in_the_page_needs_what_the_policy_forbids() {
        let inline = Regex::new(
            r#"(?i)<script(?:\s[^>]*)?>\s*[^<\s]|\son\w+\s*=\s*["']|\sstyle\s*=\s*["']|<style|<base"#,
        );
        let (inline, page) = (inline.unwrap(), text(INDEX));
        let found = inline.find(&page).map(|found| found.as_str());
        assert_eq!(found, None);
    }
}
