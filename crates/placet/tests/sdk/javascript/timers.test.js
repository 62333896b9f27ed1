/** Durable timers, alone and against events. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { HistoryEventType, whenAny } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();

before(() =>
  hub.serve({
    orchestrators: {
      async *wait(ctx, seconds) {
        yield ctx.createTimer(seconds);
        return "rested";
      },
      async *race(ctx, seconds) {
        const answered = ctx.waitForExternalEvent("approval_response");
        const tooLate = ctx.createTimer(seconds);
        const first = yield whenAny([answered, tooLate]);
        return first === tooLate ? "timer" : answered.getResult();
      },
    },
  }),
);
after(() => hub.close());

test("a timer fires within a second after its time and never before", async () => {
  const id = await hub.start("wait", 1.5);
  const state = await hub.ended(id);
  assert.equal(parsed(state.serializedOutput), "rested");
  assert.ok(state.lastUpdatedAt.getTime() >= state.createdAt.getTime() + 1500);
  const history = await hub.client.getOrchestrationHistory(id);
  const fired = history.find((event) => event.type === HistoryEventType.TimerFired);
  const late = fired.timestamp.getTime() - fired.fireAt.getTime();
  assert.ok(late >= 0 && late < 1000, `${late} ms late`);
});

test("the event wins when it comes first", async () => {
  const id = await hub.start("race", 3600);
  await eventually(async () => (await hub.eventNames(id)).includes("TimerCreated"), "it waits");
  await hub.client.raiseOrchestrationEvent(id, "approval_response", "event");
  assert.equal(parsed((await hub.ended(id)).serializedOutput), "event");
});

test("the timer wins when it comes first", async () => {
  const id = await hub.start("race", 0.3);
  const state = await hub.ended(id);
  assert.equal(parsed(state.serializedOutput), "timer");
  await hub.client.raiseOrchestrationEvent(id, "approval_response", "too late");
  assert.deepEqual(await hub.state(id), state);
});
