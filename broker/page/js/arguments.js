// The arguments of queue.declare: which types of queues have them, what a person types for them, and what they do.

const TIMES = { ms: 1, s: 1000, m: 60e3, min: 60e3, h: 3600e3, d: 86400e3, w: 604800e3 };
const SIZES = { b: 1, k: 1024, kib: 1024, kb: 1e3, m: 2 ** 20, mib: 2 ** 20, mb: 1e6, g: 2 ** 30, gib: 2 ** 30, gb: 1e9, t: 2 ** 40, tib: 2 ** 40, tb: 1e12 };
const CLASSIC_AND_QUORUM = ["classic", "quorum"];

/**
 * Every argument: {key, title, group, types, kind, help}. `kind` is number, time (milliseconds), size (bytes), text, flag, or a
 * list of the values; `policy` is false for those that only a declaration can set, `typical` for those that are open in the form.
 */
export const ARGUMENTS = [
  { key: "x-max-length", title: "Messages at most", group: "Length", types: CLASSIC_AND_QUORUM, kind: "number", typical: true, help: "How many ready messages the queue holds. What happens beyond it, the overflow says." },
  { key: "x-max-length-bytes", title: "Bytes at most", group: "Length", types: ["classic", "quorum", "stream"], kind: "size", typical: true, help: "The same for the size of the bodies: 500000, or 10M, 2G. A stream removes its oldest segments beyond it." },
  { key: "x-overflow", title: "Overflow", group: "Length", types: CLASSIC_AND_QUORUM, kind: ["drop-head", "reject-publish", "reject-publish-dlx"], typical: true, help: "drop-head (unless set) drops the oldest messages, to the dead letter exchange if there is one. reject-publish refuses new ones: publishers with confirms get basic.nack. reject-publish-dlx also dead-letters what it refuses." },
  { key: "x-max-age", title: "Age at most", group: "Length", types: ["stream"], kind: "text", typical: true, placeholder: "7D", help: "Removes segments whose messages are all older: a number and Y, M, D, h, m or s. Without any limit a stream grows until the disk is full." },
  { key: "x-stream-max-segment-size-bytes", title: "Segment size", group: "Length", types: ["stream"], kind: "size", help: "The unit in which old messages are removed; at most 3000000000 bytes. Leveret uses no more than 4 MiB." },
  { key: "x-message-ttl", title: "Time to live of messages", group: "Time", types: CLASSIC_AND_QUORUM, kind: "time", typical: true, help: "How long a message may wait: milliseconds, or 30s, 5m, 2h, 1d. Then it is dropped, or dead-lettered if there is an exchange for that." },
  { key: "x-expires", title: "Expires unused", group: "Time", types: CLASSIC_AND_QUORUM, kind: "time", help: "Deletes the queue with its messages when for so long it had no consumer, no get and no declaration. For queues of clients that may never come back." },
  { key: "x-consumer-timeout", title: "Acknowledgement timeout", group: "Time", types: ["classic", "quorum", "stream"], kind: "time", help: "How long a consumer may hold a message unacknowledged before its channel is closed. 30 minutes unless set; 0 for no limit." },
  { key: "x-dead-letter-exchange", title: "Dead letter exchange", group: "Dead letters", types: CLASSIC_AND_QUORUM, kind: "text", typical: true, help: "Where messages go that are rejected, expire, exceed the length or fail too often. Without it they are dropped." },
  { key: "x-dead-letter-routing-key", title: "Dead letter routing key", group: "Dead letters", types: CLASSIC_AND_QUORUM, kind: "text", typical: true, help: "Their routing key then; needs the exchange. With the default exchange it is the name of a queue. Without it they keep their own key." },
  { key: "x-dead-letter-strategy", title: "Dead letter strategy", group: "Dead letters", types: ["quorum"], kind: ["at-most-once", "at-least-once"], help: "at-least-once keeps a dead letter until all its queues have it, and needs overflow reject-publish. at-most-once (unless set) sends it once." },
  { key: "x-delivery-limit", title: "Delivery limit", group: "Delivery", types: ["quorum"], kind: "number", min: null, typical: true, help: "How often a message may fail before it is dropped or dead-lettered, so that one bad message does not stop the consumers. 20 unless set; a negative number for no limit." },
  { key: "x-single-active-consumer", title: "Single active consumer", group: "Delivery", types: CLASSIC_AND_QUORUM, kind: "flag", typical: true, policy: false, help: "Only one consumer gets messages; when it goes, the next takes over. Keeps the order of messages with consumers in reserve." },
  { key: "x-max-priority", title: "Highest priority", group: "Delivery", types: ["classic"], kind: "number", max: 255, typical: true, policy: false, help: "Makes it a priority queue: messages with a higher priority property overtake others. 1 to 10 is plenty, each costs memory. Quorum queues have 0 to 31 without it." },
  { key: "x-delayed-retry-type", title: "Delayed retry", group: "Retries", types: CLASSIC_AND_QUORUM, kind: ["disabled", "failed", "returned", "all"], help: "Which messages wait before they are delivered again: failed (basic.reject with requeue, lost connections), returned (basic.nack with requeue), or all. Needs the shortest delay." },
  { key: "x-delayed-retry-min", title: "Shortest delay", group: "Retries", types: CLASSIC_AND_QUORUM, kind: "time", min: 1, help: "How long after the first failure; the second takes twice as long, the third three times." },
  { key: "x-delayed-retry-max", title: "Longest delay", group: "Retries", types: CLASSIC_AND_QUORUM, kind: "time", min: 1, help: "How long at most. The shortest delay unless set, so that it does not grow." },
  { key: "x-queue-mode", title: "Mode", group: "Storage", types: ["classic"], kind: ["default", "lazy"], help: "lazy kept messages on disk in older RabbitMQ. Leveret pages long backlogs out by itself: it has no effect here." },
  { key: "x-queue-version", title: "Version", group: "Storage", types: ["classic"], kind: ["1", "2"], numeric: true, help: "How RabbitMQ stores a classic queue. No effect in Leveret." },
  { key: "x-max-in-memory-length", title: "Messages in memory", group: "Storage", types: ["quorum"], kind: "number", help: "How many messages RabbitMQ 3 keeps in memory. No effect in Leveret and RabbitMQ 4." },
  { key: "x-max-in-memory-bytes", title: "Bytes in memory", group: "Storage", types: ["quorum"], kind: "size", help: "The same for the size of bodies. No effect in Leveret and RabbitMQ 4." },
  { key: "x-stream-filter-size-bytes", title: "Filter size", group: "Storage", types: ["stream"], kind: "number", min: 16, max: 255, help: "The size of RabbitMQ's filters for x-stream-filter. Filters work here without it." },
  { key: "x-queue-leader-locator", title: "Leader locator", group: "Cluster", types: ["classic", "quorum", "stream"], kind: ["client-local", "balanced", "random", "least-leaders"], help: "On which node of a cluster the queue has its leader. No effect on one node." },
  { key: "x-quorum-initial-group-size", title: "Members at first", group: "Cluster", types: ["quorum"], kind: "number", min: 1, policy: false, help: "How many nodes of a cluster have the queue. No effect on one node." },
  { key: "x-quorum-target-group-size", title: "Members wanted", group: "Cluster", types: ["quorum"], kind: "number", min: 1, policy: false, help: "How many nodes are to have it in the end. No effect on one node." },
  { key: "x-initial-cluster-size", title: "Replicas", group: "Cluster", types: ["stream"], kind: "number", min: 1, help: "How many nodes of a cluster have the stream. No effect on one node." },
  { key: "x-consumer-disconnected-timeout", title: "Disconnected consumers", group: "Cluster", types: ["quorum"], kind: "time", help: "How long consumers on an unreachable node are waited for. No effect on one node." },
];

/** The keys of policies for queues. */
export const policyKeys = ARGUMENTS.filter(({ policy }) => policy !== false).map(({ key }) => key.slice(2));

/** Returns the argument of this name, if it is a known one. */
export function argumentNamed(key) {
  return ARGUMENTS.find((argument) => argument.key === key);
}

function magnitude(typed, units, example) {
  const [, figure, unit] = /^(-?\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(typed.trim()) ?? [];
  const size = unit ? units[unit.toLowerCase()] : 1;
  const value = Number(figure) * size;
  if (!Number.isSafeInteger(value)) throw new Error(`is a whole number, or one with a unit such as ${example}`);
  return value;
}

/** Returns the value that a person has typed for an argument; undefined if nothing. Throws what is wrong with it. */
export function readArgument(argument, typed) {
  const { kind, title, min = 0, max, numeric } = argument;
  if (kind === "flag") return typed === true ? true : undefined;
  if (typed === undefined || typed === "") return undefined;
  if (kind === "text" || (Array.isArray(kind) && !numeric)) return typed;
  try {
    const value = kind === "time" ? magnitude(typed, TIMES, "30s, 5m or 2h") : kind === "size" ? magnitude(typed, SIZES, "500K, 10M or 2G") : magnitude(typed, {}, "1000");
    if (min !== null && value < min) throw new Error(`is at least ${min}`);
    if (max !== undefined && value > max) throw new Error(`is at most ${max}`);
    return value;
  } catch (error) {
    throw new Error(`${title} ${error.message}.`);
  }
}
