// What a map shows, made of the broker's answer: nodes and edges, how full a queue is, and the words for both.

import { brief, count, plural, rate } from "./format.js";

/** The levels of a backlog, as the legend says them. */
export const LEVELS = [
  ["Empty", "no messages"],
  ["Some", "fewer than 1,000 ready, or less than a minute’s work at the present rate"],
  ["Many", "1,000 or more, or more than a minute’s work"],
  ["Very many", "100,000 or more, or more than an hour’s work"],
];

/** Returns 0 to 3: how much waits, by number and by how long the consumers need for it at the present rate. */
export function level({ type, messages = 0, messages_ready: ready = messages, out = 0 }) {
  // A stream keeps its messages: they are not a backlog.
  if (type === "stream" || messages === 0) return 0;
  const seconds = out > 0 ? ready / out : 0;
  if (seconds > 0 && seconds < 10) return 1;
  if (ready >= 100000 || (seconds > 3600 && ready >= 1000)) return 3;
  return ready >= 1000 || (seconds > 60 && ready >= 20) ? 2 : 1;
}

// Names of exchanges and queues may be the same.
const idOf = (kind, name) => `${kind} ${name}`;

function node(kind, name, figures) {
  const one = { ...figures, id: idOf(kind, name), kind, name, level: kind === "exchange" ? 0 : level(figures) };
  const { messages = 0, consumers = 0, type } = figures;
  // Of a group it is not known which queues hold its messages.
  one.waiting = messages > 0 && kind !== "exchange" && consumers === 0 && type !== "stream";
  return one;
}

/** Returns {nodes, edges, byId} of an answer. Edges with an end that is not shown are left out. */
export function graphOf({ exchanges, groups = [], queues, edges: given }) {
  const nodes = [
    ...exchanges.map((one) => node("exchange", one.name, one)),
    ...groups.map((one) => node("group", one.prefix, one)),
    ...queues.map((one) => node("queue", one.name, one)),
  ];
  const byId = new Map(nodes.map((one) => [one.id, one]));
  const named = given.map(({ from, to, kind, keys, count }) => ({ id: JSON.stringify([kind, from, to]), kind, keys, count, from: idOf(...from), to: idOf(...to) }));
  const edges = named.filter(({ from, to }) => byId.has(from) && byId.has(to));
  setRates(edges, byId);
  return { nodes, edges, byId };
}

/**
 * Sets how many messages an edge carries a second at most: no more than what is published to its source and to the exchanges
 * before it, and no more than what one of the queues behind it gets.
 */
function setRates(edges, byId) {
  // What leaves a queue by dead-lettering is not counted: there only the queues behind it say how much it can be.
  const bindings = edges.filter(({ kind }) => kind !== "dead-letter");
  const nextTo = (near, far) => bindings.reduce((all, edge) => all.set(edge[near], [...(all.get(edge[near]) ?? []), edge[far]]), new Map());
  const [before, behind] = [nextTo("to", "from"), nextTo("from", "to")];
  const reached = (id, next) => {
    const found = new Set([id]);
    for (const one of found) next.get(one)?.forEach((other) => found.add(other));
    return [...found].map((one) => byId.get(one));
  };
  const isExchange = ({ kind }) => kind === "exchange";
  const fromOthers = new Set(edges.filter(({ kind }) => kind === "dead-letter").map(({ to }) => to));
  const supply = new Map();
  const demand = new Map();
  for (const one of byId.values()) {
    if (!isExchange(one)) {
      supply.set(one.id, Infinity);
      demand.set(one.id, one.in ?? 0);
      continue;
    }
    const sources = reached(one.id, before);
    supply.set(one.id, sources.some(({ id }) => fromOthers.has(id)) ? Infinity : sources.reduce((sum, source) => sum + (source.in ?? 0), 0));
    demand.set(one.id, reached(one.id, behind).reduce((most, end) => (isExchange(end) ? most : Math.max(most, end.in ?? 0)), 0));
  }
  for (const edge of edges) edge.rate = Math.min(supply.get(edge.from), demand.get(edge.to));
}

/** The name of a node as a person reads it. */
export function nameOf({ kind, name }) {
  if (kind === "exchange") return name || "(default exchange)";
  return kind === "group" ? `${name}*` : name || "(no name)";
}

function consumersOf({ type, consumers = 0 }) {
  if (type === "stream") return plural(consumers, "reader");
  return consumers ? plural(consumers, "consumer") : "no consumer";
}

/** What a screen reader says of a node: "queue orders, 12 messages, no consumer". */
export function words(one) {
  const name = nameOf(one);
  const rates = [one.in > 0 && `${rate(one.in)} in`, one.out > 0 && `${rate(one.out)} out`];
  const about = {
    exchange: () => [`exchange ${name}`, one.missing ? "does not exist" : one.type, one.internal && "internal"],
    queue: () => [`${one.type === "stream" ? "stream" : "queue"} ${name}`, ...(one.messages === undefined ? [] : [plural(one.messages, "message"), consumersOf(one)])],
    group: () => [`group ${name}`, plural(one.queues, "queue"), plural(one.messages ?? 0, "message"), consumersOf(one), one.consumers > 0 && one.without_consumers > 0 && `${count(one.without_consumers)} without a consumer`],
  }[one.kind]();
  return [...about, ...rates].filter(Boolean).join(", ");
}

/** The second line of a card: what stands left, and what stands right. */
export function figures(one) {
  const messages = `${brief(one.messages ?? 0)} ${one.messages === 1 ? "message" : "messages"}`;
  if (one.kind === "exchange") {
    if (one.missing) return ["does not exist", ""];
    return [one.internal ? `${one.type}, internal` : one.type ?? "", one.in > 0 ? rate(one.in) : one.bindings === 0 ? "no bindings" : ""];
  }
  if (one.messages === undefined) return [one.type ?? one.kind, ""];
  if (one.waiting) return [messages, "no consumer"];
  if (one.kind === "group") return [messages, `${brief(one.queues)} queues`];
  return [one.type === "stream" ? "stream" : messages, consumersOf(one)];
}

/** What an edge is, in words: for its title and for the table. */
export function edgeWords({ kind, keys, count: all, rate: most }, from, to) {
  const way = { binding: "binding", "dead-letter": "dead letters", alternate: "alternate exchange" }[kind];
  const listed = keys.map((key) => (key === "" ? "(empty)" : key)).join(", ");
  const more = all > keys.length && keys.length ? ` and ${count(all - keys.length)} more` : "";
  return [`${nameOf(from)} → ${nameOf(to)}: ${way}`, listed && `${all === 1 ? "key" : "keys"} ${listed}${more}`, most > 0 && `at most ${rate(most)}`].filter(Boolean).join(", ");
}

/** Returns the ids of the nodes and edges of all ways through a node. */
export function waysThrough(id, edges) {
  const found = new Set([id]);
  const follow = (near, far, goesOn) => {
    const [waiting, seen] = [[id], new Set([id])];
    while (waiting.length) {
      const at = waiting.pop();
      for (const edge of edges) {
        if (edge[near] !== at) continue;
        found.add(edge.id).add(edge[far]);
        if (!seen.has(edge[far]) && goesOn(edge)) waiting.push(edge[far]);
        seen.add(edge[far]);
      }
    }
  };
  follow("from", "to", () => true);
  // Everything that may fail leads to a dead-letter exchange: the queues are shown, but not all that leads to them.
  follow("to", "from", ({ kind }) => kind !== "dead-letter");
  return found;
}
