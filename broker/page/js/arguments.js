// The arguments of queue.declare: which types of queues have them, what a person types for them, and what they do.

const TIMES = { ms: 1, s: 1e3, m: 6e4, min: 6e4, h: 36e5, d: 864e5 };
const SIZES = { b: 1, k: 2 ** 10, kib: 2 ** 10, m: 2 ** 20, mib: 2 ** 20, g: 2 ** 30, gib: 2 ** 30, t: 2 ** 40, tib: 2 ** 40 };

// `types` has the first letters of the types. `more`: min, max, `hidden` for those that few need, `declared` for those that no
// policy can set, `numeric` for a choice of numbers.
const argument = (key, title, group, types, kind, help, more) => ({ key: `x-${key}`, title, group, types, kind, help, ...more });
const few = { hidden: true };

/** Every argument. `kind` is number, time (milliseconds), size (bytes), text, flag, or a list of the values. */
export const ARGUMENTS = [
  argument("max-length", "Messages at most", "Length", "cq", "number", "How many ready messages it holds; the overflow says what happens beyond."),
  argument("max-length-bytes", "Bytes at most", "Length", "cqs", "size", "The same for the size of the bodies: 500000, 10M or 2G. A stream removes its oldest segments."),
  argument("overflow", "Overflow", "Length", "cq", ["drop-head", "reject-publish", "reject-publish-dlx"], "drop-head (unless set) drops the oldest messages. reject-publish refuses new ones: publishers with confirms get basic.nack. reject-publish-dlx dead-letters those, too."),
  argument("max-age", "Age at most", "Length", "s", "text", "Removes segments of older messages: a number and Y, M, D, h, m or s, such as 7D. Without a limit a stream grows until the disk is full."),
  argument("stream-max-segment-size-bytes", "Segment size", "Length", "s", "size", "The unit in which old messages are removed; Leveret uses no more than 4 MiB.", { max: 3e9 }),
  argument("message-ttl", "Time to live of messages", "Time", "cq", "time", "How long a message may wait: milliseconds, or 30s, 5m, 2h, 1d. Then it is dropped or dead-lettered."),
  argument("expires", "Expires unused", "Time", "cq", "time", "Deletes the queue with its messages when it had no consumer, get or declaration for so long.", { min: 1 }),
  argument("consumer-timeout", "Acknowledgement timeout", "Time", "cqs", "time", "How long a consumer may hold a message before its channel is closed. 30 minutes unless set; 0 for no limit."),
  argument("dead-letter-exchange", "Dead letter exchange", "Dead letters", "cq", "text", "Where messages go that are rejected, expire, exceed the length or fail too often. Without it they are dropped."),
  argument("dead-letter-routing-key", "Dead letter routing key", "Dead letters", "cq", "text", "Their new key; with the default exchange the name of a queue. Without it they keep their own."),
  argument("dead-letter-strategy", "Dead letter strategy", "Dead letters", "q", ["at-most-once", "at-least-once"], "at-least-once keeps a dead letter until its queues have it; needs overflow reject-publish."),
  argument("delivery-limit", "Delivery limit", "Delivery", "q", "number", "How often a message may fail before it is dropped or dead-lettered. 20 unless set; negative for no limit.", { min: -Infinity }),
  argument("single-active-consumer", "Single active consumer", "Delivery", "cq", "flag", "Only one consumer gets messages, in their order; when it goes, the next takes over.", { declared: true }),
  argument("max-priority", "Highest priority", "Delivery", "c", "number", "Messages with a higher priority property overtake others. Up to 10 is plenty. Quorum queues have 0 to 31 without it.", { max: 255, declared: true }),
  argument("delayed-retry-type", "Delayed retry", "Retries", "cq", ["disabled", "failed", "returned", "all"], "Which messages wait before they come again: failed (reject with requeue, lost connections), returned (nack with requeue) or all.", few),
  argument("delayed-retry-min", "Shortest delay", "Retries", "cq", "time", "After the first failure; twice as long after the second, and so on. Nothing waits without it.", { min: 1, ...few }),
  argument("delayed-retry-max", "Longest delay", "Retries", "cq", "time", "The shortest delay unless set: then it does not grow.", { min: 1, ...few }),
  argument("queue-mode", "Mode", "Without effect here", "c", ["default", "lazy"], "lazy kept messages on disk in RabbitMQ 3. Long backlogs are paged out by themselves.", few),
  argument("queue-version", "Version", "Without effect here", "c", ["1", "2"], "How RabbitMQ stores a classic queue.", { numeric: true, ...few }),
  argument("max-in-memory-length", "Messages in memory", "Without effect here", "q", "number", "For RabbitMQ 3.", few),
  argument("max-in-memory-bytes", "Bytes in memory", "Without effect here", "q", "size", "For RabbitMQ 3.", few),
  argument("stream-filter-size-bytes", "Filter size", "Without effect here", "s", "number", "For RabbitMQ's filters, 16 to 255.", { min: 16, max: 255, ...few }),
  argument("queue-leader-locator", "Leader locator", "Without effect here", "cqs", ["client-local", "balanced", "random", "least-leaders"], "On which node of a cluster the leader is.", few),
  argument("quorum-initial-group-size", "Members at first", "Without effect here", "q", "number", "Nodes of a cluster that have the queue.", { min: 1, declared: true, ...few }),
  argument("quorum-target-group-size", "Members wanted", "Without effect here", "q", "number", "How many there are to be in the end.", { min: 1, declared: true, ...few }),
  argument("initial-cluster-size", "Replicas", "Without effect here", "s", "number", "Nodes of a cluster that have the stream.", { min: 1, ...few }),
  argument("consumer-disconnected-timeout", "Disconnected consumers", "Without effect here", "q", "time", "How long consumers on an unreachable node are waited for.", few),
];

/** The keys of policies for queues. */
export const policyKeys = ARGUMENTS.filter(({ declared }) => !declared).map(({ key }) => key.slice(2));

/** Returns the arguments that queues of a type have. */
export function argumentsOf(type) {
  return ARGUMENTS.filter(({ types }) => types.includes(type[0]));
}

function magnitude(typed, units = {}) {
  const [, figure, unit] = /^(-?\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(typed.trim()) ?? [];
  const value = Number(figure) * (unit ? units[unit.toLowerCase()] : 1);
  if (!Number.isSafeInteger(value)) throw new Error(`is a whole number${units.ms ? ", or one with s, m, h or d" : units.k ? ", or one with K, M or G" : ""}`);
  return value;
}

/** Returns the value that a person has typed for an argument; undefined if nothing. Throws what is wrong with it. */
export function readArgument({ kind, title, min = 0, max = Infinity, numeric }, typed) {
  if (kind === "flag") return typed === true ? true : undefined;
  if (typed === undefined || typed === "") return undefined;
  if (kind === "text" || (Array.isArray(kind) && !numeric)) return typed;
  try {
    const value = magnitude(typed, { time: TIMES, size: SIZES }[kind]);
    if (value < min || value > max) throw new Error(`is ${max < Infinity ? `${min} to ${max}` : `at least ${min}`}`);
    return value;
  } catch (error) {
    throw new Error(`${title} ${error.message}.`);
  }
}
