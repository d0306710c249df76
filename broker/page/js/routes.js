// Which address shows which view. Addresses are RabbitMQ's where it has the page, so that links in runbooks go on working.

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

// A module is loaded with the first of its views, so that the page opens with what it shows.
const modules = {
  "": () => import("./views/overview.js"),
  nodes: () => import("./views/overview.js"),
  queues: () => import("./views/queues.js"),
  declare: () => import("./views/queues.js"),
  streams: () => import("./views/streams.js"),
  exchanges: () => import("./views/exchanges.js"),
  map: () => import("./views/map.js"),
  trace: () => import("./views/trace.js"),
  connections: () => import("./views/connections.js"),
  channels: () => import("./views/connections.js"),
  users: () => import("./views/users.js"),
  permissions: () => import("./views/permissions.js"),
  vhosts: () => import("./views/vhosts.js"),
  policies: () => import("./views/policies.js"),
  limits: () => import("./views/limits.js"),
  log: () => import("./views/log.js"),
};
const loaded = new Map();

/**
 * Returns the views whose addresses begin with a word: [{path, title, load, render, section?: the entry of the navigation,
 * above?: links to what it belongs to, interval?: milliseconds}], or a promise of them the first time.
 */
export function routesOf(word) {
  if (loaded.has(word)) return loaded.get(word);
  const load = Object.hasOwn(modules, word) ? modules[word]() : Promise.resolve({ routes: [] });
  return load.then(({ routes }) => {
    loaded.set(word, routes);
    return routes;
  });
}
