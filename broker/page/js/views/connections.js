// Connections and channels.

export const routes = [];
