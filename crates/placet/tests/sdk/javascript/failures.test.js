/** Failures: told in full, handled in code, retried as the policy says. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { OrchestrationStatus, RetryPolicy } from "@microsoft/durabletask-js";

import { TaskHub, parsed } from "./task-hub.js";

const hub = new TaskHub();
const attempts = new Map();

const fiveTimes = new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 50 });
const whatMayPass = new RetryPolicy({
  maxNumberOfAttempts: 5,
  firstRetryIntervalInMilliseconds: 50,
  handleFailure: (failure) => failure.errorType !== "TypeError",
});

// What decides about the failure of a child: a policy, or code of one's own that says how many milliseconds to wait.
const ofChildren = {
  policy: whatMayPass,
  code: async ({ lastFailure }) => (lastFailure.errorType === "RangeError" ? 50 : false),
};

before(() =>
  hub.serve({
    orchestrators: {
      async *callFail(ctx, message) {
        yield ctx.callActivity("fail", message);
      },
      async *careful(ctx) {
        try {
          yield ctx.callActivity("fail", "no");
        } catch (error) {
          return `handled: ${error.message}`;
        }
      },
      async *persistent(ctx, failing) {
        return yield ctx.callActivity("flaky", { id: ctx.instanceId, failing }, { retry: fiveTimes });
      },
      async *choosy(ctx) {
        yield ctx.callActivity("hopeless", ctx.instanceId, { retry: whatMayPass });
      },
      flakyChild: async (_ctx, id) => {
        attempts.set(id, (attempts.get(id) ?? 0) + 1);
        throw attempts.get(id) < 3 ? new RangeError("try again") : new TypeError("never");
      },
      async *parent(ctx, retry) {
        yield ctx.callSubOrchestrator("flakyChild", ctx.instanceId, { retry: ofChildren[retry] });
      },
      broken: async () => {
        throw new RangeError("broken from the start");
      },
      async *stranger(ctx) {
        yield ctx.callActivity("nowhere");
      },
    },
    activities: {
      fail: async (_ctx, message) => {
        throw new Error(message);
      },
      flaky: async (ctx, { id, failing }) => {
        const ids = attempts.get(id) ?? attempts.set(id, []).get(id);
        ids.push(ctx.taskId);
        if (ids.length <= failing) {
          throw new Error("try again");
        }
        return "at last";
      },
      hopeless: async (_ctx, id) => {
        attempts.set(id, (attempts.get(id) ?? 0) + 1);
        throw new TypeError("never");
      },
    },
  }),
);
after(() => hub.close());

test("an activity that throws fails the orchestration", async () => {
  const state = await hub.run("callFail", "Kah-BOOOOM!!!");
  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.match(state.failureDetails.message, /Kah-BOOOOM!!!/);
});

test("a failure can be handled", async () => {
  const state = await hub.run("careful");
  assert.equal(state.runtimeStatus, OrchestrationStatus.COMPLETED);
  assert.match(parsed(state.serializedOutput), /^handled: .*no/);
});

test("a retry succeeds in the end", async () => {
  const state = await hub.run("persistent", 2);
  assert.equal(parsed(state.serializedOutput), "at last");
  // Unlike Python's, a retry of this SDK has a task id of its own.
  assert.equal(new Set(attempts.get(state.instanceId)).size, 3);
});

test("after the last attempt the failure stands", async () => {
  const state = await hub.run("persistent", 9);
  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.equal(attempts.get(state.instanceId).length, 5);
});

test("the type of a failure arrives unchanged, so that a policy can tell it", async () => {
  const state = await hub.run("choosy");
  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.equal(attempts.get(state.instanceId), 1);
});

for (const retry of ["policy", "code"]) {
  test(`a child is tried again as long as its failure is one that may pass: ${retry}`, async () => {
    const state = await hub.run("parent", retry);
    assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
    assert.match(state.failureDetails.message, /never/);
    assert.equal(attempts.get(state.instanceId), 3);
  });
}

test("an orchestrator that throws fails", async () => {
  const state = await hub.run("broken");
  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.equal(state.failureDetails.errorType, "RangeError");
  assert.equal(state.failureDetails.message, "broken from the start");
});

test("what no worker has registered fails by its name", async () => {
  for (const name of ["nowhere", "stranger"]) {
    const state = await hub.run(name);
    assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
    assert.match(state.failureDetails.message, /nowhere/);
  }
});
