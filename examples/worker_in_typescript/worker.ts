// A worker in TypeScript: claims steps over HTTP, keeps their leases, and says what came of them.
// node worker.ts http://127.0.0.1:8080 ts-1 [seconds that a lease lasts] (Node 22.18 or newer takes the types off)

type Step = { lease: string; lease_ms: number; component: string; inputs: Record<string, string> };
type Component = (inputs: Step["inputs"], signal: AbortSignal) => Promise<unknown>;

const [api, name, leaseSeconds = "10"] = process.argv.slice(2);
const headers = { "Content-Type": "application/json", Authorization: `Bearer ${process.env.OPENAGENTS_API_KEY ?? ""}` };
const stopping = new AbortController();
process.once("SIGTERM", () => stopping.abort("the worker stops"));
process.once("SIGINT", () => stopping.abort("the worker stops"));

const components: Record<string, Component> = {
  "page.text": async ({ url }, signal) => (await fetch(url, { signal })).text(),
  "text.shout": async ({ text }) => text.toUpperCase(),
};
const served = Object.keys(components).map((component) => ({ name: component, version: "1.0.0" }));

function post(path: string, body: unknown, more: RequestInit & { headers?: Record<string, string> } = {}) {
  return fetch(`${api}/v1${path}`, {
    method: "POST", body: JSON.stringify(body), ...more, headers: { ...headers, ...more.headers },
  });
}

async function claim(key: string): Promise<Step[]> {
  const more = { headers: { Prefer: "wait=30", "Idempotency-Key": key }, signal: stopping.signal };
  const wish = { components: served, worker: name, lease_seconds: Number(leaseSeconds) };
  const answer = await post("/queues/tool/claim", wish, more);
  if (!answer.ok) throw new Error(await answer.text());
  return ((await answer.json()) as { steps: Step[] }).steps;
}

async function run({ lease, lease_ms, component, inputs }: Step): Promise<void> {
  const cancelled = new AbortController();
  const beat = setInterval(async () => {
    const answer = await post(`/leases/${lease}/heartbeat`, {}).catch(() => undefined);
    // A lease that is lost is another worker's by now: a service that is away is not a lost lease.
    const lost = answer !== undefined && [403, 404, 409].includes(answer.status);
    if (lost || (answer?.ok && (await answer.json()).cancel)) cancelled.abort("cancelled");
  }, lease_ms / 3);
  try {
    const output = await components[component](inputs, AbortSignal.any([cancelled.signal, stopping.signal]));
    await tell(lease, "complete", { output: output ?? null });
  } catch (error) {
    if (stopping.signal.aborted) await tell(lease, "release", { reason: "the worker stops" });
    else await tell(lease, "fail", { error: { type: (error as Error)?.name ?? "Error", message: String(error) } });
  } finally {
    clearInterval(beat);
  }
}

async function tell(lease: string, what: string, body: unknown): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const answer = await post(`/leases/${lease}/${what}`, body).catch(() => undefined);
    if (answer && answer.status === 413 && what === "complete") // it is too large, and would be again
      return tell(lease, "fail", { error: { type: "TooLarge", message: await answer.text(), retryable: false } });
    if (answer && answer.status < 500) return; // recorded, or refused for good
    await new Promise((again) => setTimeout(again, 500)); // sent again, it counts once
  }
}

async function main(): Promise<void> {
  for (let number = 0; !stopping.signal.aborted; ) {
    try {
      for (const step of await claim(`${process.pid}-${number}`)) await run(step);
      number++; // a claim whose answer was lost is asked for again, by the same key
    } catch {
      if (!stopping.signal.aborted) await new Promise((again) => setTimeout(again, 500));
    }
  }
}
void main();
