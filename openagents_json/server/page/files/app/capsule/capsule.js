import { Unreadable, membersOf, unpacked } from "./zip.js";

/** So large may a part be that the page holds. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * A run in a file: what it says of itself, its events, and what is not as its manifest says.
 * @typedef {{manifest: any, events: any[], changed: string[], isChecked: boolean}} Capsule
 */

/**
 * Read a capsule; nothing of it leaves the browser.
 * @param {Blob} file
 * @returns {Promise<Capsule>}
 */
export async function readCapsule(file) {
  const members = await membersOf(file);
  const read = (/** @type {string} */ name) => {
    const member = members.get(name);
    if (!member) throw new Unreadable(`It is no capsule: ${name} is not in it.`);
    return unpacked(file, member, MOST_BYTES);
  };
  const manifest = parsed(text(await read("manifest.json")));
  if (manifest?.format !== "openagents-capsule/1") throw new Unreadable("It is no capsule of this format.");
  const raw = await read("events.jsonl");
  const lines = text(raw).split("\n").filter(Boolean);
  const changed = [];
  // Browsers have no hashes for pages that come unencrypted from another machine.
  const isChecked = globalThis.crypto?.subtle !== undefined;
  for (const [name, digest] of Object.entries(isChecked ? (manifest.sha256 ?? {}) : {})) {
    const part = name === "events.jsonl" ? raw : await read(name);
    if ((await sha256(part)) !== digest) changed.push(name);
  }
  return { manifest, events: lines.map(eventOf), changed, isChecked };
}

/** @param {string} line */
function eventOf(line) {
  const event = parsed(line);
  if (typeof event !== "object" || event === null) throw new Unreadable("It is no capsule: an event is none.");
  const data = typeof event.data === "string" ? read(event.data) : null;
  return { version: event.version, time_ms: event.time_ms, type: String(event.type), actor: String(event.actor), step: data?.step, data };
}

/** @param {string} json what an event holds; sealed with a key, it is no JSON */
function read(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** @param {string} json */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    throw new Unreadable("It is no capsule: a part of it is no JSON.");
  }
}

/** @param {Uint8Array} bytes */
function text(bytes) {
  return new TextDecoder().decode(bytes);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
