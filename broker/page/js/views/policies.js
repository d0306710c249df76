// Policies, and which objects they match.

export const routes = [];
