/** Starting and ending: ids, ids that exist already, later starts, termination. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import grpc from "@grpc/grpc-js";
import { OrchestrationStatus } from "@microsoft/durabletask-js";

import { TaskHub, parsed } from "./task-hub.js";

const hub = new TaskHub();

before(() =>
  hub.serve({
    orchestrators: {
      echo: async (_ctx, value) => value,
      async *wait(ctx) {
        yield ctx.waitForExternalEvent("go");
      },
    },
  }),
);
after(() => hub.close());

test("an id may have 100 characters and no more", async () => {
  await hub.run("echo", 1, { instanceId: "i".repeat(100) });
  await assert.rejects(hub.start("echo", 1, { instanceId: "i".repeat(101) }), {
    code: grpc.status.INVALID_ARGUMENT,
  });
});

test("a running instance is not replaced, an ended one is", async () => {
  await hub.start("wait", undefined, { instanceId: "again" });
  await assert.rejects(hub.start("echo", 1, { instanceId: "again" }), { code: grpc.status.ALREADY_EXISTS });
  await hub.client.raiseOrchestrationEvent("again", "go");
  await hub.ended("again");
  assert.equal(parsed((await hub.run("echo", "new", { instanceId: "again" })).serializedOutput), "new");
});

test("a later start begins at its time and not before", async () => {
  const startAt = new Date(Date.now() + 1500);
  const id = await hub.start("echo", 1, { startAt });
  assert.equal((await hub.state(id)).runtimeStatus, OrchestrationStatus.PENDING);
  await hub.ended(id);
  const [began] = await hub.client.getOrchestrationHistory(id);
  const late = began.timestamp.getTime() - startAt.getTime();
  assert.ok(late >= 0 && late < 1000, `${late} ms late`);
});

test("a running instance is terminated with the output that was given", async () => {
  const id = await hub.start("wait");
  await hub.client.waitForOrchestrationStart(id, false, 30);
  await hub.client.terminateOrchestration(id, { by: "Manager" });
  const state = await hub.ended(id);
  assert.equal(state.runtimeStatus, OrchestrationStatus.TERMINATED);
  assert.deepEqual(parsed(state.serializedOutput), { by: "Manager" });
});

test("an instance that waits for its start is terminated", async () => {
  const id = await hub.start("echo", 1, { startAt: new Date(Date.now() + 3_600_000) });
  await hub.client.terminateOrchestration(id, "not needed");
  const state = await hub.ended(id);
  assert.equal(state.runtimeStatus, OrchestrationStatus.TERMINATED);
  assert.equal(parsed(state.serializedOutput), "not needed");
});

test("an unknown instance is no error where it is only asked for", async () => {
  assert.equal(await hub.state("nobody"), undefined);
});
