// What the modules of the page compute, without a browser: run by test_page.py with node's own runner.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const app = new URL("../../../openagents_json/server/page/files/app/", import.meta.url);
const { duration, errorLine, quoted } = await import(new URL("formats.js", app));
const { axis, placeOf } = await import(new URL("run/axis.js", app));
const { fieldsOf, initialText, valueOf } = await import(new URL("parts/schema.js", app));
const { whereOptions } = await import(new URL("runs/where.js", app));
const { changesOf } = await import(new URL("run/edited.js", app));
const { differences } = await import(new URL("run/differences.js", app));
const { withEntries } = await import(new URL("run/emitted.js", app));
const { standings } = await import(new URL("run/standing.js", app));
const { ACTIONS, orderText } = await import(new URL("lists/orders.js", app));
const { createWords, keyBody, newKeyId } = await import(new URL("lists/keys.js", app));
const { groupsOf, shares, unfolded } = await import(new URL("run/folding.js", app));
const { readCapsule } = await import(new URL("capsule/capsule.js", app));

test("durations are said as people say them", () => {
  const said = [0, 340, 2_400, 12_000, 185_000, 7_800_000, 356_400_000].map(duration);
  assert.deepEqual(said, ["0 ms", "340 ms", "2.4 s", "12 s", "3 m 5 s", "2 h 10 m", "4 d 3 h"]);
});

test("arguments are quoted for shells where they need it", () => {
  assert.equal(quoted("7-01m8"), "7-01m8");
  assert.equal(quoted("it's $HOME; rm"), "'it'\\''s $HOME; rm'");
  assert.equal(quoted(""), "''");
});

test("an error is one line", () => {
  assert.equal(errorLine({ type: "ValueError", message: "it broke" }), "ValueError: it broke");
  assert.equal(errorLine(null), "");
});

test("a step stands as it does itself, and says what became of its items", () => {
  const steps = [
    { id: "pack", status: "active", attempt: 0 },
    { id: "pack[0]", status: "completed", attempt: 1 },
    { id: "pack[1]", status: "retrying", attempt: 2 },
    { id: "loop[0].a", status: "failed", attempt: 1 },
    { id: "loop[1].a", status: "completed", attempt: 1 },
    { id: "price", status: "completed", attempt: 3 },
  ];
  const standing = standings(steps);
  assert.deepEqual(standing.get("pack"), {
    status: "active", text: "1 completed, 1 retrying", counts: { completed: 1, retrying: 1 },
  });
  assert.equal(standing.get("loop.a").status, "failed");
  assert.equal(standing.get("price").text, "completed, attempt 3");
});

test("times in which everything waits are folded, and order is kept", () => {
  const attempt = (from, to) => ({ kind: "attempt", began_ms: from, ended_ms: to });
  const bars = [
    { spans: [attempt(0, 1_000), { kind: "wait", began_ms: 1_000, ended_ms: 3_601_000 }] },
    { spans: [attempt(3_601_000, 3_602_000)] },
  ];
  const whole = axis(bars, 0, 3_602_000, false);
  assert.equal(whole.length, 1);
  const folded = axis(bars, 0, 3_602_000, true);
  assert.deepEqual(folded.map(({ isFolded }) => isFolded), [false, true, false]);
  assert.equal(placeOf(folded, 0), 0);
  assert.equal(placeOf(folded, 1_000), 47.5);
  assert.equal(placeOf(folded, 3_601_000), 52.5);
  assert.equal(placeOf(folded, 3_602_000), 100);
  assert.equal(placeOf(folded, 9_999_999), 100);
});

test("nothing is folded where nothing waits, or nothing else happens", () => {
  const busy = [{ spans: [{ kind: "attempt", began_ms: 0, ended_ms: null }] }];
  assert.equal(axis(busy, 0, 500, true).length, 1);
  assert.equal(axis([], 0, 500, true).length, 1);
  const waiting = [{ spans: [{ kind: "wait", began_ms: 0, ended_ms: null }] }];
  assert.equal(axis(waiting, 0, 500, true).length, 1);
});

test("a schema asks for a field for each property, and texts mean what it says", () => {
  const fields = fieldsOf({
    type: "object",
    properties: {
      ok: { type: "boolean", title: "Is it good?" },
      sure: { type: "boolean" },
      count: { type: "integer", default: 3 },
      why: { type: "string", description: "in a sentence" },
      colour: { enum: ["red", "green"] },
      more: { type: "array" },
    },
    required: ["ok", "why"],
  });
  const kinds = fields.map(({ kind }) => kind);
  assert.deepEqual(kinds, ["check", "choice", "number", "text", "choice", "json"]);
  assert.equal(fields[0].label, "Is it good?");
  const texts = Object.fromEntries(fields.map((field) => [field.name, initialText(field)]));
  assert.deepEqual(valueOf(fields, texts), { ok: false, count: 3, why: "" });
  const typed = { ...texts, ok: "true", sure: "false", colour: '"red"', more: "[1]", why: "so" };
  assert.deepEqual(valueOf(fields, typed), { ok: true, sure: false, count: 3, why: "so", colour: "red", more: [1] });
  assert.throws(() => valueOf(fields, { ...typed, more: "[1" }), SyntaxError);
});

test("what is no object is one field, and without a schema it is any JSON", () => {
  assert.equal(valueOf(fieldsOf({ type: "string" }), { "": "yes" }), "yes");
  assert.equal(valueOf(fieldsOf(null), { "": "" }), null);
  assert.deepEqual(valueOf(fieldsOf(null), { "": '{"a": 1}' }), { a: 1 });
  assert.deepEqual(valueOf(fieldsOf({ properties: {} }), {}), {});
});

test("the command line is told the same filter as the API", () => {
  const query = new URLSearchParams("status=failed&label=team=sales&forked_from=R&took_over_ms=1500&held=true&after=x&limit=9");
  assert.deepEqual(whereOptions(query).filter((word) => word !== "--where"), [
    "status=failed", "label.team=sales", "source=R", "took_over=1.5s", "held=yes",
  ]);
});

test("of edited inputs, only what is another goes with a fork", () => {
  assert.equal(changesOf({ a: 1, b: [2] }, { a: 1, b: [2] }), null);
  assert.deepEqual(changesOf({ a: 1, b: [2] }, { a: 1, b: [3], c: null }), { b: [3], c: null });
});

test("what differs between two runs is a row each", () => {
  const change = { path: "name", one: "Ada", other: "Bo", missing: "" };
  const step = { step: "say", one: "completed", other: "", inputs: [], output: [{ ...change, path: "", missing: "other" }], error: [] };
  const rows = differences({ status: ["completed", "failed"], builds: [], inputs: [change], steps: [step], output: [] });
  assert.deepEqual(rows, [
    { where: "status", one: "completed", other: "failed" },
    { where: "input name", one: '"Ada"', other: '"Bo"' },
    { where: "say", one: "completed", other: "–" },
    { where: "say output", one: '"Ada"', other: "–" },
  ]);
});

test("what a step says is joined by attempt", () => {
  const entries = [
    { step: "talk", attempt: 1, value: { token: "a " } }, { step: "talk", attempt: 1, value: "b" },
    { step: "talk", attempt: 2, value: { n: 1 } },
  ];
  assert.deepEqual(withEntries({ talk: "" }, entries), { talk: "a b", "talk, attempt 2": '{"n":1}\n' });
});

test("a queue is limited by the same words on the page, over HTTP and by the command line", () => {
  const told = { name: "gpu", reason: "the model is slow", atMost: "2" };
  assert.deepEqual(ACTIONS.limit.body(told), { at_most: 2, reason: "the model is slow" });
  assert.deepEqual(ACTIONS.limit.words(told), ["concurrency", "--at-most", "2", "--type", "gpu", "--reason", "the model is slow"]);
  assert.deepEqual(ACTIONS.limit.body({ ...told, atMost: "" }).at_most, null);
  assert.equal(orderText({ what: "concurrency", holds: false, at_most: 0 }), "as many steps as slots");
  assert.equal(orderText({ what: "pause", holds: false, at_most: 0 }), "pause taken back");
});

test("a key is made by the same words over HTTP and by the command line", () => {
  const texts = { name: "dashboard", role: "viewer", days: "90", rate: " 5/s" };
  assert.deepEqual(keyBody(texts), { name: "dashboard", role: "viewer", lasts_seconds: 7_776_000, rate: "5/s" });
  assert.deepEqual(createWords(texts).slice(3), ["dashboard", "--role", "viewer", "--lasts", "90d", "--rate", "5/s"]);
  assert.equal(keyBody({ ...texts, days: "" }).lasts_seconds, null);
  assert.match(newKeyId(), /^[0-9a-f]{12}$/);
});

test("many items are folded into their step, and few are not", () => {
  const items = Array.from({ length: 1_000 }, (_, number) => ({ path: `pack[${number}]`, status: number < 3 ? "failed" : "completed" }));
  const inner = Array.from({ length: 30 }, (_, number) => ({ path: `rows[0].cells[${number}]`, status: "completed" }));
  const rows = [{ path: "pack", status: "active" }, ...items, { path: "rows", status: "active" }, ...inner, { path: "few[0]", status: "failed" }];
  const groups = groupsOf(rows);
  assert.deepEqual([...groups.keys()], ["pack", "rows[0].cells"]);
  assert.deepEqual(groups.get("pack"), { items: 1_000, counts: { failed: 3, completed: 997 } });
  const { failed, completed } = shares({ failed: 1, completed: 999 });
  assert.ok(failed > 1 && Math.abs(failed + completed - 100) < 1e-9);
  const paths = (opened, chosen) => unfolded(rows, groups, new Set(opened), chosen).map(({ path }) => path);
  assert.deepEqual(paths([], ""), ["pack", "rows", "few[0]"]);
  assert.deepEqual(paths([], "pack[7]"), ["pack", "pack[7]", "rows", "few[0]"]);
  assert.equal(paths(["pack"], "").length, 1_003);
});

test("a capsule is read in the browser, and what was changed in it is named", async () => {
  const bytes = await readFile(new URL("../../fuzz/seeds/capsules/whole-plain.oac", import.meta.url));
  const { manifest, events, changed, isChecked } = await readCapsule(new Blob([bytes]));
  assert.equal(events[0].type, "RunStarted");
  assert.deepEqual(events.map(({ version }) => version), events.map((_, at) => at + 1));
  assert.ok(manifest.run && isChecked);
  assert.deepEqual(changed, []);
  await assert.rejects(readCapsule(new Blob([bytes.subarray(0, bytes.length - 40)])), /no zip/);
  await assert.rejects(readCapsule(new Blob(["no zip at all, though it is longer than an end of a zip would be"])), /no zip/);
});
