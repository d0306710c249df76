// Builds the document from descriptions: h() describes an element, render() makes a place in the document look so, changing
// only what differs, so that focus, selections and scroll positions stay. Texts become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";
// What a user changes is a property, and is only touched when the description of it changes.
const PROPERTIES = new Set(["value", "checked", "selected", "indeterminate", "disabled", "open", "hidden"]);

// A name is written in few places and described often.
const parsed = new Map();

function parse(name) {
  if (!parsed.has(name)) {
    const [tag, ...marks] = name.split(/(?=[.#])/);
    const [classes, ids] = [".", "#"].map((sign) => marks.filter((mark) => mark[0] === sign).map((mark) => mark.slice(1)));
    parsed.set(name, { tag, classes, id: ids[0] });
  }
  return parsed.get(name);
}

// Only h() makes descriptions: an object from a client that looks like one is text.
class Description {
  constructor(tag, attributes, children) {
    Object.assign(this, { tag, attributes, key: attributes.key, children });
  }
}

class Text {
  constructor(text) {
    this.text = text;
  }
}

/**
 * Describes an element: h("p.note#id", {title: "…", onclick: f, key: 1}, "text", [more], null).
 * `onmount` is called with the element once it is in the document, `style` is an object of properties.
 */
export function h(name, attributes, ...children) {
  if (attributes?.constructor !== Object) {
    children.unshift(attributes);
    attributes = {};
  }
  const { tag, classes, id } = parse(name);
  const all = { ...attributes };
  if (classes.length) all.class = (attributes?.class ? [...classes, attributes.class] : classes).join(" ");
  if (id) all.id = id;
  return new Description(tag, all, flat(children));
}

function flat(children) {
  const some = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== true && child !== "");
  return some.map((child) => (child instanceof Description || child instanceof Text ? child : new Text(typeof child === "object" ? JSON.stringify(child) : String(child))));
}

/** Makes the children of an element look as described. */
export function render(place, ...children) {
  const mounted = [];
  const focused = [];
  for (let one = document.activeElement; place.contains(one) && one !== place; one = one.parentElement) focused.push(one);
  reconcile(place, place.described ?? [], (place.described = flat(children)), mounted);
  for (const call of mounted) call();
  if (focused.length && !place.contains(document.activeElement)) refocus([...focused, place]);
}

// What was moved keeps the focus; from what is gone it goes to what is nearest, but to nothing dangerous.
function refocus([element, ...around]) {
  if (element.isConnected) return element.focus({ preventScroll: true });
  const near = around.find((one) => one.isConnected)?.querySelector("a[href], button:not(.danger), input, select, textarea, summary, [tabindex]");
  near?.focus({ preventScroll: true });
}

function create(node, space, mounted) {
  if (node.text !== undefined) return (node.element = document.createTextNode(node.text));
  const inside = node.tag === "svg" ? SVG : space;
  const element = inside ? document.createElementNS(inside, node.tag) : document.createElement(node.tag);
  node.element = element;
  reconcile(element, [], node.children, mounted, node.tag === "foreignObject" ? null : inside);
  // After the children: a select's value names one of them.
  for (const [name, value] of Object.entries(node.attributes)) set(element, name, value, undefined);
  if (node.attributes.onmount) mounted.push(() => node.attributes.onmount(element));
  return element;
}

function set(element, name, value, before) {
  if (value === before || name === "key" || name === "onmount") return;
  if (name === "style") {
    for (const property of Object.keys({ ...before, ...value })) element.style.setProperty(property, value?.[property] ?? "");
  } else if (name.startsWith("on")) {
    element[name] = value ?? null;
  } else if (PROPERTIES.has(name) && name in element) {
    element[name] = value ?? (name === "value" ? "" : false);
  } else if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? "" : value);
  }
}

function same(a, b) {
  return a.tag === b.tag && a.key === b.key && (a.text === undefined) === (b.text === undefined);
}

function update(old, node, mounted, space) {
  // A view may keep the description of what has not changed.
  if (old === node) return;
  const element = (node.element = old.element);
  if (node.text !== undefined) {
    if (node.text !== old.text) element.data = node.text;
    return;
  }
  for (const name in old.attributes) if (!(name in node.attributes)) set(element, name, undefined, old.attributes[name]);
  for (const name in node.attributes) set(element, name, node.attributes[name], old.attributes[name]);
  const inside = node.tag === "svg" ? SVG : space;
  reconcile(element, old.children, node.children, mounted, node.tag === "foreignObject" ? null : inside);
}

function reconcile(parent, before, after, mounted, space = parent.namespaceURI === SVG ? SVG : null) {
  // Most often everything is still in its place.
  if (before.length === after.length && after.every((node, index) => same(before[index], node))) {
    return after.forEach((node, index) => update(before[index], node, mounted, space));
  }
  const keyed = new Map();
  const rest = [];
  for (const old of before) old.key === undefined ? rest.push(old) : keyed.set(old.key, old);
  let next = 0;
  const kept = new Set();
  const matches = after.map((node) => {
    let old;
    if (node.key !== undefined) old = keyed.get(node.key);
    else {
      // Skips what is gone: at most a few siblings come and go.
      const at = rest.findIndex((other, index) => index >= next && same(other, node));
      if (at >= 0) [old, next] = [rest[at], at + 1];
    }
    if (!old || !same(old, node) || kept.has(old)) return undefined;
    kept.add(old);
    return old;
  });
  for (const old of before) if (!kept.has(old)) old.element.remove();
  let place = parent.firstChild;
  after.forEach((node, index) => {
    const old = matches[index];
    if (old) update(old, node, mounted, space);
    else create(node, space, mounted);
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
  });
}
