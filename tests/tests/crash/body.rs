//! Bodies that identify themselves and can be verified.

/// The identity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    /// Which queue of [`super::QUEUES`] it was published to.
    pub(super) queue: u32,
    /// Who published it.
    pub(super) publisher: u32,
    /// Increases over the messages of a publisher to all queues and over all rounds.
    pub(super) number: u64,
}

/// The length of what precedes the padding: the id and a checksum.
const PREFIX: usize = 20;

impl Id {
    /// Creates a body with this many bytes of padding.
    pub(super) fn body(self, filling: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(PREFIX + filling);
        body.extend(self.queue.to_be_bytes());
        body.extend(self.publisher.to_be_bytes());
        body.extend(self.number.to_be_bytes());
        body.extend([0; 4]);
        let start = self.number as u8;
        body.extend((0..filling).map(|n| start.wrapping_add((n * 7) as u8)));
        let checksum = crc32fast::hash(&body);
        body[16..PREFIX].copy_from_slice(&checksum.to_be_bytes());
        body
    }

    /// Reads a body; panics on one that is damaged.
    pub(super) fn of(body: &[u8]) -> Self {
        assert!(body.len() >= PREFIX, "a body of {} octets", body.len());
        let checksum = u32::from_be_bytes([body[16], body[17], body[18], body[19]]);
        let mut blank = body.to_vec();
        blank[16..PREFIX].fill(0);
        assert_eq!(
            crc32fast::hash(&blank),
            checksum,
            "a damaged body of {}",
            body.len()
        );
        let word = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().expect("4 octets"));
        let number = u64::from_be_bytes(body[8..16].try_into().expect("8 octets"));
        Self {
            queue: word(0),
            publisher: word(4),
            number,
        }
    }
}
