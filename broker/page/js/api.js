// Speaks to the broker: one session, JSON, and errors in words.

/** What the broker refused, or that it did not answer (status 0). */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The session's token is kept here only: a reload asks for it again.
let token = "-";
let name;
let signedOut = () => {};

// What the broker sends holds what clients wrote: such an object is no ordinary one, so that h() never takes it for attributes.
class Sent {
  toString() {
    return JSON.stringify(this);
  }
}

/** Marks an object of an answer, as a reviver of JSON.parse. */
export function sent(value) {
  return value?.constructor === Object ? Object.setPrototypeOf(value, Sent.prototype) : value;
}

/** path`/queues/${vhost}/${name}` encodes each value. */
export function path(parts, ...values) {
  return parts.reduce((whole, part, index) => whole + encodeURIComponent(values[index - 1]) + part);
}

/** Appends query parameters, without those that are empty. */
export function withQuery(address, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return query ? `${address}${address.includes("?") ? "&" : "?"}${query}` : address;
}

/** Sends a request, with further `headers` if it has any; returns the JSON of the answer, or null if there is none. */
export async function request(method, address, options = {}) {
  const { body, form, signal, raw } = options;
  const headers = { ...options.headers, "X-CSRF-Token": token };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`api${address}`, {
      method,
      headers,
      signal,
      credentials: "same-origin",
      body: form ? new URLSearchParams(form) : body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The broker does not answer.");
  }
  const text = await response.text();
  if (response.ok) return raw ? text : text ? JSON.parse(text, (key, value) => sent(value)) : null;
  if (response.status === 401 && address !== "/session") {
    const [before, user] = [token, name];
    const session = await restore();
    if (!session) {
      signedOut();
      throw new ApiError(401, "Your session had ended: nothing was done. Do it again once you are signed in.");
    }
    // Another tab has signed in again: its session is this one's, too, unless it is somebody else's.
    if (session.name !== user) location.reload();
    else if (token !== before) return request(method, address, options);
  }
  throw new ApiError(response.status, reason(response, text));
}

// What the broker says with RabbitMQ's few words.
const WORDS = {
  "Not management user": "This user has none of the tags that open this page: an administrator can give it management.",
  "Not monitor user": "Only users with the tag monitoring, and administrators, may see or do this.",
  "Not administrator user": "Only administrators may see or do this.",
};

function reason(response, text) {
  try {
    const { reason, error } = JSON.parse(text);
    const words = typeof reason === "string" ? reason : reason === undefined ? error : JSON.stringify(reason);
    if (words) return Object.hasOwn(WORDS, words) ? WORDS[words] : words;
  } catch {
    // Not JSON: the status has to do.
  }
  return `${response.status} ${response.statusText}`;
}

export const get = (address, options) => request("GET", address, options);
export const put = (address, body = {}) => request("PUT", address, { body });
export const post = (address, body = {}) => request("POST", address, { body });
export const remove = (address) => request("DELETE", address);

/** Returns the user of the session, {name, tags}, or null if nobody is signed in. */
export async function restore() {
  return keep(await request("GET", "/session"));
}

export async function signIn(username, password) {
  return keep(await request("POST", "/session", { form: { username, password } }));
}

function keep(session) {
  [token, name] = [session?.csrf_token ?? "-", session?.name];
  return session;
}

export async function signOut() {
  await remove("/session");
  token = "-";
}

/** Sets what is called when the session has ended. */
export function onSignedOut(call) {
  signedOut = call;
}

/** Does something for each item, a few at a time; returns the items that failed, with their errors. */
export async function forEach(items, action, atATime = 4) {
  const waiting = [...items];
  const failed = [];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      try {
        await action(item);
      } catch (error) {
        failed.push({ item, error });
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return failed;
}

/** Offers a text as a file. */
export function download(name, text, type = "application/json") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
