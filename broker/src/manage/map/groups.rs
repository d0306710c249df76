//! Which queues stand for themselves on a map, and which make a group.
//!
//! A group is all queues whose names begin with its prefix. Names are divided after the first separator, a group that has
//! too many after the next one, as long as there is room. Names that have no separators to divide them well are divided by
//! their next letter.

use std::collections::BTreeMap;

/// What stands between the words of a name.
const SEPARATORS: [char; 5] = ['.', '-', '_', ':', '/'];
/// Queues that the broker has named make one group: the rest of their names says nothing.
const GENERATED: &str = "amq.gen-";

/// A queue, or a group of queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The beginning of the names in a group; `None` for a single queue.
    pub(super) prefix: Option<String>,
    /// The places of its queues.
    pub(super) members: Vec<usize>,
}

impl Part {
    fn of(prefix: String, members: Vec<usize>) -> Self {
        Part {
            prefix: (members.len() > 1).then_some(prefix),
            members,
        }
    }

    fn alone(member: usize) -> Self {
        Part {
            prefix: None,
            members: vec![member],
        }
    }
}

/// Divides the queues of these names, which all begin with `opened`, into at most `max` parts.
pub(super) fn parts(names: &[&str], opened: &str, max: usize) -> Vec<Part> {
    let mut generated = Vec::new();
    let mut others: Vec<usize> = (0..names.len()).collect();
    if !opened.starts_with(GENERATED) {
        (generated, others) = others
            .into_iter()
            .partition(|at| names[*at].starts_with(GENERATED));
    }
    let generated = (!generated.is_empty()).then(|| Part::of(GENERATED.to_owned(), generated));
    let max = max - usize::from(generated.is_some());
    let mut parts: Vec<Part> = match others.len() {
        few if few <= max => others.into_iter().map(Part::alone).collect(),
        _ => divided(names, opened, others, max),
    };
    parts.extend(generated);
    parts
}

/// Divides more queues than there is room for.
fn divided(names: &[&str], opened: &str, members: Vec<usize>, max: usize) -> Vec<Part> {
    let by_word = by_word(names, opened, &members);
    let mut parts = match by_word.len() {
        2.. if by_word.len() <= max => by_word,
        _ => by_letter(names, opened, &members, max),
    };
    // The largest first: it hides most.
    loop {
        let too_large = |part: &&mut Part| part.members.len() > max && part.prefix.is_some();
        let room = max - parts.len();
        let mut large: Vec<&mut Part> = parts.iter_mut().filter(too_large).collect();
        large.sort_by_key(|part| std::cmp::Reverse(part.members.len()));
        let smaller = large.into_iter().find_map(|part| {
            let prefix = part.prefix.as_deref().unwrap_or_default();
            let smaller = self::by_word(names, prefix, &part.members);
            // Groups of one queue each are no groups.
            let divides = smaller.len() > 1 && smaller.len() * 4 <= part.members.len();
            (divides && smaller.len() - 1 <= room).then(|| {
                part.members.clear();
                smaller
            })
        });
        let Some(smaller) = smaller else {
            return parts;
        };
        parts.retain(|part| !part.members.is_empty());
        parts.extend(smaller);
    }
}

/// Divides names after the first separator that follows what they all begin with.
fn by_word(names: &[&str], prefix: &str, members: &[usize]) -> Vec<Part> {
    let start = common(names, prefix, members);
    let mut words: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut parts = Vec::new();
    for at in members {
        let name = names[*at];
        match name[start..].find(SEPARATORS) {
            // All separators are a byte long.
            Some(end) => words.entry(&name[..=start + end]).or_default().push(*at),
            None => parts.push(Part::alone(*at)),
        }
    }
    let groups = words
        .into_iter()
        .map(|(prefix, members)| Part::of(prefix.to_owned(), members));
    parts.extend(groups);
    parts
}

/// Divides names by the letter that follows what they all begin with. What is too much for `max` parts stays together.
fn by_letter(names: &[&str], prefix: &str, members: &[usize], max: usize) -> Vec<Part> {
    let whole = lcp(names, prefix.len(), members);
    let mut letters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for at in members {
        let name = names[*at];
        let letter = name[whole..].chars().next().map_or(0, char::len_utf8);
        letters
            .entry(&name[..whole + letter])
            .or_default()
            .push(*at);
    }
    let mut parts: Vec<Part> = letters
        .into_iter()
        .map(|(prefix, members)| {
            let end = common(names, prefix, &members);
            let name = members.first().map_or(prefix, |at| names[*at]);
            Part::of(name[..end].to_owned(), members)
        })
        .collect();
    if parts.len() > max {
        parts.sort_by_key(|part| std::cmp::Reverse(part.members.len()));
        let rest = parts.split_off(max - 1);
        let rest = rest.into_iter().flat_map(|part| part.members).collect();
        let first = members.first().map_or("", |at| names[*at]);
        parts.push(Part::of(first[..whole].to_owned(), rest));
    }
    parts
}

/// Returns the length of what these names all begin with, up to the last separator in it; at least that of `prefix`.
fn common(names: &[&str], prefix: &str, members: &[usize]) -> usize {
    let Some(first) = members.first().map(|at| names[*at]) else {
        return prefix.len();
    };
    let end = lcp(names, prefix.len(), members);
    match first[prefix.len()..end].rfind(SEPARATORS) {
        Some(at) => prefix.len() + at + 1,
        None => prefix.len(),
    }
}

/// Returns the length of what these names all begin with; they are known to have the first `known` bytes in common.
fn lcp(names: &[&str], known: usize, members: &[usize]) -> usize {
    let Some((first, others)) = members.split_first() else {
        return known;
    };
    let first = names[*first];
    let mut end = first.len();
    for at in others {
        let pairs = first.bytes().zip(names[*at].bytes()).take(end);
        end = pairs.take_while(|(a, b)| a == b).count();
    }
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    end.max(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(names: &[String], opened: &str, max: usize) -> Vec<(String, usize)> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shown = parts(&names, opened, max).into_iter().map(|part| {
            let name = part
                .prefix
                .unwrap_or_else(|| names[part.members[0]].to_owned());
            (name, part.members.len())
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        shown
    }

    fn named(of: impl Fn(usize) -> String, count: usize) -> Vec<String> {
        (0..count).map(of).collect()
    }

    fn pairs(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
        pairs.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect()
    }

    #[test]
    fn few_queues_stand_for_themselves() {
        let names = named(|n| format!("a.{n}"), 3);
        let alone = [("a.0", 1), ("a.1", 1), ("a.2", 1)];
        assert_eq!(shown(&names, "", 200), pairs(&alone));
    }

    #[test]
    fn queues_with_the_same_first_word_make_a_group() {
        let mut names = named(|n| format!("{}.{n}", ["orders", "bills"][n % 2]), 400);
        names.push("alone".to_owned());
        let groups = [("alone", 1), ("bills.", 200), ("orders.", 200)];
        assert_eq!(shown(&names, "", 200), pairs(&groups));
    }

    #[test]
    fn a_first_word_that_all_have_divides_nothing() {
        let names = named(|n| format!("shop.{}.{n}", ["orders", "bills"][n % 2]), 400);
        let groups = [("shop.bills.", 200), ("shop.orders.", 200)];
        assert_eq!(shown(&names, "", 200), pairs(&groups));
    }

    #[test]
    fn a_group_with_too_many_is_divided_further() {
        let mut names = named(|n| format!("big-{}-{n}", n % 5), 1000);
        names.extend(named(|n| format!("small-{n}"), 100));
        let groups = [
            ("big-0-", 200),
            ("big-1-", 200),
            ("big-2-", 200),
            ("big-3-", 200),
            ("big-4-", 200),
            ("small-", 100),
        ];
        assert_eq!(shown(&names, "", 200), pairs(&groups));
    }

    #[test]
    fn names_without_separators_are_divided_by_letters() {
        let names = named(|n| format!("q{n:04}"), 3000);
        let groups = [("q0", 1000), ("q1", 1000), ("q2", 1000)];
        assert_eq!(shown(&names, "", 200), pairs(&groups));
        let names = named(|n| format!("q1{n:03}"), 1000);
        assert_eq!(shown(&names, "q1", 200)[0], ("q10".to_owned(), 100));
    }

    #[test]
    fn queues_that_the_broker_has_named_make_one_group() {
        let mut names = named(|n| format!("amq.gen-{n}_x"), 3);
        names.push("mine".to_owned());
        assert_eq!(
            shown(&names, "", 200),
            pairs(&[("amq.gen-", 3), ("mine", 1)])
        );
        names.pop();
        assert_eq!(shown(&names, "amq.gen-", 200).len(), 3);
    }

    #[test]
    fn an_opened_group_shows_its_queues() {
        let names = named(|n| format!("orders.{n}"), 150);
        assert_eq!(shown(&names, "orders.", 200).len(), 150);
    }

    #[test]
    fn names_that_share_nothing_stay_together_where_there_is_no_room() {
        let letter = |n: usize| char::from_u32(0x4e00 + n as u32).unwrap();
        let names = named(|n| letter(n).to_string(), 500);
        let shown = shown(&names, "", 200);
        assert_eq!((shown.len(), shown[0].clone()), (200, (String::new(), 301)));
    }

    proptest! {
        #[test]
        fn every_queue_is_in_one_part_and_a_group_has_all_that_begin_with_its_prefix(
            names in prop::collection::btree_set("[ab.é-]{0,8}", 1..300),
            max in 8usize..50,
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let parts = parts(&names, "", max);
            prop_assert!(parts.len() <= max);
            let mut all: Vec<usize> = parts.iter().flat_map(|part| part.members.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..names.len()).collect::<Vec<_>>());
            for part in &parts {
                match &part.prefix {
                    None => prop_assert_eq!(part.members.len(), 1),
                    Some(prefix) => {
                        let begin = names.iter().filter(|name| name.starts_with(prefix.as_str()));
                        prop_assert_eq!(begin.count(), part.members.len(), "{}", prefix);
                    }
                }
            }
        }
    }
}
