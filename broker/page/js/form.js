// Fields of forms: a label, a control, and a sentence that explains it.

import { h } from "./dom.js";

let fields = 0;
// Rows are known by their arrays, so that typed texts go with them when one above is removed.
const rowKeys = new WeakMap();
let rows = 0;

function rowKey(entry) {
  if (!rowKeys.has(entry)) rowKeys.set(entry, `row-${(rows += 1)}`);
  return rowKeys.get(entry);
}

/** A field: `control` gets the id that the label names and that of the help. */
export function field(label, control, help) {
  const id = control.attributes.id ?? `field-${control.attributes.name ?? (fields += 1)}`;
  control.attributes.id = id;
  if (help) control.attributes["aria-describedby"] = `${id}-help`;
  return h("div.field", h("label", { for: id }, label), control, help && h("p.help", { id: `${id}-help` }, help));
}

/** A text field; further attributes go to the input. */
export function text(label, name, help, attributes = {}) {
  return field(label, h("input", { type: "text", name, spellcheck: "false", autocomplete: "off", ...attributes }), help);
}

/** A text field of several lines. */
export function area(label, name, help, attributes = {}) {
  return field(label, h("textarea", { name, spellcheck: "false", rows: 4, ...attributes }), help);
}

/** A choice; `options` are values or pairs of a value and its title. */
export function choice(label, name, options, help, attributes = {}) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  return field(label, h("select", { name, ...attributes }, pairs.map(([value, title]) => h("option", { value, key: value }, title))), help);
}

/** A box to tick. */
export function check(label, name, help, attributes = {}) {
  const id = `field-${name}`;
  return h("div.field.check", h("input", { type: "checkbox", name, id, "aria-describedby": help ? `${id}-help` : undefined, ...attributes }), h("label", { for: id }, label), help && h("p.help", { id: `${id}-help` }, help));
}

/** Returns the values of a form's named fields; a box's is true or false. */
export function values(form) {
  const named = [...form.elements].filter((control) => control.name);
  return Object.fromEntries(named.map((control) => [control.name, control.type === "checkbox" ? control.checked : control.value]));
}

/**
 * Reads what a person types as an argument's value: true, false, numbers and JSON as what they are, everything else as text.
 * A text that looks like a number is written with quotes.
 */
export function parseValue(text) {
  const trimmed = text.trim();
  if (/^(true|false|null|-?\d|["[{])/.test(trimmed)) {
    try {
      const value = JSON.parse(trimmed);
      if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
      throw new Error(`${trimmed} is too large for this page`);
    } catch (error) {
      if (/^["[{]/.test(trimmed) || /too large/.test(error.message)) throw new Error(`This is not valid JSON: ${trimmed}`);
    }
  }
  return text;
}

/**
 * Rows of names and values to type in. `entries` is an array of [name, value] that the fields change; `redraw` draws again
 * after a row is added or removed. `known` suggests names.
 */
export function pairs(title, entries, redraw, { known = [], help } = {}) {
  const list = `known-${title.replaceAll(" ", "-")}`;
  if (entries.length === 0) entries.push(["", ""]);
  return h("fieldset.pairs", h("legend", title), help && h("p.help", help),
    known.length > 0 && h("datalist", { id: list }, known.map((name) => h("option", { value: name }))),
    entries.map((entry, index) => h("div.pair", { key: rowKey(entry) },
      h("input", { "aria-label": `${title}: name ${index + 1}`, placeholder: "name", value: entry[0], list: known.length ? list : undefined, oninput: (event) => { entry[0] = event.target.value; } }),
      h("input", { "aria-label": `${title}: value ${index + 1}`, placeholder: "value", value: entry[1], oninput: (event) => { entry[1] = event.target.value; } }),
      h("button.plain", { type: "button", "aria-label": `Remove ${title} ${index + 1}`, onclick: () => { entries.splice(index, 1); redraw(); } }, "×"))),
    h("button.plain", { type: "button", onclick: () => { entries.push(["", ""]); redraw(); } }, "Add a row"));
}

/** Returns an object of such rows, with values as parseValue reads them. */
export function fromPairs(entries) {
  const named = entries.filter(([name]) => name.trim());
  return Object.fromEntries(named.map(([name, value]) => [name.trim(), parseValue(value)]));
}
