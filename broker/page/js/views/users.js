// Users and what they may do.

export const routes = [];
