// The map: exchanges, bindings and queues as a picture that moves.

export const routes = [];
