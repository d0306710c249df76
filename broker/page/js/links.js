// The addresses of the views of single objects, and links to them.

import { h } from "./dom.js";
import { path } from "./api.js";

export const queueAddress = (vhost, name) => `#${path`/queues/${vhost}/${name}`}`;
export const streamAddress = (vhost, name) => `#${path`/streams/${vhost}/${name}`}`;
export const exchangeAddress = (vhost, name) => `#${path`/exchanges/${vhost}/${name || "amq.default"}`}`;
export const connectionAddress = (name) => `#${path`/connections/${name}`}`;
export const channelAddress = (name) => `#${path`/channels/${name}`}`;

// Where there is little room names break after their separators, and not within words.
const breakable = (name) => name.split(/(?<=[._:/-])/).map((part, index) => [index > 0 && h("wbr"), part]);

/** A link to a queue; an empty name is written as such. */
export function queueLink(vhost, name) {
  return h("a", { href: queueAddress(vhost, name), dir: "auto" }, name ? breakable(name) : "(empty name)");
}

/** A link to an exchange; the default one has a name for people only. */
export function exchangeLink(vhost, name) {
  return h("a", { href: exchangeAddress(vhost, name), dir: "auto" }, name || "the default exchange");
}
