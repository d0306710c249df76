// Streams: their offsets, segments and readers.

export const routes = [];
