// The log, as it is written.

export const routes = [];
