// The trace: where a message would go, and why.

export const routes = [];
