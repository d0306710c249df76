//! Why a message goes where it goes: the walk that routes it, observed.
//!
//! Nothing here decides on a route. [`Route`] finds it with the indexes that publishes use, and what it finds is looked up
//! among the exchange's bindings afterwards.

mod budget;
mod judge;
mod why;

pub(super) use budget::Budget;

use super::binding::{Binding, Destination};
use super::bindings::Bindings;
use super::delayed::waited;
use super::route::Observer;
use super::{Directory, Exchange, Routable, Route};
use crate::engine::queue::Queue;
use judge::Copied;
use leveret_protocol::ExchangeName;
use std::collections::HashMap;
use std::sync::Arc;

/// The bindings that are explained of one exchange at most.
const BINDINGS_MAX: usize = 200;
/// The exchanges that are explained at most.
const STEPS_MAX: usize = 100;
/// The bindings that are explained at most of all exchanges together.
const ALL_BINDINGS_MAX: usize = 2000;

/// Where a message would go, and why.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The queues, without duplicates.
    pub queues: Vec<Arc<Queue>>,
    /// The exchanges on the way, in the order in which they are asked.
    pub steps: Vec<Step>,
    /// How many more exchanges there are on the way.
    pub steps_not_shown: usize,
}

/// An exchange on the way.
#[derive(Debug)]
pub struct Step {
    /// The exchange; `None` for the default exchange.
    pub exchange: Option<Arc<Exchange>>,
    /// From where the message reaches it; `None` for the first one.
    pub reached_by: Option<Reached>,
    /// Its bindings, those that match first.
    pub bindings: Vec<ExplainedBinding>,
    /// How many more bindings it has.
    pub not_shown: usize,
    /// What else there is to say, in sentences.
    pub note: Option<String>,
}

/// How a message reaches an exchange that it was not published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// By a binding of this exchange with this routing key; `None` if it would have cost too much to find.
    Binding(ExchangeName, Option<String>),
    /// As the alternate exchange of this one.
    Alternate(ExchangeName),
}

/// A binding, and what it does to the message.
#[derive(Clone, Debug)]
pub struct ExplainedBinding {
    /// The binding.
    pub binding: Binding,
    /// Whether the message goes its way.
    pub matched: bool,
    /// Why, in a sentence.
    pub why: String,
}

impl Explanation {
    /// Explains the route of a message from an exchange. A message that a delayed exchange would keep is followed to where
    /// it would go if it were due now.
    ///
    /// The queues are all there. What is said about the bindings is bounded, in time too: what is left out is counted.
    pub fn of(start: &Arc<Exchange>, message: &Routable<'_>, directory: &dyn Directory) -> Self {
        Explanation::within(Budget::default(), start, message, directory)
    }

    pub(super) fn within(
        budget: Budget,
        start: &Arc<Exchange>,
        message: &Routable<'_>,
        directory: &dyn Directory,
    ) -> Self {
        let mut route = Route::default();
        let mut trail = Trail::of(message, budget);
        route.find_observed(start, message, directory, &mut trail);
        let mut queues = std::mem::take(&mut route.queues);
        let properties = waited(message.properties);
        let due = Routable {
            properties: &properties,
            ..*message
        };
        for exchange in std::mem::take(&mut trail.kept_by) {
            trail.waited = Some(exchange.clone());
            trail.message = due;
            route.find_observed(&exchange, &due, directory, &mut trail);
            queues.append(&mut route.queues);
        }
        queues.sort_unstable_by_key(|queue| queue.id);
        queues.dedup_by_key(|queue| queue.id);
        Explanation {
            queues,
            steps: trail.steps,
            steps_not_shown: trail.steps_not_shown,
        }
    }

    /// Explains the route of a message that is published to the default exchange with these keys, to these queues.
    pub fn by_name(queues: Vec<Arc<Queue>>, keys: &[&[u8]]) -> Self {
        let shown = queues
            .iter()
            .take(BINDINGS_MAX)
            .map(|queue| ExplainedBinding {
                binding: Binding {
                    destination: Destination::Queue(queue.clone()),
                    key: queue.name().as_str().into(),
                    arguments: leveret_protocol::values::FieldTable::default(),
                },
                matched: true,
                why: "The routing key is the name of the queue.".to_owned(),
            });
        let step = Step {
            exchange: None,
            reached_by: None,
            bindings: shown.collect(),
            not_shown: queues.len().saturating_sub(BINDINGS_MAX),
            note: queues.is_empty().then(|| why::no_queue_named(keys)),
        };
        Explanation {
            queues,
            steps: vec![step],
            steps_not_shown: 0,
        }
    }
}

/// The way of a message so far.
struct Trail<'a> {
    message: Routable<'a>,
    steps: Vec<Step>,
    steps_not_shown: usize,
    bindings: usize,
    budget: Budget,
    /// From where exchanges are reached, by their addresses. The last one counts: it is followed first.
    reached: HashMap<usize, Reached>,
    /// The exchange that was asked last.
    asked: Option<ExchangeName>,
    /// Delayed exchanges that keep the message.
    kept_by: Vec<Arc<Exchange>>,
    /// The delayed exchange that the message comes from, after its delay.
    waited: Option<Arc<Exchange>>,
}

impl<'a> Trail<'a> {
    fn of(message: &Routable<'a>, budget: Budget) -> Self {
        Trail {
            message: *message,
            steps: Vec::new(),
            steps_not_shown: 0,
            bindings: 0,
            budget,
            reached: HashMap::new(),
            asked: None,
            kept_by: Vec::new(),
            waited: None,
        }
    }

    fn add_note(&mut self, note: String) {
        // If the step is not shown, its note is not either.
        if self.steps_not_shown > 0 {
            return;
        }
        if let Some(step) = self.steps.last_mut() {
            step.note = Some(match step.note.take() {
                Some(before) => format!("{before} {note}"),
                None => note,
            });
        }
    }

    /// Compares the bindings with the message, and adds the step to those that are shown.
    fn add_step(
        &mut self,
        exchange: &Arc<Exchange>,
        mut copied: Copied,
        exchanges: &[Arc<Exchange>],
    ) {
        let (total, hashed) = (copied.total, copied.hashed.take());
        let ways = why::Ways {
            spec: &exchange.spec,
            message: &self.message,
            hashed: hashed.as_deref(),
            bindings: total,
        };
        let room = BINDINGS_MAX.min(ALL_BINDINGS_MAX.saturating_sub(self.bindings));
        let judged = copied.judged(exchange, &ways, room, &mut self.budget);
        let note = ways.note();
        let reached_by = self.reached.get(&Arc::as_ptr(exchange).addr()).cloned();
        let from = exchange.name();
        for reached in exchanges {
            let by = Reached::Binding(from.clone(), None);
            self.reached.insert(Arc::as_ptr(reached).addr(), by);
        }
        for binding in judged.to_exchanges {
            let by = Reached::Binding(from.clone(), Some(binding.key.to_string()));
            self.reached.insert(binding.destination.identity(), by);
        }
        self.bindings += judged.shown.len();
        self.steps.push(Step {
            exchange: Some(exchange.clone()),
            reached_by: reached_by.filter(|_| !self.steps.is_empty()),
            not_shown: total - judged.shown.len(),
            bindings: judged.shown,
            note,
        });
        if judged.is_cut {
            let note = "There is too much to compare: others that are not shown may match, too.";
            self.add_note(note.to_owned());
        }
    }
}

impl Observer for Trail<'_> {
    type Copied = Copied;

    fn copy(
        &mut self,
        bindings: &Bindings,
        queues: &[Arc<Queue>],
        exchanges: &[Arc<Exchange>],
    ) -> Copied {
        match self.steps.len() {
            STEPS_MAX => Copied::default(),
            _ => Copied::of(bindings, queues, exchanges, &mut self.budget),
        }
    }

    fn asked(
        &mut self,
        exchange: &Arc<Exchange>,
        copied: Copied,
        queues: &[Arc<Queue>],
        exchanges: &[Arc<Exchange>],
    ) {
        let waited = self.waited.take_if(|waited| Arc::ptr_eq(waited, exchange));
        self.asked = Some(exchange.name().clone());
        if self.steps.len() == STEPS_MAX {
            self.steps_not_shown += 1;
            return;
        }
        self.add_step(exchange, copied, exchanges);
        if waited.is_some() {
            let note =
                "The exchange keeps the message for its delay; this is how it is routed then.";
            self.add_note(note.to_owned());
        }
        if queues.is_empty() && exchanges.is_empty() && exchange.alternate().is_none() {
            let note =
                "No binding matches, and there is no alternate exchange: the message ends here.";
            self.add_note(note.to_owned());
        }
    }

    fn turned_to(&mut self, name: &ExchangeName, alternate: Option<&Arc<Exchange>>) {
        let note = match alternate {
            Some(alternate) => {
                if let Some(from) = self.asked.clone() {
                    let address = Arc::as_ptr(alternate).addr();
                    self.reached.insert(address, Reached::Alternate(from));
                }
                format!(
                    "No binding matches, so the message goes to the alternate exchange \"{name}\"."
                )
            }
            None => format!(
                "No binding matches, and the alternate exchange \"{name}\" does not exist: the message ends here."
            ),
        };
        self.add_note(note);
    }

    fn kept_by(&mut self, exchange: &Arc<Exchange>) {
        self.kept_by.push(exchange.clone());
    }
}
