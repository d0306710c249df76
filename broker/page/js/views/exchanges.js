// Exchanges: the list, and one with its bindings.

export const routes = [];
