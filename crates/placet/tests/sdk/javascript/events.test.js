/** External events and the custom status. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import grpc from "@grpc/grpc-js";
import { HistoryEventType } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();

before(() =>
  hub.serve({
    orchestrators: {
      async *collect(ctx, names) {
        const values = [];
        for (const [i, name] of names.entries()) {
          ctx.setCustomStatus({ waitsFor: name, number: i });
          values.push(yield ctx.waitForExternalEvent(name));
        }
        return values;
      },
      async *fallsSilent(ctx) {
        ctx.setCustomStatus("busy");
        yield ctx.waitForExternalEvent("hush");
        ctx.setCustomStatus("");
      },
    },
  }),
);
after(() => hub.close());

test("events of one name are given in the order in which they came", async () => {
  const id = await hub.start("collect", Array(20).fill("item"));
  for (let i = 0; i < 20; i++) {
    await hub.client.raiseOrchestrationEvent(id, "item", i);
  }
  assert.deepEqual(
    parsed((await hub.ended(id)).serializedOutput),
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test("an event that comes before its wait is kept", async () => {
  const id = await hub.start("collect", ["first", "second"]);
  await hub.client.raiseOrchestrationEvent(id, "second", 2);
  await hub.client.raiseOrchestrationEvent(id, "first", 1);
  assert.deepEqual(parsed((await hub.ended(id)).serializedOutput), [1, 2]);
});

test("names match in any case and are kept as they were given", async () => {
  const id = await hub.start("collect", ["approval_response"]);
  await hub.client.raiseOrchestrationEvent(id, "Approval_Response", true);
  assert.deepEqual(parsed((await hub.ended(id)).serializedOutput), [true]);
  const history = await hub.client.getOrchestrationHistory(id);
  const raised = history.find((event) => event.type === HistoryEventType.EventRaised);
  assert.equal(raised.name, "Approval_Response");
});

test("the custom status is seen while the orchestration waits", async () => {
  const id = await hub.start("collect", ["a", "b"]);
  for (const [number, waitsFor] of ["a", "b"].entries()) {
    await eventually(async () => {
      const status = parsed((await hub.state(id)).serializedCustomStatus);
      return status?.number === number && status.waitsFor === waitsFor;
    }, `it waits for ${waitsFor}`);
    await hub.client.raiseOrchestrationEvent(id, waitsFor, null);
  }
  assert.deepEqual(parsed((await hub.ended(id)).serializedOutput), [null, null]);
});

test("an empty custom status is one", async () => {
  const id = await hub.start("fallsSilent");
  await hub.client.raiseOrchestrationEvent(id, "hush");
  assert.equal((await hub.ended(id)).serializedCustomStatus, '""');
});

test("an event to an unknown instance is refused", async () => {
  await assert.rejects(hub.client.raiseOrchestrationEvent("nobody", "item", 1), { code: grpc.status.NOT_FOUND });
});
