// Exchanges: the list, and one with its bindings.

import { h } from "../dom.js";
import { rate } from "../format.js";
import { exchangeLink } from "../links.js";
import { loadPage, orderOf, pager, searchBar, table } from "../table.js";
import { declareExchange, TYPES } from "./newexchange.js";
import { loadWithVhosts, policyLink, vhostChoice } from "./parts.js";
import { deleteExchange, features, isSystem, routes as one } from "./exchange.js";

const COLUMNS = ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments", "policy", "messages_delayed", "message_stats.publish_in_details.rate", "message_stats.publish_out_details.rate"];

function columns(view) {
  const several = view.data.vhosts.length > 1 && view.query.vhost === undefined;
  const speed = (row, key) => rate(row.message_stats?.[`${key}_details`]?.rate ?? 0);
  return [
    { title: "Name", sort: "name", cell: (row) => exchangeLink(row.vhost, row.name) },
    several && { title: "Virtual host", sort: "vhost", cell: (row) => row.vhost },
    { title: "Type", sort: "type", cell: (row) => h("span", { title: TYPES[row.type]?.does }, row.type) },
    { title: "Features", cell: features },
    { title: "Policy", sort: "policy", cell: (row) => policyLink(row.vhost, row.policy) },
    { title: "In", sort: "message_stats.publish_in_details.rate", number: true, help: "Messages a second that are published to it", cell: (row) => speed(row, "publish_in") },
    { title: "Out", sort: "message_stats.publish_out_details.rate", number: true, help: "Messages a second that go from it to queues: more than come in if one message reaches several", cell: (row) => speed(row, "publish_out") },
    { title: h("span.hidden", "Actions"), cell: (row) => !isSystem(row) && h("button.small", { type: "button", "aria-label": `Delete ${row.name}`, onclick: () => askAndDelete(view, row) }, "Delete…") },
  ].filter(Boolean);
}

async function askAndDelete(view, row) {
  if (await deleteExchange(view, row)) view.act(async () => {}, `The exchange ${row.name} is deleted.`);
}

const all = {
  path: "/exchanges",
  title: "Exchanges",
  load: (view) => loadWithVhosts(view, "/exchanges", loadPage, COLUMNS),
  render(view) {
    const { list, vhosts } = view.data;
    return [
      searchBar(view, list, "exchange", vhostChoice(view), vhosts.length > 0 && h("button.primary", { type: "button", onclick: () => declareExchange(view) }, "Declare…")),
      h("section", table({
        label: "Exchanges", columns: columns(view), rows: list.items, order: orderOf(view), redraw: view.redraw,
        key: ({ vhost, name }) => JSON.stringify([vhost, name]),
        empty: list.total_count || list.refused ? h("p", "No exchange has such a name.") : h("p", "You have no permissions in any virtual host: an administrator grants them on the page of your user."),
      }), pager(view, list)),
    ];
  },
};

export const routes = [all, ...one];
