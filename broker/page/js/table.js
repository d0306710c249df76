// Tables, and pages of long lists that the broker filters, sorts and cuts.

import { h } from "./dom.js";
import { loadAccesses, vhostChoice } from "./access.js";
import { path, withQuery } from "./api.js";
import { count } from "./format.js";

/**
 * A table. `columns`: [{title, cell: (row) => …, sort: "the key the broker sorts by", number: true, help}]; `key` tells rows
 * apart, and is what the box of a row is called unless `name` returns something better;
 * `selection` is a Set of keys that boxes change, `redraw` is called then; `order` is {sort, reverse, link: (sort, reverse) => href}.
 */
export function table({ label, columns, rows, key, order, selection, redraw, empty, name = key }) {
  if (rows.length === 0) return h("div.empty", rows.refused ? h("p", `Nothing was searched for. ${rows.refused}`) : empty);
  const keys = rows.map(key);
  const all = selection && keys.every((one) => selection.has(one));
  const box = (checked, label, change) =>
    h("td.box", h("input", { type: "checkbox", checked, "aria-label": label, onchange: (event) => { change(event.target.checked); redraw(); } }));
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h("table",
    h("thead", h("tr",
      selection && box(all, "Select all of this page", (checked) => keys.forEach((one) => (checked ? selection.add(one) : selection.delete(one)))),
      columns.map((column) => heading(column, order)))),
    h("tbody", rows.map((row, index) => h("tr", { key: keys[index], class: selection?.has(keys[index]) ? "selected" : undefined },
      selection && box(selection.has(keys[index]), `Select ${name(row)}`, (checked) => (checked ? selection.add(keys[index]) : selection.delete(keys[index]))),
      columns.map((column, at) => {
        const tag = at === 0 ? "th" : "td";
        return h(tag, { class: column.number ? "number" : column.class, scope: at === 0 ? "row" : undefined }, column.cell(row));
      }))))));
}

function heading({ title, sort, number, help }, order) {
  const attributes = { scope: "col", title: help, class: number ? "number" : undefined };
  if (!sort || !order) return h("th", attributes, title);
  const sorted = order.sort === sort;
  // Figures are wanted from the largest, names from A.
  const reverse = sorted ? !order.reverse : Boolean(number);
  const direction = order.reverse ? "descending" : "ascending";
  return h("th", { ...attributes, "aria-sort": sorted ? direction : undefined },
    h("a", { href: order.link(sort, reverse) }, title, sorted && h("span.direction", { "aria-hidden": "true" }, order.reverse ? " ↓" : " ↑")));
}

/** A link to the page of what has this name. */
export function named(page, name) {
  return h("a", { href: `#/${page}/${encodeURIComponent(name)}` }, name || "(empty name)");
}

/** A column of buttons; `of(row)` returns triples of a title, a whole name for screen readers, and what is done. The last one is dangerous. */
export function actions(of) {
  const button = ([title, name, onclick], index, all) => h(index === all.length - 1 ? "button.small.danger" : "button.small", { type: "button", "aria-label": name, onclick }, title);
  return { title: "Actions", number: true, cell: (row) => h("div.actions", of(row).map(button)) };
}

/** Sorts rows in the page itself, by a key with dots. */
export function sorted(rows, sort, reverse) {
  if (!sort) return rows;
  const value = (row) => sort.split(".").reduce((part, name) => part?.[name], row) ?? "";
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  return [...rows].sort((a, b) => (reverse ? -1 : 1) * compare(value(a), value(b)));
}

/** Returns the order that a view's query asks for, as `table` takes it. */
export function orderOf(view, fallback = { sort: "name", reverse: false }) {
  const { sort = fallback.sort, reverse } = view.query;
  return {
    sort,
    reverse: reverse === undefined ? sort === fallback.sort && fallback.reverse : reverse === "true",
    link: (sort, reverse) => view.link({ sort, reverse: String(reverse), page: undefined }),
  };
}

/** Asks for the page of a list that a view's query names. `columns` are the keys that the page needs. */
export async function loadPage(view, address, { columns, parameters, fallback } = {}) {
  const { page = 1, size = 100, name, regex } = view.query;
  const { sort, reverse } = orderOf(view, fallback);
  const asked = (page) => view.get(withQuery(address, {
    page, page_size: size, name, use_regex: name && regex === "true", sort, sort_reverse: reverse, columns: columns?.join(","), ...parameters,
  }));
  try {
    const list = await asked(page);
    const fault = regex === "true" && list.filtered_count === 0 && faultOf(name);
    return fault ? refusal(fault, list.total_count) : list;
  } catch (error) {
    // The list has become shorter.
    if (error.status === 400 && /out of range/i.test(error.message)) return asked(1);
    // Somebody is typing an expression that is not complete: the field for it has to stay.
    if (error.status === 400 && name && regex === "true") return refusal(error.message);
    throw error;
  }
}

/** Asks for the page of a list of all virtual hosts, or of that of the query; and once for what the user may do there. */
export async function loadWithVhosts(view, address, options) {
  const { vhost } = view.query;
  const load = loadPage(view, vhost === undefined ? address : address + path`/${vhost}`, options).catch((error) => {
    if (error.status !== 404) throw error;
    // Another virtual host can be chosen.
    return { items: [], total_count: 0, filtered_count: 0, page: 1, page_count: 1 };
  });
  const [list] = await Promise.all([load, loadAccesses(view)]);
  return list;
}

/** The choice of the virtual host whose objects a list shows. */
export const listedVhost = (view) => vhostChoice(view, { all: "All virtual hosts" });

/** Whether a list has to say for each row where it belongs. */
export const showsSeveral = ({ query, state }) => query.vhost === undefined && state.vhosts.length > 1;

/** Whether a list shows no virtual host that the user may enter. */
export const isClosed = ({ query, state }) => !state.vhosts.some((name) => (query.vhost ?? name) === name);
// The list of a search that cannot be made; its rows know why, too, since the table says it.
function refusal(reason, total = 0) {
  const refused = `This is no regular expression that can be used: ${reason}`;
  return { items: Object.assign([], { refused }), total_count: total, filtered_count: 0, page: 1, page_count: 1, refused };
}

// The broker's flags, such as (?i), are none of a browser's.
const withoutFlags = (expression) => expression.replace(/^\(\?[a-z]+\)/, "");

// The broker takes an expression with a fault as one that matches nothing.
function faultOf(expression = "") {
  try {
    new RegExp(withoutFlags(expression));
    return null;
  } catch (error) {
    return error.message;
  }
}

/**
 * Cuts a list that the page has as a whole as the broker cuts others: searched by `text(row)`, sorted, and one page of it.
 * `keep` is a further filter.
 */
export function localPage(view, rows, { text, keep = () => true, fallback } = {}) {
  const { page = 1, size = 100, name = "", regex } = view.query;
  const { sort, reverse } = orderOf(view, fallback);
  let matches = (found) => found.toLowerCase().includes(name.toLowerCase());
  if (regex === "true") {
    const fault = faultOf(name);
    if (fault) return refusal(fault, rows.length);
    const pattern = new RegExp(withoutFlags(name), "i");
    matches = (found) => pattern.test(found);
  }
  const found = sorted(rows.filter((row) => keep(row) && matches(text(row))), sort, reverse);
  const pages = Math.max(1, Math.ceil(found.length / size));
  const shown = Math.min(Math.max(1, Number(page) || 1), pages);
  return { items: found.slice((shown - 1) * size, shown * size), page: shown, page_count: pages, filtered_count: found.length, total_count: rows.length };
}

let typing;

/** The row above a list: what to search for, how many there are, and what stands besides. */
export function searchBar(view, list, noun, ...besides) {
  const { name = "", regex } = view.query;
  const nouns = noun.replace(/y$/, "ie") + "s";
  const search = (changes) => view.go(view.link({ ...changes, page: undefined }), { replace: true });
  return h("div.bar", { role: "search" },
    h("input", {
      type: "search", value: name, placeholder: `Search ${nouns}`, "aria-label": `Search ${nouns}`, "data-shortcut": "/",
      oninput: (event) => {
        clearTimeout(typing);
        const { value } = event.target;
        typing = setTimeout(() => search({ name: value || undefined }), 250);
      },
    }),
    h("label.inline", h("input", { type: "checkbox", checked: regex === "true", onchange: (event) => search({ regex: event.target.checked ? "true" : undefined }) }), "Regex"),
    list?.refused && h("span.error", { role: "alert" }, list.refused),
    list && !list.refused && h("span.found", { role: "status" }, list.filtered_count === list.total_count ? `${count(list.total_count)} ${list.total_count === 1 ? noun : nouns}` : `${count(list.filtered_count)} of ${count(list.total_count)} ${nouns}`),
    h("span.spring"),
    besides);
}

const SIZES = [100, 250, 500];

function sizeChoice(view) {
  const { size = "100" } = view.query;
  const choose = (event) => view.go(view.link({ size: event.target.value === "100" ? undefined : event.target.value, page: undefined }), { replace: true });
  return h("label.inline", "Rows of a page ", h("select", { value: size, onchange: choose }, SIZES.map((one) => h("option", { value: one }, one))));
}

/** The links to other pages of a list, below it, with how many rows a page has. */
export function pager(view, list) {
  if (!list || list.filtered_count <= SIZES[0]) return null;
  const { page, page_count: pages } = list;
  if (pages <= 1) return h("div.pager", sizeChoice(view));
  const jump = (event) => {
    event.preventDefault();
    const to = Math.min(pages, Math.max(1, Math.trunc(Number(event.target.elements.to.value)) || 1));
    view.go(view.link({ page: to === 1 ? undefined : to }));
  };
  const link = (to, title) => (to < 1 || to > pages || to === page ? h("span.off", title) : h("a", { href: view.link({ page: to === 1 ? undefined : to }) }, title));
  return h("nav.pager", { "aria-label": "Pages of the list" },
    link(1, "First"), link(page - 1, "Previous"),
    h("form", { onsubmit: jump }, h("label.inline", "Page ", h("input", { key: page, name: "to", type: "number", min: 1, max: pages, required: true, value: page })), ` of ${count(pages)}`),
    link(page + 1, "Next"), link(pages, "Last"), sizeChoice(view));
}
