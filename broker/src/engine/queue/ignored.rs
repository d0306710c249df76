//! Arguments that are accepted but have no effect. RabbitMQ accepts them silently, and so do we
//! towards the client; but a typo in `x-overflow` can be found in the log.

use super::arguments::{is_known, is_known_of_consumers};
use super::settings::QueueKind;
use leveret_protocol::table;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// Why an argument has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It is unknown.
    Unknown,
    /// It is known, but has no effect here.
    WithoutEffect,
}

/// Returns queue.declare's arguments that have no effect on this kind of queue. Those that ask for
/// what every queue here does anyway (a leader on this node, a backlog on disk) are not among them.
pub fn of_queue(arguments: &FieldTable, kind: QueueKind) -> impl Iterator<Item = (&str, Ignored)> {
    let has = |name: &str| arguments.inner().contains_key(name);
    let rejects = arguments
        .inner()
        .get("x-overflow")
        .is_some_and(|value| is_text(value, "reject-publish"));
    let judged = move |name: &str, value: &AMQPValue| match name {
        // Neither has a meaning without the other.
        "x-delayed-retry-type" if !has("x-delayed-retry-min") && !is_text(value, "disabled") => {
            Some(Ignored::WithoutEffect)
        }
        "x-delayed-retry-min" | "x-delayed-retry-max" if !has("x-delayed-retry-type") => {
            Some(Ignored::WithoutEffect)
        }
        // `rabbit_quorum_queue:dead_letter_handler`: it falls back to at-most-once.
        "x-dead-letter-strategy" if is_text(value, "at-least-once") && !rejects => {
            Some(Ignored::WithoutEffect)
        }
        // A single node cannot have more members.
        "x-quorum-initial-group-size" | "x-quorum-target-group-size" | "x-initial-cluster-size"
            if table::as_integer(value) == Some(1) =>
        {
            None
        }
        "x-quorum-initial-group-size"
        | "x-quorum-target-group-size"
        | "x-initial-cluster-size"
        // All queues share one memory budget.
        | "x-max-in-memory-length"
        | "x-max-in-memory-bytes"
        | "x-stream-filter-size-bytes" => Some(Ignored::WithoutEffect),
        // The oldest are dropped (`rabbit_quorum_queue:overflow`).
        "x-overflow" if kind == QueueKind::Quorum && is_text(value, "reject-publish-dlx") => {
            Some(Ignored::WithoutEffect)
        }
        name => (!is_known(name)).then_some(Ignored::Unknown),
    };
    judge(arguments, judged)
}

/// Returns basic.consume's arguments that have no effect for a consumer of this kind of queue.
pub fn of_consumer(
    arguments: &FieldTable,
    kind: QueueKind,
) -> impl Iterator<Item = (&str, Ignored)> {
    judge(arguments, move |name, _| match name {
        "x-stream-filter" | "x-stream-match-unfiltered" if kind != QueueKind::Stream => {
            Some(Ignored::WithoutEffect)
        }
        name => (!is_known_of_consumers(name)).then_some(Ignored::Unknown),
    })
}

/// Returns the arguments of a table that have no effect, according to `judged`.
pub fn judge(
    arguments: &FieldTable,
    judged: impl Fn(&str, &AMQPValue) -> Option<Ignored>,
) -> impl Iterator<Item = (&str, Ignored)> {
    arguments
        .into_iter()
        .filter_map(move |(name, value)| Some((name.as_str(), judged(name.as_str(), value)?)))
}

fn is_text(value: &AMQPValue, text: &str) -> bool {
    matches!(value, AMQPValue::LongString(value) if value.as_bytes() == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::Ignored::{Unknown, WithoutEffect};
    use super::*;
    use crate::engine::test_tables::{table, text};

    #[test]
    fn names_that_nobody_knows_are_found_among_those_that_count() {
        let arguments = table(&[
            ("x-overflow", text("reject-publish")),
            ("x-overflw", text("reject-publish")),
            ("X-Message-TTL", AMQPValue::LongInt(5)),
            ("x-queue-mode", text("lazy")),
            ("x-queue-master-locator", text("client-local")),
            ("x-delivery-limit", AMQPValue::LongInt(5)),
            ("x-dead-letter-exchange", text("")),
            ("x-queue-type", text("classic")),
        ]);
        let found: Vec<_> = of_queue(&arguments, QueueKind::Classic).collect();
        assert_eq!(found, [("X-Message-TTL", Unknown), ("x-overflw", Unknown)]);
    }

    #[test]
    fn what_needs_another_argument_has_no_effect_without_it() {
        let retry = ("x-delayed-retry-type", text("failed"));
        let min = ("x-delayed-retry-min", AMQPValue::LongInt(1000));
        let strategy = ("x-dead-letter-strategy", text("at-least-once"));
        let rejects = ("x-overflow", text("reject-publish"));
        let none: &[&str] = &[];
        for (arguments, found) in [
            (std::slice::from_ref(&retry), &["x-delayed-retry-type"][..]),
            (std::slice::from_ref(&min), &["x-delayed-retry-min"]),
            (&[retry.clone(), min.clone()][..], none),
            (std::slice::from_ref(&strategy), &["x-dead-letter-strategy"]),
            (&[strategy.clone(), rejects][..], none),
        ] {
            let arguments = table(arguments);
            let ignored: Vec<_> = of_queue(&arguments, QueueKind::Quorum).collect();
            let found: Vec<_> = found.iter().map(|name| (*name, WithoutEffect)).collect();
            assert_eq!(ignored, found);
        }
    }

    #[test]
    fn what_asks_for_more_than_there_is_has_no_effect() {
        let arguments = table(&[
            ("x-max-in-memory-length", AMQPValue::LongInt(5)),
            ("x-overflow", text("reject-publish-dlx")),
            ("x-quorum-initial-group-size", AMQPValue::LongInt(3)),
            ("x-quorum-target-group-size", AMQPValue::LongInt(1)),
        ]);
        let found: Vec<_> = of_queue(&arguments, QueueKind::Quorum).collect();
        let expected = [
            "x-max-in-memory-length",
            "x-overflow",
            "x-quorum-initial-group-size",
        ];
        assert_eq!(found, expected.map(|name| (name, WithoutEffect)));
        let classic = table(&[("x-overflow", text("reject-publish-dlx"))]);
        assert_eq!(of_queue(&classic, QueueKind::Classic).count(), 0);
    }

    #[test]
    fn consumers_of_streams_may_filter_and_others_cannot() {
        let arguments = table(&[
            ("x-cancel-on-ha-failover", AMQPValue::Boolean(true)),
            ("x-consumer-timeout", AMQPValue::LongInt(5)),
            ("x-priorty", AMQPValue::LongInt(5)),
            ("x-stream-filter", text("a")),
        ]);
        let of = |kind| of_consumer(&arguments, kind).collect::<Vec<_>>();
        assert_eq!(of(QueueKind::Stream), [("x-priorty", Unknown)]);
        let expected = [("x-priorty", Unknown), ("x-stream-filter", WithoutEffect)];
        assert_eq!(of(QueueKind::Classic), expected);
    }
}
