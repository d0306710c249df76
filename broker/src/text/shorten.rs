//! Long texts, cut to what is kept or shown of them.

use std::borrow::Cow;

/// Returns the beginning of a text, `max` bytes of it at most.
pub fn beginning(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Returns a text, or its beginning and `...` if it has more than `max` bytes.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.len() <= max {
        true => text.into(),
        false => format!("{}...", beginning(text, max)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_cut_between_characters(text: String, max in 0..40_usize) {
            let kept = beginning(&text, max);
            prop_assert!(text.starts_with(kept) && kept.len() <= max);
            prop_assert!(text.len() <= max || kept.len() + 4 > max, "no more than needed is cut");
            let shown = shortened(&text, max);
            prop_assert_eq!(text.len() <= max, shown == text);
            prop_assert!(shown.starts_with(kept));
        }
    }
}
