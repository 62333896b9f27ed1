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
      async *waits(ctx) {
        yield ctx.waitForExternalEvent("never");
      },
      async *ownFault(ctx, name) {
        const first = yield ctx.callActivity("steady", name);
        if (isBroken) {
          throw new Error("not yet");
        }
        return first;
      },
      async *branch(ctx, name) {
        const options = { instanceId: `${name}-leaf`, version: "2.0", tags: { level: "leaf" } };
        return yield ctx.callSubOrchestrator("alone", name, options);
      },
      async *tree(ctx, name) {
        const options = { instanceId: `${name}-branch`, version: "1.0", tags: { level: "branch" } };
        return yield ctx.callSubOrchestrator("branch", name, options);
      },
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

test("children that were purged begin anew with their input, version and tags", async () => {
  isBroken = true;
  const id = await hub.start("tree", "three");
  assert.equal((await hub.ended(id)).runtimeStatus, OrchestrationStatus.FAILED);
  const family = ["three-branch", "three-leaf"];
  const begun = async () => {
    const all = await Promise.all(family.map((each) => hub.state(each)));
    return all.map(({ name, serializedInput, tags }) => ({ name, serializedInput, tags }));
  };
  const before = await begun();
  assert.deepEqual(before.map(({ tags }) => tags), [{ level: "branch" }, { level: "leaf" }]);
  for (const each of family) {
    assert.equal((await hub.client.purgeOrchestration(each)).deletedInstanceCount, 1);
  }
  isBroken = false;
  await hub.client.rewindInstance(id, "mended");
  assert.equal(parsed((await hub.ended(id)).serializedOutput), "three-aTHREE-B");
  assert.deepEqual(runs.splice(0), ["three-a", "three-b", "three-a", "three-b"]);
  assert.deepEqual(await begun(), before);
  const versions = [];
  for (const each of family) {
    const started = (await hub.client.getOrchestrationHistory(each)).find(({ type }) => type === "ExecutionStarted");
    versions.push(started.version);
  }
  assert.deepEqual(versions, ["1.0", "2.0"]);
});

test("an orchestration that failed by its own fault goes on once that is mended", async () => {
  isBroken = true;
  const id = await hub.start("ownFault", "four");
  assert.match((await hub.ended(id)).failureDetails.message, /not yet/);
  isBroken = false;
  await hub.client.rewindInstance(id, "mended");
  assert.equal(parsed((await hub.ended(id)).serializedOutput), "four");
  assert.deepEqual(runs.splice(0), ["four"]);
});

test("what runs or was terminated is not rewound", async () => {
  const id = await hub.start("waits");
  await hub.client.waitForOrchestrationStart(id, false, 30);
  await assert.rejects(hub.client.rewindInstance(id, "why not"), /is RUNNING/);
  await hub.client.terminateOrchestration(id, "enough");
  await hub.ended(id);
  await assert.rejects(hub.client.rewindInstance(id, "why not"), /is TERMINATED/);
});

test("what has not failed, or is unknown, is not rewound", async () => {
  const id = await hub.start("echo", 1);
  await hub.ended(id);
  await assert.rejects(hub.client.rewindInstance(id, "why not"), /only what has failed is rewound/);
  await assert.rejects(hub.client.rewindInstance("nobody", "why not"), /not found/i);
});
