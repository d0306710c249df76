//! Which bindings of an exchange a message takes, as far as the budget goes.

use super::budget::Budget;
use super::why::Ways;
use super::{BINDINGS_MAX, ExplainedBinding};
use crate::engine::exchange::binding::{Binding, Destination};
use crate::engine::exchange::bindings::Bindings;
use crate::engine::exchange::{Exchange, ExchangeKind, Routable};
use crate::engine::queue::Queue;
use std::collections::HashSet;
use std::sync::Arc;

/// The bindings of one exchange that are compared with the message at most.
const COMPARED_MAX: usize = 20_000;

/// The bindings of an exchange that is asked, as they were: those that may be shown. Each comes with whether it counts at
/// all.
#[derive(Default)]
pub(super) struct Copied {
    /// How many there are.
    pub(super) total: usize,
    /// What a consistent-hash exchange hashes.
    pub(super) hashed: Option<String>,
    /// Those that lead where the message goes, those to exchanges first: these say how the next steps are reached.
    leading: Vec<(Binding, bool)>,
    others: Vec<(Binding, bool)>,
    /// Some that lead where the message goes are left out.
    is_cut: bool,
}

/// What is shown of an exchange's bindings.
#[derive(Default)]
pub(super) struct Judged {
    /// Those that match first.
    pub(super) shown: Vec<ExplainedBinding>,
    /// Bindings that lead to exchanges, and match.
    pub(super) to_exchanges: Vec<Binding>,
    /// There may be more that match.
    pub(super) is_cut: bool,
}

impl Copied {
    /// Copies the bindings of an exchange that lead to these queues and exchanges, and some others. This holds up publishes,
    /// so it compares nothing.
    pub(super) fn of(
        bindings: &Bindings,
        queues: &[Arc<Queue>],
        exchanges: &[Arc<Exchange>],
        budget: &mut Budget,
    ) -> Self {
        let mut copied = Copied {
            total: bindings.len(),
            hashed: bindings.hashed(),
            ..Copied::default()
        };
        let queues: HashSet<_> = queues.iter().map(Arc::as_ptr).collect();
        let exchanges: HashSet<_> = exchanges.iter().map(Arc::as_ptr).collect();
        let (mut leading, mut to_queues, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for known in bindings.known() {
            let list = match &known.binding.destination {
                Destination::Exchange(to) if exchanges.contains(&Arc::as_ptr(to)) => &mut leading,
                Destination::Queue(to) if queues.contains(&Arc::as_ptr(to)) => &mut to_queues,
                _ => &mut others,
            };
            // Which one leads there is known.
            let list = if known.counts { list } else { &mut others };
            list.push(known);
            others.truncate(BINDINGS_MAX);
        }
        leading.append(&mut to_queues);
        let compared = leading.iter().take(COMPARED_MAX);
        let fitting = compared.take_while(|known| budget.copy(known.bytes));
        copied.leading = fitting.map(|it| (it.binding.clone(), it.counts)).collect();
        copied.is_cut = copied.leading.len() < leading.len();
        let fitting = others.iter().take_while(|known| budget.copy(known.bytes));
        copied.others = fitting.map(|it| (it.binding.clone(), it.counts)).collect();
        copied
    }

    /// Compares bindings with the message until there are `room` to show.
    pub(super) fn judged(
        self,
        exchange: &Exchange,
        ways: &Ways<'_>,
        room: usize,
        budget: &mut Budget,
    ) -> Judged {
        let mut judged = Judged::default();
        let mut rest = Vec::new();
        let mut is_cut = self.is_cut;
        for (binding, counts) in self.leading {
            let to_exchange = matches!(binding.destination, Destination::Exchange(_));
            let is_shown = judged.shown.len() < room;
            if !is_shown && !to_exchange {
                break;
            }
            // Whether it is this binding that leads there, or another one, the exchange's own index says.
            match leads_on(exchange, &binding, ways.message, budget) {
                Some(true) => {
                    if to_exchange {
                        judged.to_exchanges.push(binding.clone());
                    }
                    if is_shown {
                        judged.shown.push(ways.explained(binding, true, counts));
                    }
                }
                Some(false) => rest.push((binding, counts)),
                None => {
                    is_cut = true;
                    break;
                }
            }
        }
        judged.is_cut = is_cut && judged.shown.len() < room;
        for (binding, counts) in rest.into_iter().chain(self.others) {
            if judged.shown.len() == room {
                break;
            }
            if !budget.compare() {
                judged.is_cut = true;
                break;
            }
            judged.shown.push(ways.explained(binding, false, counts));
        }
        judged
    }
}

/// Returns whether an exchange with no other binding would send the message this way; `None` if the budget is spent.
fn leads_on(
    exchange: &Exchange,
    binding: &Binding,
    message: &Routable<'_>,
    budget: &mut Budget,
) -> Option<bool> {
    let mut alone = Bindings::new(&exchange.spec);
    alone.add(binding.clone());
    let mut leads = false;
    let by_key = matches!(
        exchange.spec.routed_by(),
        ExchangeKind::Direct | ExchangeKind::Topic
    );
    // With CC there may be very many keys, and each of them costs.
    let keys_at_a_time = if by_key { 1 } else { usize::MAX };
    for keys in message.routing_keys.chunks(keys_at_a_time) {
        if !budget.compare() {
            return None;
        }
        let message = Routable {
            routing_keys: keys,
            ..*message
        };
        alone.matching(&message, &mut |_| leads = true);
        if leads {
            break;
        }
    }
    Some(leads)
}
