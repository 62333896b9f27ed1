/** What every orchestration does: run, call activities, keep what it was given. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { OrchestrationStatus, whenAll } from "@microsoft/durabletask-js";

import { TaskHub, parsed } from "./task-hub.js";

const hub = new TaskHub();

before(() =>
  hub.serve({
    orchestrators: {
      nothing: async () => {},
      echo: async (_ctx, value) => value,
      async *echoOfActivity(ctx, value) {
        return yield ctx.callActivity("same", value);
      },
      async *echoOfChild(ctx, value) {
        return yield ctx.callSubOrchestrator("echo", value);
      },
      async *guids(ctx) {
        const made = [ctx.newGuid(), ctx.newGuid()];
        const [, second] = made;
        made.push(yield ctx.callActivity("same", second), ctx.newGuid());
        return made;
      },
      version: async (ctx) => ctx.version,
      async *sequence(ctx, start) {
        const values = [start];
        for (let i = 0; i < 10; i++) {
          values.push(yield ctx.callActivity("plusOne", values.at(-1)));
        }
        return values;
      },
      async *fanOut(ctx, count) {
        return yield whenAll(Array.from({ length: count }, (_, i) => ctx.callActivity("plusOne", i)));
      },
      async *clock(ctx) {
        const began = ctx.currentUtcDateTime.getTime();
        yield ctx.callActivity("plusOne", 1);
        return began;
      },
    },
    activities: { plusOne: async (_ctx, value) => value + 1, same: async (_ctx, value) => value },
  }),
);
after(() => hub.close());

test("an empty orchestration has neither input nor output nor custom status", async () => {
  const state = await hub.run("nothing");
  assert.equal(state.runtimeStatus, OrchestrationStatus.COMPLETED);
  assert.equal(state.name, "nothing");
  assert.equal(parsed(state.serializedInput), undefined);
  assert.equal(parsed(state.serializedOutput), undefined);
  assert.equal(parsed(state.serializedCustomStatus), undefined);
  assert.equal(state.failureDetails, undefined);
});

for (const value of ["", "Grüße, 世界 🌍", 0, false, [], { a: [1, null, 2.5] }, "x".repeat(1_000_000)]) {
  test(`a payload comes back as it was sent: ${JSON.stringify(value).slice(0, 30)}`, async () => {
    const state = await hub.run("echo", value);
    assert.deepEqual(parsed(state.serializedInput), value);
    assert.deepEqual(parsed(state.serializedOutput), value);
  });
}

for (const value of [0, "", false, null]) {
  test(`what is false goes to an activity and a child, and comes back: ${JSON.stringify(value)}`, async () => {
    for (const orchestrator of ["echo", "echoOfActivity", "echoOfChild"]) {
      assert.equal((await hub.run(orchestrator, value)).serializedOutput, JSON.stringify(value), orchestrator);
    }
  });
}

test("the ids that an orchestration makes are its own, and the same in every replay", async () => {
  const [first, second, again, third] = parsed((await hub.run("guids")).serializedOutput);
  assert.equal(again, second);
  assert.equal(new Set([first, second, third]).size, 3);
});

test("a sequence of activities runs in order", async () => {
  const state = await hub.run("sequence", 1);
  assert.deepEqual(parsed(state.serializedOutput), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("a fan-out answers in the order of the calls", async () => {
  const state = await hub.run("fanOut", 100);
  assert.deepEqual(
    parsed(state.serializedOutput),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
});

test("a start that is not delayed begins now, though it says 1970", async () => {
  const before = Date.now();
  const state = await hub.run("clock");
  const began = parsed(state.serializedOutput);
  assert.ok(began >= before - 5 && began < before + 10_000, `${began} is not about ${before}`);
  assert.ok(state.createdAt.getTime() >= before - 5);
});

test("tags and version reach the state and the orchestration", async () => {
  const state = await hub.run("version", undefined, { version: "2.1.0", tags: { team: "blue" } });
  assert.equal(parsed(state.serializedOutput), "2.1.0");
  assert.deepEqual(state.tags, { team: "blue" });
});
