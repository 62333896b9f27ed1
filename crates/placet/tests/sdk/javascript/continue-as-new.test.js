/** Continue-as-new: the same instance with a new input and a new history. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { TaskHub, parsed } from "./task-hub.js";

const hub = new TaskHub();

const orchestrators = {
  async *loop(ctx, value) {
    const next = yield ctx.callActivity("plusOne", value);
    if (next < 50) {
      ctx.continueAsNew(next, false);
      return undefined;
    }
    return next;
  },
  async *accumulate(ctx, seen) {
    seen.push(yield ctx.waitForExternalEvent("item"));
    if (seen.length < 10) {
      ctx.continueAsNew(seen, true);
      return undefined;
    }
    return seen;
  },
};

before(() => hub.serve({ orchestrators, activities: { plusOne: async (_ctx, value) => value + 1 } }));
after(() => hub.close());

test("fifty generations end as one instance with the last one's history", async () => {
  const id = await hub.start("loop", 0);
  const state = await hub.ended(id);
  assert.equal(parsed(state.serializedInput), 49);
  assert.equal(parsed(state.serializedOutput), 50);
  assert.deepEqual(await hub.eventNames(id), [
    "OrchestratorStarted",
    "ExecutionStarted",
    "TaskScheduled",
    "OrchestratorStarted",
    "TaskCompleted",
    "ExecutionCompleted",
  ]);
});

test("saved events are carried over in their order", async () => {
  const id = await hub.start("accumulate", []);
  for (let i = 0; i < 10; i++) {
    await hub.client.raiseOrchestrationEvent(id, "item", i);
  }
  assert.deepEqual(
    parsed((await hub.ended(id)).serializedOutput),
    Array.from({ length: 10 }, (_, i) => i),
  );
});
