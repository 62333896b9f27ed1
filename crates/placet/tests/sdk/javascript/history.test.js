/** The stored history: which events, in which order, with which ids. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { TaskHub } from "./task-hub.js";

const hub = new TaskHub();

before(() =>
  hub.serve({
    orchestrators: {
      async *oneOfEach(ctx, value) {
        const doubled = yield ctx.callActivity("double", value);
        yield ctx.createTimer(0.1);
        return doubled;
      },
      async *withChild(ctx, value) {
        const doubled = yield ctx.callActivity("double", value);
        return yield ctx.callSubOrchestrator("same", doubled);
      },
      same: async (_ctx, value) => value,
    },
    activities: { double: async (_ctx, value) => value * 2 },
  }),
);
after(() => hub.close());

test("an activity and a timer make nine events", async () => {
  const id = await hub.start("oneOfEach", 21);
  await hub.ended(id);
  assert.deepEqual(await hub.eventNames(id), [
    "OrchestratorStarted",
    "ExecutionStarted",
    "TaskScheduled",
    "OrchestratorStarted",
    "TaskCompleted",
    "TimerCreated",
    "OrchestratorStarted",
    "TimerFired",
    "ExecutionCompleted",
  ]);

  const history = await hub.client.getOrchestrationHistory(id);
  const ids = history.map((event) => event.eventId).filter((eventId) => eventId !== -1);
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((a, b) => a - b),
  );
  // A message has the time at which it came, which may be earlier than the turn that took it.
  const turns = history.filter((event) => event.type === "OrchestratorStarted");
  const clock = turns.map((event) => event.timestamp.getTime());
  assert.deepEqual(
    clock,
    clock.toSorted((a, b) => a - b),
  );
  assert.match(history[1].orchestrationInstance.executionId, /^[0-9a-f]{32}$/);
  assert.equal(history[1].orchestrationInstance.instanceId, id);
});

test("what ends tells what it is the end of", async () => {
  const id = await hub.start("withChild", 21);
  await hub.ended(id);
  const history = await hub.client.getOrchestrationHistory(id);
  const of = (type) => history.find((event) => event.type === type);
  assert.deepEqual([of("TaskScheduled").name, of("TaskScheduled").input], ["double", "21"]);
  assert.equal(of("TaskCompleted").taskScheduledId, of("TaskScheduled").eventId);
  const created = of("SubOrchestrationInstanceCreated");
  assert.deepEqual([created.name, created.input], ["same", "42"]);
  const completed = of("SubOrchestrationInstanceCompleted");
  assert.deepEqual([completed.taskScheduledId, completed.result], [created.eventId, "42"]);
  assert.deepEqual(
    [of("ExecutionCompleted").orchestrationStatus, of("ExecutionCompleted").result],
    ["ORCHESTRATION_STATUS_COMPLETED", "42"],
  );
});

test("an unknown instance has no history", async () => {
  assert.deepEqual(await hub.client.getOrchestrationHistory("nobody"), []);
});
