/** Rewind: what failed is tried again, and what succeeded stays. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { OrchestrationStatus } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();
const runs = [];
let isBroken = true;

before(() =>
  hub.serve({
    orchestrators: {
      echo: async (_ctx, value) => value,
      async *alone(ctx, name) {
        const first = yield ctx.callActivity("steady", `${name}-a`);
        return first + (yield ctx.callActivity("moody", `${name}-b`));
      },
      async *parent(ctx, name) {
        const first = yield ctx.callActivity("steady", `${name}-p`);
        return first + (yield ctx.callSubOrchestrator("alone", name, { instanceId: `${name}-child` }));
      },
    },
    activities: {
      steady: async (_ctx, value) => {
        runs.push(value);
        return value;
      },
      moody: async (_ctx, value) => {
        runs.push(value);
        if (isBroken) {
          throw new Error("not today");
        }
        return value.toUpperCase();
      },
    },
  }),
);
after(() => hub.close());

test("an activity that failed runs again and the others do not", async () => {
  isBroken = true;
  const id = await hub.start("alone", "one");
  const failed = await hub.ended(id);
  assert.equal(failed.runtimeStatus, OrchestrationStatus.FAILED);
  isBroken = false;
  await hub.client.rewindInstance(id, "mended");
  const state = await hub.ended(id);
  assert.equal(parsed(state.serializedOutput), "one-aONE-B");
  assert.equal(state.failureDetails, undefined);
  assert.deepEqual(runs.splice(0), ["one-a", "one-b", "one-b"]);
  assert.equal((await hub.eventNames(id)).filter((name) => name === "ExecutionRewound").length, 1);
});

test("a child that failed is rewound with its parent", async () => {
  isBroken = true;
  const id = await hub.start("parent", "two");
  assert.equal((await hub.ended(id)).runtimeStatus, OrchestrationStatus.FAILED);
  isBroken = false;
  await hub.client.rewindInstance(id, "mended");
  assert.equal(parsed((await hub.ended(id)).serializedOutput), "two-ptwo-aTWO-B");
  assert.deepEqual(runs.splice(0), ["two-p", "two-a", "two-b", "two-b"]);
  await eventually(
    async () => (await hub.state("two-child")).runtimeStatus === OrchestrationStatus.COMPLETED,
    "the child has completed",
  );
});

test("what has not failed, or is unknown, is not rewound", async () => {
  const id = await hub.start("echo", 1);
  await hub.ended(id);
  await assert.rejects(hub.client.rewindInstance(id, "why not"), /only what has failed is rewound/);
  await assert.rejects(hub.client.rewindInstance("nobody", "why not"), /not found/i);
});
