// Bodies of messages: bytes as text, as JSON with indentation, and as hexadecimal numbers beside their characters.

import { sent } from "./api.js";

/** Returns the bytes of a base64 text. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Returns bytes as base64. */
export function toBase64(bytes) {
  let binary = "";
  // In parts, as a function takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

/** Returns bytes as text, or null if they are not UTF-8. The last character of a cut body may be incomplete. */
export function asText(bytes, isCut) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut });
  } catch {
    return null;
  }
}

// Each level is indented further: more levels than these would make megabytes of spaces.
const DEEPEST = 50;
const LONGEST = 1024 * 1024;

/**
 * Returns JSON with line breaks and indentation, or null if it is none, or too long or too deep to be readable. Numbers, names and
 * their order stay as they are.
 */
export function indented(text) {
  if (text.length > LONGEST || !/^\s*[[{]/.test(text)) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  let [depth, out, before] = [0, "", ""];
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    const empty = closes && (before === "{" || before === "[");
    if ((closes && !empty) || (!closes && (before === "{" || before === "[" || before === ","))) out += line();
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth += 1;
    if (depth > DEEPEST) return null;
    before = token;
  }
  return out;
}

/** Returns lines of 16 bytes each: offset, hexadecimal numbers, ASCII characters. */
export function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const numbers = row.map((byte) => byte.toString(16).padStart(2, "0"));
    const halves = `${numbers.slice(0, 8).join(" ")}  ${numbers.slice(8).join(" ")}`;
    const characters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "."));
    lines.push(`${at.toString(16).padStart(8, "0")}  ${halves.padEnd(48)}  ${characters.join("")}`);
  }
  return lines.join("\n");
}

/** Reads an answer and keeps integers that JavaScript cannot hold, where the browser can. */
export function parseExactly(text) {
  return JSON.parse(text, (key, value, context) => (Number.isInteger(value) && !Number.isSafeInteger(value) && JSON.rawJSON ? JSON.rawJSON(context.source) : sent(value)));
}
