/** Sub-orchestrations, and what a client does to instances: suspend, resume, terminate with children, query, purge, restart. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { OrchestrationStatus, terminateOptions, whenAll } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();
const ids = [];
const failed = new Set();

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
  async *introduces(ctx) {
    return [ctx.parent, yield ctx.callSubOrchestrator("introduced")];
  },
  introduced: async (ctx) => ctx.parent,
  async *tells(ctx, whom) {
    ctx.sendEvent(whom, "go");
    yield ctx.createTimer(0);
  },
  failsOnce: async (_ctx, key) => {
    if (!failed.has(key)) {
      failed.add(key);
      throw new Error("not yet");
    }
    return key;
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

test("a child knows whose it is", async () => {
  const id = await hub.start("introduces");
  const [ofParent, ofChild] = parsed((await hub.ended(id)).serializedOutput);
  assert.equal(ofParent, null);
  assert.equal(ofChild.name, "introduces");
  assert.equal(ofChild.instanceId, id);
  assert.equal(typeof ofChild.taskScheduledId, "number");
});

test("an orchestration tells another that it may go on", async () => {
  const id = await hub.start("waits");
  await until(id, OrchestrationStatus.RUNNING);
  assert.equal((await hub.run("tells", id)).runtimeStatus, OrchestrationStatus.COMPLETED);
  assert.equal((await hub.ended(id)).runtimeStatus, OrchestrationStatus.COMPLETED);
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

test("what failed or was terminated is restarted with its input", async () => {
  const first = await hub.start("failsOnce", "restarted");
  assert.equal((await hub.ended(first)).runtimeStatus, OrchestrationStatus.FAILED);
  const second = await hub.client.restartOrchestration(first, true);
  assert.equal(parsed((await hub.ended(second)).serializedOutput), "restarted");

  const stopped = await hub.start("waits", "kept");
  await until(stopped, OrchestrationStatus.RUNNING);
  await hub.client.terminateOrchestration(stopped, "stop");
  await hub.ended(stopped);
  assert.equal(await hub.client.restartOrchestration(stopped), stopped);
  await hub.client.raiseOrchestrationEvent(stopped, "go", "on");
  const state = await hub.ended(stopped);
  assert.deepEqual([parsed(state.serializedInput), parsed(state.serializedOutput)], ["kept", "on"]);
});

test("what runs or is suspended is restarted under another id only", async () => {
  const id = await hub.start("waits");
  await until(id, OrchestrationStatus.RUNNING);
  await assert.rejects(hub.client.restartOrchestration(id, false), /cannot be restarted/);
  await hub.client.suspendOrchestration(id);
  await until(id, OrchestrationStatus.SUSPENDED);
  await assert.rejects(hub.client.restartOrchestration(id, false), /cannot be restarted/);
  await until(await hub.client.restartOrchestration(id, true), OrchestrationStatus.RUNNING);
  await assert.rejects(hub.client.restartOrchestration("nobody", true), /not found/);
});

test("the ids of what has ended are listed page by page", async () => {
  const own = new TaskHub();
  try {
    await own.serve({ orchestrators });
    const ended = [];
    for (let i = 0; i < 5; i++) {
      ended.push((await own.run("child", i)).instanceId);
    }
    await own.start("waits");
    const anHour = 3_600_000;
    const query = {
      runtimeStatus: [OrchestrationStatus.COMPLETED],
      completedTimeFrom: new Date(Date.now() - anHour),
      completedTimeTo: new Date(Date.now() + anHour),
      pageSize: 2,
    };
    const found = [];
    let page;
    do {
      page = await own.client.listInstanceIds({ ...query, lastInstanceKey: page?.continuationToken });
      assert.ok(page.values.length <= 2);
      found.push(...page.values);
    } while (page.continuationToken);
    assert.deepEqual(found, ended);
  } finally {
    await own.close();
  }
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
