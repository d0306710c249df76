//! Tags of users and virtual hosts: a list of words. Older versions of RabbitMQ write them as one string, separated by
//! commas, and its HTTP API still accepts that.

use serde::{Deserialize, Deserializer};

/// Returns the tags in a string, without the spaces around them.
pub fn parse(text: &str) -> Vec<String> {
    let tags = text.split(',').map(str::trim);
    tags.filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Deserializes tags from either form.
///
/// # Errors
/// When it is neither a string nor a list of strings.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "tags must be a list of strings or a string")]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(d)? {
        Either::List(tags) => tags,
        Either::Text(text) => parse(&text),
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::auth::User;

    fn tags_of(tags: &str) -> Result<Vec<String>, String> {
        let user = format!(r#"{{"name":"u","password_hash":"","tags":{tags}}}"#);
        let user: Result<User, _> = serde_json::from_str(&user);
        user.map(|user| user.tags)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn tags_are_a_list_or_words_between_commas() {
        assert_eq!(
            tags_of(r#"["administrator"," x "]"#).unwrap(),
            ["administrator", " x "]
        );
        assert_eq!(
            tags_of(r#""administrator, monitoring,,""#).unwrap(),
            ["administrator", "monitoring"]
        );
        assert!(tags_of(r#""""#).unwrap().is_empty());
        assert!(tags_of("5").unwrap_err().contains("tags must be a list"));
    }
}
