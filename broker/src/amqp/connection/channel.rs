//! The state of a channel.

use super::ack_timeout::Marks;
use super::confirms::{Confirms, LOW_BITS, SequenceBits};
use super::content::Content;
use super::memory_limits::{CHANNEL, CONSUMER};
use super::reply_to::ReplyConsumer;
use super::transaction::Transaction;
use super::unacked::Unacked;
use crate::engine::queue::{Consumer, Credit};
use crate::engine::statistics::{MessageStats, Tracked};
use crate::plumbing::ledger::{Holdings, Kind, Part};
use bytes::Bytes;
use leveret_protocol::classes::AMQPClass;
use leveret_protocol::frame::Frame;
use leveret_protocol::{ChannelId, ConsumerTag, DeliveryTag, QueueName};
use leveret_storage::{QueueId, Token};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    /// Distinguishes this channel from earlier ones of the same number in the store's answers.
    pub(super) epoch: u16,
    /// We sent channel.close and wait for the answer; everything else is dropped.
    pub(super) closing: bool,
    pub(super) content: Content,
    /// Memory used by `content`.
    pub(super) unfinished: Part,
    /// Memory used by the channel itself and its consumers.
    pub(super) declared: Part,
    /// Reused for the routing key of the publish that is being read.
    pub(super) routing_key: Vec<u8>,
    pub(super) deferred: Option<Deferred>,
    pub(super) next_tag: DeliveryTag,
    pub(super) unacked: Unacked,
    pub(super) marks: Marks,
    pub(super) consumers: BTreeMap<ConsumerTag, Arc<Consumer>>,
    /// Prefetch for consumers that are started from now on; 0 for no limit.
    pub(super) prefetch: u32,
    pub(super) credit: Arc<Credit>,
    /// The queue that was last given credit while several waited.
    pub(super) last_turn: Option<QueueId>,
    pub(super) confirms: Option<Confirms>,
    pub(super) transaction: Option<Box<Transaction>>,
    pub(super) last_queue: Option<QueueName>,
    pub(super) replies: Option<ReplyConsumer>,
    /// What it has counted.
    pub(super) stats: MessageStats,
    /// What the sampler keeps of it.
    pub(super) tracked: Arc<Tracked>,
}

/// A channel whose frames wait in order: for the store, and then perhaps for the peer to read the
/// answers to earlier ones.
#[derive(Debug)]
pub(super) struct Deferred {
    /// The answer from the store that the channel waits for.
    pub(super) wait: Option<Wait>,
    /// Frames that arrived meanwhile.
    pub(super) frames: VecDeque<(Frame, Bytes)>,
}

/// A reply that has to wait for the store.
#[derive(Debug)]
pub(super) struct Wait {
    /// The token that the store will return.
    pub(super) token: Token,
    /// The reply to send then.
    pub(super) reply: AMQPClass,
    /// Notices to send right after the reply: for example the consumers that ended together with
    /// the queue that this channel deletes. RabbitMQ's channels, too, reply before they pass on
    /// such news.
    pub(super) notices: Vec<AMQPClass>,
}

/// Layout of a token, from the highest bits down: the channel, its epoch, the low bits of the publish's sequence
/// number, whether it is a wait for something other than a confirm, and a one, so that no token is 0.
const CHANNEL_SHIFT: u32 = 48;
const EPOCH_SHIFT: u32 = 32;
const SEQUENCE_SHIFT: u32 = EPOCH_SHIFT - LOW_BITS;
const WAIT_BIT: u64 = 1 << 1;

/// Returns the channel that a token belongs to.
pub(super) fn channel_of(token: Token) -> ChannelId {
    ChannelId((token.0.get() >> CHANNEL_SHIFT) as u16)
}

/// What a token from the store stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMeaning {
    /// A publish whose sequence number ends with these bits is safe.
    Confirm(SequenceBits),
    /// What the channel waits for is stored.
    Wait,
    /// Its channel has closed.
    Stale,
}

impl Channel {
    pub(super) fn new(id: ChannelId, epoch: u16, holdings: &Arc<Holdings>) -> Self {
        let mut declared = Part::new(holdings, Kind::Declared);
        declared.set(CHANNEL);
        Channel {
            id,
            epoch,
            closing: false,
            content: Content::Method,
            unfinished: Part::new(holdings, Kind::Unfinished),
            declared,
            routing_key: Vec::new(),
            deferred: None,
            next_tag: DeliveryTag(1),
            unacked: Unacked::counted(Part::new(holdings, Kind::Unacknowledged)),
            marks: Marks::default(),
            consumers: BTreeMap::new(),
            prefetch: 0,
            credit: Arc::new(Credit::new(0)),
            last_turn: None,
            confirms: None,
            transaction: None,
            last_queue: None,
            replies: None,
            stats: MessageStats::default(),
            tracked: Arc::default(),
        }
    }

    pub(super) fn add_consumer(&mut self, consumer: Arc<Consumer>) {
        self.declared.add(consumer_bytes(&consumer));
        self.consumers.insert(consumer.tag.clone(), consumer);
    }

    pub(super) fn remove_consumer(&mut self, tag: &str) {
        if let Some(consumer) = self.consumers.remove(tag) {
            self.declared.remove(consumer_bytes(&consumer));
        }
    }

    /// Returns the next delivery tag.
    pub(super) fn take_tag(&mut self) -> DeliveryTag {
        let tag = self.next_tag;
        self.next_tag = DeliveryTag(tag.0 + 1);
        tag
    }

    /// Counts a publish if the channel is in confirm mode. Returns its token.
    #[inline]
    pub(super) fn count_confirm(&mut self, storing: u32) -> Option<Token> {
        let sequence = self.confirms.as_mut()?.publish(storing);
        Some(self.confirm_token(sequence))
    }

    pub(super) fn confirm_token(&self, sequence: u64) -> Token {
        self.token(u64::from(SequenceBits::of(sequence).0) << SEQUENCE_SHIFT)
    }

    pub(super) fn wait_token(&self) -> Token {
        self.token(WAIT_BIT)
    }

    fn token(&self, rest: u64) -> Token {
        let channel = u64::from(self.id.0) << CHANNEL_SHIFT;
        let epoch = u64::from(self.epoch) << EPOCH_SHIFT;
        Token(NonZeroU64::MIN | channel | epoch | rest)
    }

    pub(super) fn meaning(&self, token: Token) -> TokenMeaning {
        let token = token.0.get();
        if (token >> EPOCH_SHIFT) as u16 != self.epoch {
            TokenMeaning::Stale
        } else if token & WAIT_BIT != 0 {
            TokenMeaning::Wait
        } else {
            TokenMeaning::Confirm(SequenceBits::of(token >> SEQUENCE_SHIFT))
        }
    }
}

/// Returns the approximate memory that a consumer takes, in bytes.
fn consumer_bytes(consumer: &Consumer) -> u64 {
    CONSUMER + (consumer.tag.as_str().len() + consumer.arguments.bytes()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_an_earlier_channel_of_the_same_number_mean_nothing() {
        let (old, new) = (
            Channel::new(ChannelId(3), 9, &Arc::default()),
            Channel::new(ChannelId(3), 10, &Arc::default()),
        );
        let confirm = |sequence| TokenMeaning::Confirm(SequenceBits::of(sequence));
        assert_eq!(old.meaning(old.confirm_token(77)), confirm(77));
        assert_eq!(old.meaning(old.confirm_token(u64::MAX)), confirm(u64::MAX));
        assert_eq!(channel_of(old.confirm_token(u64::MAX)), ChannelId(3));
        assert_eq!(channel_of(new.wait_token()), ChannelId(3));
        assert_eq!(old.meaning(old.wait_token()), TokenMeaning::Wait);
        assert_eq!(new.meaning(old.confirm_token(77)), TokenMeaning::Stale);
        assert_eq!(new.meaning(old.wait_token()), TokenMeaning::Stale);
    }
}
