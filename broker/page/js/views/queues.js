// Queues: the list, one queue, and its messages.

export const routes = [];
