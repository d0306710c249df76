//! The channels of a connection, by number.

use super::channel::Channel;
use leveret_protocol::ChannelId;

/// Channels, sorted by number.
///
/// Clients choose the numbers, from 1 to 65535: memory must depend on how many channels there are,
/// not on how they are numbered.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<(ChannelId, Box<Channel>)>);

impl Channels {
    /// Finds the index of a channel, or where it would be inserted. Most clients count from 1
    /// without gaps, so the number is tried as the index first.
    #[inline]
    fn place(&self, id: ChannelId) -> Result<usize, usize> {
        let guess = usize::from(id.0).wrapping_sub(1);
        if self.0.get(guess).is_some_and(|(found, _)| *found == id) {
            return Ok(guess);
        }
        self.0.binary_search_by_key(&id, |(found, _)| *found)
    }

    /// Returns the channel with this number.
    #[inline]
    pub(super) fn get(&self, id: ChannelId) -> Option<&Channel> {
        Some(&*self.0[self.place(id).ok()?].1)
    }

    /// Returns the channel with this number, mutably.
    #[inline]
    pub(super) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let place = self.place(id).ok()?;
        Some(&mut *self.0[place].1)
    }

    /// Adds a channel; returns the one that had its number before.
    pub(super) fn insert(&mut self, channel: Channel) -> Option<Box<Channel>> {
        let (id, channel) = (channel.id, Box::new(channel));
        match self.place(id) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, channel)),
            Err(place) => {
                self.0.insert(place, (id, channel));
                None
            }
        }
    }

    /// Removes the channel with this number and returns it.
    pub(super) fn remove(&mut self, id: ChannelId) -> Option<Box<Channel>> {
        let place = self.place(id).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Returns the number of channels.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over all channels.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter().map(|(_, channel)| &**channel)
    }

    /// Iterates over all channels, mutably.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.0.iter_mut().map(|(_, channel)| &mut **channel)
    }

    /// Returns their numbers, for callers that change the connection while iterating.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        self.0.iter().map(|(id, _)| *id).collect()
    }

    /// Frees the memory of unused capacity.
    pub(super) fn release_memory(&mut self) {
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn they_behave_as_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![1u16..12, any::<u16>()]), 0..200),
        ) {
            let (mut channels, holdings) = (Channels::default(), Arc::default());
            let mut model = BTreeMap::new();
            for (epoch, (open, number)) in steps.into_iter().enumerate() {
                let (id, epoch) = (ChannelId(number), epoch as u16);
                let before = match open {
                    true => channels.insert(Channel::new(id, epoch, &holdings)),
                    false => channels.remove(id),
                };
                let expected = match open {
                    true => model.insert(number, epoch),
                    false => model.remove(&number),
                };
                prop_assert_eq!(before.map(|channel| channel.epoch), expected);
                for number in [number, 1, 2, 3, u16::MAX] {
                    let found = channels.get(ChannelId(number)).map(|channel| channel.epoch);
                    prop_assert_eq!(found, model.get(&number).copied());
                }
                let all: Vec<(u16, u16)> = channels.iter().map(|c| (c.id.0, c.epoch)).collect();
                prop_assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
