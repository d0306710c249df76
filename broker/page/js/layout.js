// Where everything on a map stands: exchanges in layers from left to right, queues on the right, edges as curves between them.
// Pure: the same graph has the same picture, and a graph that has changed a little keeps the order of what was there.

const compare = new Intl.Collator("en", { numeric: true }).compare;

/** The size of a card. */
export const CARD = { width: 184, height: 38 };
const ROW = 48;
// Between the columns of a block: the stubs of edges bend here.
const BETWEEN = 34;
const HEADING = 34;
/** What stays free around a picture. */
export const MARGIN = 26;
// Between layers: with keys of bindings before a single column, before several, and where there is no room.
const GAPS = { keys: 190, several: 120, least: 70 };
// What an edge needs that passes through a layer.
const VIA = 16;
// How far an edge swings out between two cards of the same layer, at most.
const SWING = 84;

/**
 * Lays out {nodes: [{id, kind, name}], edges: [{id, from, to, kind}]}. Returns {places: id → {x, y}, curves: id → {d, tip}, the
 * path data of a line and its arrow, width, height, left and right: what edges need beside them, heading: where the queues
 * without bindings begin, single: whether there is room for the keys of bindings}.
 * `room` is [width, height] of what can be seen at once: the picture keeps to its width where that is possible, and may be
 * taller; `previous` is the layout before.
 */
export function layout({ nodes, edges }, { room = [1100, 680], previous } = {}) {
  const things = new Set([String(room), ...nodes.map(({ id }) => id), ...edges.map(({ id }) => id)]);
  if (previous?.things.size === things.size && [...things].every((one) => previous.things.has(one))) return previous;
  const bound = new Set(edges.filter(({ kind }) => kind !== "dead-letter").map(({ to }) => to));
  const queues = nodes.filter(({ kind }) => kind !== "exchange");
  const layers = [...exchangeLayers(nodes, edges), queues.filter(({ id }) => bound.has(id))];
  const routes = addVias(layers, edges);
  for (const layer of layers) layer.sort(byName);
  const links = linksOf(layers, routes);
  const order = keptOrder(layers, links, previous) ?? bestOrder(layers, links);
  const loose = queues.filter(({ id }) => !bound.has(id)).sort(byName);
  const plan = { left: 0, right: 0, heading: null, things, order: order.map((layer) => layer.map(({ id }) => id)), places: new Map(), curves: new Map() };
  place(plan, order, loose, links, room, previous);
  for (const { edge, stops } of routes) {
    const places = stops.map((id) => plan.places.get(id)).filter(Boolean);
    const [start, end] = sides(places[0], places.at(-1), edge.kind);
    plan.curves.set(edge.id, curve(places, edge, [start, end]));
    // Such an edge swings out of its block.
    if (start === end) plan[start > 0 ? "right" : "left"] = SWING;
  }
  return plan;
}

function byName(a, b) {
  return compare(a.name, b.name) || (a.id < b.id ? -1 : 1);
}

// An exchange that others lead to stands right of them; what leads to queues only stands next to these.
function exchangeLayers(nodes, edges) {
  const exchanges = nodes.filter(({ kind }) => kind === "exchange").sort(byName);
  const targets = new Map(exchanges.map(({ id }) => [id, []]));
  for (const { from, to, kind } of edges) if (kind !== "dead-letter" && targets.has(from) && targets.has(to)) targets.get(from).push(to);
  const heights = new Map();
  const height = (id) => {
    if (heights.has(id)) return heights.get(id);
    // While it is being found it is unknown: an edge that closes a cycle does not count.
    heights.set(id, undefined);
    const known = targets.get(id).map(height).filter((one) => one !== undefined);
    heights.set(id, known.length ? Math.max(...known) + 1 : 0);
    return heights.get(id);
  };
  exchanges.forEach(({ id }) => height(id));
  const layers = Array.from({ length: Math.max(-1, ...heights.values()) + 1 }, () => []);
  for (const one of exchanges) layers[layers.length - 1 - heights.get(one.id)].push(one);
  return layers;
}

function layerOf(layers) {
  return new Map(layers.flatMap((nodes, at) => nodes.map(({ id }) => [id, at])));
}

// An edge over several layers gets a way between the cards of those that it passes, one for all edges of the exchange that it
// begins or ends at. Returns for each edge where it goes: {edge, stops: [id, …]}.
function addVias(layers, edges) {
  const layer = layerOf(layers);
  // Queues without bindings stand below the others.
  const at = (id) => layer.get(id) ?? layers.length - 1;
  const added = new Set();
  return edges.map((edge) => {
    const [low, high] = at(edge.from) <= at(edge.to) ? [edge.from, edge.to] : [edge.to, edge.from];
    const between = [];
    for (let passed = at(low) + 1; passed < at(high); passed += 1) {
      const id = `via ${passed} ${low}`;
      between.push(id);
      if (!added.has(id)) layers[passed].push({ id, name: low, via: true });
      added.add(id);
    }
    return { edge, stops: [edge.from, ...(low === edge.from ? between : between.reverse()), edge.to] };
  });
}

// Pairs of nodes of different layers; where dead letters go matters less than where messages go.
function linksOf(layers, routes) {
  const layer = layerOf(layers);
  const near = new Map([...layer.keys()].map((id) => [id, []]));
  const pairs = [];
  for (const { edge, stops } of routes) {
    const weight = edge.kind === "dead-letter" ? 0.2 : 1;
    for (const [index, to] of stops.slice(1).entries()) {
      const from = stops[index];
      if (!layer.has(from) || !layer.has(to) || layer.get(from) === layer.get(to)) continue;
      near.get(from).push([to, weight]);
      near.get(to).push([from, weight]);
      pairs.push(layer.get(from) < layer.get(to) ? [from, to] : [to, from]);
    }
  }
  return { layer, near, pairs };
}

function mean(id, near, value) {
  const all = near.get(id).filter(([other]) => value.has(other));
  const weight = all.reduce((sum, [, one]) => sum + one, 0);
  return weight ? all.reduce((sum, [other, one]) => sum + one * value.get(other), 0) / weight : undefined;
}

function ranks(layers) {
  return new Map(layers.flatMap((nodes) => nodes.map(({ id }, at) => [id, (at + 0.5) / nodes.length])));
}

// The barycentre heuristic: again and again each node goes to the mean of its neighbours; the order with fewest crossings is kept.
function bestOrder(layers, links) {
  let [order, best, fewest] = [layers, layers, crossings(layers, links)];
  for (let sweep = 0; sweep < 12 && fewest > 0; sweep += 1) {
    order = [...order];
    for (let step = 0; step < order.length; step += 1) {
      const at = sweep % 2 ? step : order.length - 1 - step;
      const rank = ranks(order);
      const wanted = new Map(order[at].map(({ id }) => [id, mean(id, links.near, rank) ?? 2]));
      order[at] = [...order[at]].sort((a, b) => wanted.get(a.id) - wanted.get(b.id) || byName(a, b));
    }
    const now = crossings(order, links);
    if (now < fewest) [best, fewest] = [order, now];
  }
  return best;
}

// Counts the pairs of edges that cross, for each two layers the inversions of their ends.
function crossings(layers, { layer, pairs }) {
  const at = new Map(layers.flatMap((nodes) => nodes.map(({ id }, index) => [id, index])));
  const between = new Map();
  for (const [a, b] of pairs) {
    const name = `${layer.get(a)} ${layer.get(b)}`;
    if (!between.has(name)) between.set(name, []);
    between.get(name).push([at.get(a), at.get(b)]);
  }
  let sum = 0;
  for (const ends of between.values()) {
    ends.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const tree = new Array(Math.max(...ends.map(([, end]) => end)) + 2).fill(0);
    ends.forEach(([, end], before) => {
      let below = 0;
      for (let i = end + 1; i > 0; i -= i & -i) below += tree[i];
      sum += before - below;
      for (let i = end + 1; i < tree.length; i += i & -i) tree[i] += 1;
    });
  }
  return sum;
}

// What was there keeps its order; what is new goes behind its nearest relative. Null if most is new.
function keptOrder(layers, { near }, previous) {
  if (!previous) return null;
  const rank = new Map(previous.order.flat().map((id, index) => [id, index]));
  const old = layers.map((nodes) => nodes.filter(({ id }) => rank.has(id)).sort((a, b) => rank.get(a.id) - rank.get(b.id)));
  if (old.flat().length < 0.6 * layers.flat().length) return null;
  return layers.map((nodes, at) => {
    const order = old[at];
    for (const one of nodes.filter(({ id }) => !rank.has(id))) {
      const neighbours = new Set(near.get(one.id).map(([id]) => id));
      const relative = order.findLastIndex(({ id }) => near.get(id).some(([other]) => neighbours.has(other)));
      const after = relative >= 0 ? relative : order.findLastIndex((other) => byName(other, one) < 0);
      order.splice(after + 1, 0, one);
    }
    return order;
  });
}

// Gives every node its place, from the queues leftwards: exchanges stand at the mean height of what they lead to.
function place(plan, order, loose, links, [wide, high], previous) {
  const queues = order.at(-1);
  const exchanges = order.slice(0, -1).filter((layer) => layer.length);
  const free = wide - 2 * MARGIN - exchanges.length * CARD.width;
  const columns = queueColumns(queues.length, loose.length, free - exchanges.length * GAPS.several, high);
  const gap = Math.round(Math.max(GAPS.least, Math.min(columns === 1 ? GAPS.keys : GAPS.several, (free - blockWidth(columns)) / exchanges.length)));
  plan.single = columns === 1 && gap > GAPS.several;
  const rows = keptRows(queues, columns, previous) ?? chunks(queues, columns);
  Object.assign(plan, { columns, rows: rows.map((row) => row.map(({ id }) => id)) });
  const height = rows.length * ROW + (loose.length ? HEADING + Math.ceil(loose.length / columns) * ROW : 0);
  const counts = exchangeColumns(exchanges, Math.max(14, Math.ceil(height / ROW)), wide - 2 * MARGIN - blockWidth(columns), gap);
  let x = widthOf(counts, gap);
  const right = exchanges.length;
  grid(plan, rows, { x, y: 0, columns, layer: right });
  if (loose.length) {
    plan.heading = { x, y: rows.length * ROW + 14 };
    grid(plan, chunks(loose, columns), { x, y: rows.length * ROW + HEADING, columns, layer: right });
  }
  for (let layer = right - 1; layer >= 0; layer -= 1) {
    const columns = counts[layer];
    x -= gap + blockWidth(columns);
    // Between several columns there are lanes, but no way through.
    const nodes = columns > 1 ? exchanges[layer].filter(({ via }) => !via) : exchanges[layer];
    const lines = Math.ceil(nodes.length / columns);
    // What is higher than the screen is read from its top: there an exchange stands beside the first of its targets.
    grid(plan, chunks(nodes, columns), { x, y: height > high ? 0 : Math.max(0, (height - lines * ROW) / 2), columns, layer });
    if (columns === 1) settle(plan, nodes, links, height > high);
  }
  finish(plan);
}

function grid(plan, rows, { x, y, columns, layer }) {
  const block = { left: x, right: x + blockWidth(columns) };
  rows.forEach((row, line) => row.forEach(({ id, via }, column) => plan.places.set(id, {
    x: x + column * (CARD.width + BETWEEN), y: y + line * ROW, layer, block, via, first: column === 0, last: column === columns - 1, lane: (line + column) % 3,
  })));
}

function blockWidth(columns) {
  return columns * (CARD.width + BETWEEN) - BETWEEN;
}

// One column as long as it does not take long to scroll; then as many as show all at once, or as there is room for.
function queueColumns(bound, loose, width, height) {
  const most = Math.max(1, Math.floor((width + BETWEEN) / (CARD.width + BETWEEN)));
  const rows = (columns) => Math.ceil(bound / columns) + Math.ceil(loose / columns);
  let columns = 1;
  while (columns < most && rows(columns) * ROW > (columns === 1 ? 1.5 : 1) * height) columns += 1;
  return columns;
}

// How many columns each layer of exchanges has: none is higher than `rows`, if there is room for that beside the queues.
function exchangeColumns(layers, rows, width, gap) {
  const sizes = layers.map((layer) => layer.filter(({ via }) => !via).length);
  const counts = () => sizes.map((size) => Math.ceil(size / rows) || 1);
  while (widthOf(counts(), gap) > width && rows < Math.max(...sizes)) rows += 1;
  return counts();
}

function widthOf(counts, gap) {
  return counts.reduce((sum, count) => sum + blockWidth(count) + gap, 0);
}

function chunks(nodes, size) {
  return Array.from({ length: Math.ceil(nodes.length / size) }, (_, row) => nodes.slice(row * size, row * size + size));
}

// In several columns what was there stays in its cell, and what is new takes a free one: else one new queue would move all others.
function keptRows(queues, columns, previous) {
  const old = previous?.rows.flat() ?? [];
  const added = new Map(queues.map((one) => [one.id, one]));
  if (columns === 1 || previous?.columns !== columns || old.filter((id) => added.has(id)).length < 0.6 * queues.length) return null;
  const rows = previous.rows.map((ids) => {
    const row = new Array(columns);
    ids.forEach((id, column) => { if (added.has(id)) row[column] = added.get(id); });
    ids.forEach((id) => added.delete(id));
    return row;
  });
  for (const one of added.values()) {
    let row = rows.find((row) => row.includes(undefined));
    if (!row) rows.push((row = new Array(columns)));
    row[row.findIndex((cell) => !cell)] = one;
  }
  return rows;
}

// Moves the exchanges of a layer to where their targets are, without changing their order: neighbours that want the same place
// share it around their mean. That is the mean of their targets; of what is `high` it is the first of them, and each layer begins
// at the top.
function settle(plan, nodes, { near }, high) {
  const y = new Map([...plan.places].map(([id, one]) => [id, one.y]));
  const clusters = [];
  let offset = 0;
  nodes.forEach(({ id, via }, index) => {
    offset += index === 0 ? 0 : ((via ? VIA : ROW) + (nodes[index - 1].via ? VIA : ROW)) / 2;
    const place = plan.places.get(id);
    const placed = near.get(id).filter(([other]) => plan.places.get(other)?.layer > place.layer);
    const wanted = high && (index === 0 || placed.length) ? (index && Math.min(...placed.map(([other]) => y.get(other)))) : mean(id, new Map([[id, placed]]), y);
    clusters.push({ at: wanted === undefined ? clusters.at(-1)?.at ?? 0 : wanted - offset, members: [[place, offset]] });
    while (clusters.length > 1 && clusters.at(-2).at > clusters.at(-1).at) {
      const [a, b] = clusters.splice(-2);
      const members = [...a.members, ...b.members];
      clusters.push({ at: (a.at * a.members.length + b.at * b.members.length) / members.length, members });
    }
  });
  for (const { at, members } of clusters) for (const [place, offset] of members) place.y = at + offset;
}

function finish(plan) {
  const places = [...plan.places.values()];
  const top = Math.min(0, ...places.map(({ y }) => y));
  for (const one of places) one.y = Math.round(one.y - top);
  if (plan.heading) plan.heading.y -= top;
  plan.width = Math.max(0, ...places.map(({ x }) => x + CARD.width));
  plan.height = Math.max(0, ...places.map(({ y }) => y + CARD.height));
}

// Where an edge leaves a card: beside it, or through the lane above its row to the side of the block.
function port({ x, y, block, first, last, lane }, side, shift) {
  const edge = side > 0 ? x + CARD.width : x;
  const middle = y + CARD.height / 2 + shift;
  const tip = `M${edge} ${middle}l${side * 7} -3.5v7z`;
  if (side > 0 ? last : first) return { x: edge, y: middle, tip, out: `${edge} ${middle}`, into: "" };
  const [outside, above] = [side > 0 ? block.right : block.left, y - (ROW - CARD.height) / 2 + (lane - 1) * 2.5];
  const [bend, stub] = [edge + side * 12, edge + side * 24];
  return {
    x: outside, y: above, tip,
    out: `${edge} ${middle}C${bend} ${middle} ${bend} ${above} ${stub} ${above}H${outside}`,
    into: `H${stub}C${bend} ${above} ${bend} ${middle} ${edge} ${middle}`,
  };
}

// The sides at which an edge leaves and arrives: those that face each other, or the same if both stand in one layer.
function sides(from, to, kind) {
  if (from.layer !== to.layer) return from.layer < to.layer ? [1, -1] : [-1, 1];
  return from !== to && from.first && to.first && kind !== "dead-letter" ? [-1, -1] : [1, 1];
}

function curve(stops, { kind }, [start, end]) {
  const [from, to] = [stops[0], stops.at(-1)];
  // What goes back keeps below what comes, and an alternate exchange's way beside that of the bindings.
  const shift = kind === "dead-letter" || start < 0 ? 9 : kind === "alternate" ? 5 : -2;
  const [a, b] = from === to ? [port(from, start, 11), port(to, end, -11)] : [port(from, start, shift), port(to, end, shift)];
  let [d, at] = [`M${a.out}`, a];
  const bend = (x, y) => {
    const bow = start === end ? 24 + Math.min(SWING - 24, Math.abs(at.y - y) / 4) : Math.max(30, Math.abs(x - at.x) / 2);
    d += `C${at.x + start * bow} ${at.y} ${x + end * bow} ${y} ${x} ${y}`;
  };
  for (const { x, y } of stops.slice(1, -1)) {
    const middle = y + CARD.height / 2 + shift;
    bend(start > 0 ? x : x + CARD.width, middle);
    at = { x: start > 0 ? x + CARD.width : x, y: middle };
    d += `H${at.x}`;
  }
  bend(b.x, b.y);
  return { d: d + b.into, tip: b.tip };
}
