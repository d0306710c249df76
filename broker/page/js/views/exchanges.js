// Exchanges: the list, and one with its bindings.

import { h } from "../dom.js";
import { access, lacking, noPermissions, vhostsWith } from "../access.js";
import { rate } from "../format.js";
import { exchangeLink } from "../links.js";
import { isClosed, listedVhost, loadWithVhosts, orderOf, pager, searchBar, showsSeveral, table } from "../table.js";
import { declareExchange, TYPES } from "./newexchange.js";
import { policyLink } from "./parts.js";
import { deleteExchange, features, isSystem, routes as one } from "./exchange.js";

const COLUMNS = ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments", "policy", "messages_delayed", "message_stats.publish_in_details.rate", "message_stats.publish_out_details.rate"];

function columns(view) {
  const speed = (row, key) => rate(row.message_stats?.[`${key}_details`]?.rate ?? 0);
  return [
    { title: "Name", sort: "name", cell: (row) => exchangeLink(row.vhost, row.name) },
    showsSeveral(view) && { title: "Virtual host", sort: "vhost", cell: (row) => row.vhost },
    { title: "Type", sort: "type", cell: (row) => h("span", { title: TYPES[row.type]?.does }, row.type) },
    { title: "Features", cell: features },
    { title: "Policy", sort: "policy", cell: (row) => policyLink(row.vhost, row.policy) },
    { title: "In", sort: "message_stats.publish_in_details.rate", number: true, help: "Messages a second that are published to it", cell: (row) => speed(row, "publish_in") },
    { title: "Out", sort: "message_stats.publish_out_details.rate", number: true, help: "Messages a second that go from it to queues: more than come in if one message reaches several", cell: (row) => speed(row, "publish_out") },
    { title: h("span.hidden", "Actions"), cell: (row) => !isSystem(row) && access(view, row.vhost).configure && h("button.small", { type: "button", "aria-label": `Delete ${row.name}`, onclick: () => askAndDelete(view, row) }, "Delete…") },
  ].filter(Boolean);
}

async function askAndDelete(view, row) {
  if (await deleteExchange(view, row)) view.act(async () => {}, `The exchange ${row.name} is deleted.`);
}

const all = {
  path: "/exchanges",
  title: "Exchanges",
  load: (view) => loadWithVhosts(view, "/exchanges", { columns: COLUMNS }),
  render(view) {
    const list = view.data;
    const mayDeclare = vhostsWith(view, "configure").length > 0;
    return [
      searchBar(view, list, "exchange", listedVhost(view), mayDeclare && h("button.primary", { type: "button", onclick: () => declareExchange(view) }, "Declare…")),
      !isClosed(view) && lacking([mayDeclare, "declare or delete exchanges"]),
      h("section", table({
        label: "Exchanges", columns: columns(view), rows: list.items, order: orderOf(view), redraw: view.redraw,
        key: ({ vhost, name }) => JSON.stringify([vhost, name]),
        empty: isClosed(view) ? noPermissions(view) : h("p", "No exchange has such a name."),
      }), pager(view, list)),
    ];
  },
};

export const routes = [all, ...one];
