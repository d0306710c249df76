// Which address shows which view. Addresses are RabbitMQ's where it has the page, so that links in runbooks go on working.

import { routes as overview } from "./views/overview.js";
import { routes as queues } from "./views/queues.js";
import { routes as streams } from "./views/streams.js";
import { routes as exchanges } from "./views/exchanges.js";
import { routes as map } from "./views/map.js";
import { routes as trace } from "./views/trace.js";
import { routes as connections } from "./views/connections.js";
import { routes as users } from "./views/users.js";
import { routes as permissions } from "./views/permissions.js";
import { routes as vhosts } from "./views/vhosts.js";
import { routes as policies } from "./views/policies.js";
import { routes as limits } from "./views/limits.js";
import { routes as log } from "./views/log.js";

/** The views: {path, title, load, render, section?: the entry of the navigation, above?: links to what it belongs to, interval?}. */
export const routes = [overview, queues, streams, exchanges, map, trace, connections, users, permissions, vhosts, policies, limits, log].flat();

/** The entries of the navigation; `tags`: who has use of it. */
export const navigation = [
  { path: "/", title: "Overview" },
  { path: "/queues", title: "Queues" },
  { path: "/streams", title: "Streams" },
  { path: "/exchanges", title: "Exchanges" },
  { path: "/map", title: "Map" },
  { path: "/trace", title: "Trace" },
  { path: "/connections", title: "Connections" },
  { path: "/channels", title: "Channels" },
  { path: "/users", title: "Users", tags: ["administrator"] },
  { path: "/permissions", title: "Permissions", tags: ["administrator"] },
  { path: "/vhosts", title: "Virtual hosts" },
  { path: "/policies", title: "Policies" },
  { path: "/limits", title: "Limits" },
  { path: "/log", title: "Log", tags: ["administrator"] },
];
