//! Publishes that are taken in one pass do what those that come frame by frame do.

use super::broker;
use super::client::{Client, publish_bytes};
use super::requests::*;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::frame::{self, Split};
use leveret_protocol::values::FieldTable;
use proptest::prelude::*;

const QUEUES: [&str; 2] = ["q", "r"];

#[derive(Clone, Debug)]
enum Step {
    /// To this exchange, with this key, these properties, so large a body, so often in a row.
    Publish(&'static str, &'static str, Kind, usize, bool, u8),
    /// The queue is deleted, or declared again.
    Toggle(usize),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Persistent,
    Typed,
    Expiring,
    Headers,
    Impostor,
}

impl Kind {
    fn properties(self) -> BasicProperties {
        let plain = BasicProperties::default();
        match self {
            Kind::Plain => plain,
            Kind::Persistent => plain.with_delivery_mode(2),
            Kind::Typed => plain.with_content_type("text".into()),
            Kind::Expiring => plain.with_expiration("60000".into()),
            Kind::Headers => plain.with_headers(FieldTable::default()),
            Kind::Impostor => plain.with_user_id("somebody".into()),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(Kind::Plain),
        4 => Just(Kind::Persistent),
        1 => Just(Kind::Typed),
        1 => Just(Kind::Expiring),
        1 => Just(Kind::Headers),
        1 => Just(Kind::Impostor),
    ];
    let size = prop::sample::select(vec![0usize, 5, 100, 4096, 4097, 200_000]);
    let exchange = prop::sample::select(vec!["", "amq.fanout", "amq.direct"]);
    let key = prop::sample::select(vec!["q", "r", "nowhere"]);
    let publish = (exchange, key, kind, size, any::<bool>(), 1u8..5).prop_map(
        |(exchange, key, kind, size, mandatory, times)| {
            Step::Publish(exchange, key, kind, size, mandatory, times)
        },
    );
    prop_oneof![8 => publish, 1 => (0usize..2).prop_map(Step::Toggle)]
}

struct Side {
    client: Client,
    /// Every frame comes by itself.
    apart: bool,
    exists: [bool; 2],
    heard: Vec<String>,
}

impl Side {
    fn new(apart: bool, confirms: bool) -> Side {
        let mut client = Client::ready(&broker());
        for queue in QUEUES {
            client.ask(declare(queue));
            client.ask(bind(queue, "amq.fanout", ""));
            client.ask(bind(queue, "amq.direct", queue));
        }
        if confirms {
            client.ask(confirm_select());
        }
        Side {
            client,
            apart,
            exists: [true; 2],
            heard: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Toggle(which) => {
                self.exists[which] ^= true;
                let request = match self.exists[which] {
                    true => declare(QUEUES[which]),
                    false => delete(QUEUES[which]),
                };
                self.client.send(1, request);
            }
            Step::Publish(exchange, key, kind, size, mandatory, times) => {
                let mut publish = publish(exchange, key);
                publish.mandatory = mandatory;
                let (properties, body) = (kind.properties(), vec![b'x'; size]);
                let one = publish_bytes(1, publish, &properties, &body, 131_072);
                self.send(&one.repeat(usize::from(times)));
            }
        }
        self.heard.extend(self.client.hears());
    }

    fn send(&mut self, mut bytes: &[u8]) {
        if !self.apart {
            return self.client.bytes(bytes);
        }
        while let Ok(Split::Whole(whole)) = frame::split(bytes, 0) {
            self.client.bytes(&bytes[..whole.total()]);
            bytes = &bytes[whole.total()..];
        }
    }

    /// What was heard in all, and what is in the queues.
    fn outcome(mut self) -> (Vec<String>, Vec<String>) {
        let mut kept = Vec::new();
        let vhost = self.client.broker.vhost("/").expect("it is there");
        for queue in QUEUES.iter().filter_map(|name| vhost.queue(name)) {
            let mut fx = Default::default();
            while let Some((entry, _)) = queue.get(true, &mut fx) {
                let message = &entry.message;
                kept.push(format!(
                    "{:?} {:?} {:?} {} {} {:?}",
                    String::from_utf8_lossy(message.exchange()),
                    String::from_utf8_lossy(message.routing_key()),
                    message.properties(),
                    message.body().len(),
                    message.persistent(),
                    entry.position,
                ));
            }
        }
        self.heard.extend(self.client.hears());
        // One confirm may stand for several; which ones is left to chance.
        let last = self.heard.iter().rposition(|line| line.contains(" ack "));
        let last = last.map(|at| self.heard[at].replace(" multiple", ""));
        self.heard.retain(|line| !line.contains(" ack "));
        self.heard.extend(last);
        (self.heard, kept)
    }
}

proptest! {
    #[test]
    fn in_one_piece_or_frame_by_frame_the_outcome_is_the_same(
        steps in prop::collection::vec(step(), 1..20),
        confirms in any::<bool>(),
    ) {
        let mut sides = [Side::new(false, confirms), Side::new(true, confirms)];
        for step in &steps {
            for side in &mut sides {
                side.step(step);
            }
        }
        let [whole, apart] = sides.map(Side::outcome);
        prop_assert_eq!(whole, apart);
    }
}
