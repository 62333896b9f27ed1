/** Sub-orchestrations, and what a client does to instances: suspend, resume, terminate with children, query, purge, restart. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { OrchestrationStatus, terminateOptions, whenAll } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();
const ids = [];

const orchestrators = {
  async *child(ctx, value) {
    ids.push(ctx.instanceId);
    return value + 1;
  },
  async *parent(ctx, width) {
    const children = [];
    for (let i = 0; i < width; i++) {
      children.push(ctx.callSubOrchestrator("child", i));
    }
    return yield whenAll(children);
  },
  async *broken() {
    throw new Error("Kah-BOOOOM!!!");
  },
  async *catches(ctx) {
    try {
      yield ctx.callSubOrchestrator("broken");
    } catch (error) {
      return error.message;
    }
  },
  async *nests(ctx, depth) {
    if (depth > 0) {
      yield ctx.callSubOrchestrator("nests", depth - 1, { instanceId: `${ctx.instanceId}-x` });
    }
    yield ctx.waitForExternalEvent("never");
  },
  async *waits(ctx) {
    return yield ctx.waitForExternalEvent("go");
  },
};

before(() => hub.serve({ orchestrators }));
after(() => hub.close());

async function until(id, status) {
  await eventually(async () => (await hub.state(id))?.runtimeStatus === status, `${id} is ${OrchestrationStatus[status]}`);
}

test("a parent gets what its children returned, in its own order", async () => {
  const id = await hub.start("parent", 20);
  assert.deepEqual(
    parsed((await hub.ended(id)).serializedOutput),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  assert.match(ids[0], /^[0-9a-f]{32}:[0-9a-f]{4}$/, "the SDK makes a child's id of the server's execution id");
});

test("a child's failure is told to its parent", async () => {
  assert.match(parsed((await hub.run("catches")).serializedOutput), /Kah-BOOOOM!!!/);
});

test("a termination goes down to the children if it says so", async () => {
  await hub.start("nests", 2, "root");
  await until("root-x-x", OrchestrationStatus.RUNNING);
  await hub.client.terminateOrchestration("root", terminateOptions({ output: "stop", recursive: true }));
  for (const id of ["root", "root-x", "root-x-x"]) {
    const state = await hub.ended(id);
    assert.equal(state.runtimeStatus, OrchestrationStatus.TERMINATED, id);
    assert.equal(parsed(state.serializedOutput), "stop");
  }
});

test("what comes while an instance is suspended waits", async () => {
  const id = await hub.start("waits");
  await until(id, OrchestrationStatus.RUNNING);
  await hub.client.suspendOrchestration(id);
  await until(id, OrchestrationStatus.SUSPENDED);
  await hub.client.raiseOrchestrationEvent(id, "go", "kept");
  await hub.client.resumeOrchestration(id);
  assert.equal(parsed((await hub.ended(id)).serializedOutput), "kept");
});

test("an instance that has ended is restarted and purged", async () => {
  const id = await hub.start("child", 4);
  await hub.ended(id);
  const another = await hub.client.restartOrchestration(id, true);
  assert.equal(parsed((await hub.ended(another)).serializedOutput), 5);
  const purged = await hub.client.purgeOrchestration(id);
  assert.equal(purged.deletedInstanceCount, 1);
  assert.equal(await hub.state(id), undefined);
});

test("instances are found page by page", async () => {
  const wanted = [];
  for (let i = 0; i < 7; i++) {
    wanted.push(await hub.start("child", i, `found-${i}`));
    await hub.ended(wanted[i]);
  }
  const found = [];
  for await (const state of hub.client.getAllInstances({ instanceIdPrefix: "found-", pageSize: 3 })) {
    found.push(state.instanceId);
  }
  assert.deepEqual(found, wanted);
});
