// Limits of virtual hosts and users.

export const routes = [];
