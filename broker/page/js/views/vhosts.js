// Virtual hosts.

export const routes = [];
