/** What a caller may do; each role but the worker's may do what those before it may. */
export const ROLES = Object.freeze({
  viewer: "looks at runs",
  operator: "starts and steers runs",
  developer: "publishes workflows, schedules and hooks",
  admin: "erases runs, gives keys, and all else",
  worker: "runs steps, and may do nothing else",
});

const DAY_SECONDS = 86_400;

/**
 * Return a new id of a key: twelve hexadecimal digits.
 * @returns {string}
 */
export function newKeyId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return what makes a key, as a body says it.
 * @param {{name: string, role: string, days: string, rate: string}} texts
 */
export function keyBody({ name, role, days, rate }) {
  return { name, role, lasts_seconds: days ? Math.round(Number(days) * DAY_SECONDS) : null, rate: rate.trim() };
}

/**
 * Return what makes a key, as the command line says it.
 * @param {{name: string, role: string, days: string, rate: string}} texts
 */
export function createWords({ name, role, days, rate }) {
  const further = [...(days ? ["--lasts", `${days}d`] : []), ...(rate.trim() ? ["--rate", rate.trim()] : [])];
  return ["openagents", "api-keys", "create", name || "NAME", "--role", role, ...further];
}
