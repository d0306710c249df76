//! Which format a scraper asks for (RFC 9110, 12.5.1).

use super::text::Format;
use axum::http::{HeaderMap, header};

/// Returns the format that the `Accept` headers prefer; the classic one unless OpenMetrics is asked for by name and
/// the classic one is not preferred. Whoever accepts neither gets the classic one: there is nothing better.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut open, mut classic) = (0.0, 0.0);
    let values = headers.get_all(header::ACCEPT).iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut known) = (1.0, true);
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" => quality = value.parse().unwrap_or(0.0),
                "version" if kind == "application/openmetrics-text" => {
                    known = matches!(value, "1.0.0" | "0.0.1");
                }
                "version" => known = value == "0.0.4",
                _ => {}
            }
        }
        let best = match kind.as_str() {
            "application/openmetrics-text" if known => &mut open,
            "text/plain" if known => &mut classic,
            "text/*" | "*/*" => &mut classic,
            _ => continue,
        };
        *best = f64::max(*best, quality);
    }
    match open > 0.0 && open >= classic {
        true => Format::OpenMetrics,
        false => Format::Classic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        format(&headers)
    }

    #[test]
    fn the_preferred_format_is_chosen() {
        assert_eq!(format(&HeaderMap::new()), Format::Classic);
        for (accept, expected) in [
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Classic),
            ("*/*", Format::Classic),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text; version=2.0.0",
                Format::Classic,
            ),
            ("application/openmetrics-text;q=0", Format::Classic),
            (
                "application/openmetrics-text;q=0.2, text/plain",
                Format::Classic,
            ),
            ("application/json", Format::Classic),
            (";;=,,q", Format::Classic),
        ] {
            assert_eq!(of(accept), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gets_a_format(accept in "[ -~]{0,80}") {
            of(&accept);
        }
    }
}
