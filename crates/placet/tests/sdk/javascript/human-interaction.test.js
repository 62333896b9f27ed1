/** The mission's orchestration in JavaScript: a person or the deadline, and a worker that is replaced meanwhile. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { OrchestrationStatus, whenAny } from "@microsoft/durabletask-js";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const hub = new TaskHub();
after(() => hub.close());

const program = {
  orchestrators: {
    async *approval(ctx, request) {
      const submission = yield ctx.callActivity("submit", request);
      ctx.setCustomStatus(submission);
      const answered = ctx.waitForExternalEvent("approval_response");
      const tooLate = ctx.createTimer(request.timeoutHours * 3600);
      const first = yield whenAny([answered, tooLate]);
      if (first === tooLate) {
        return { requestId: request.requestId, status: "Timeout" };
      }
      return yield ctx.callActivity("process", { requestId: request.requestId, ...answered.getResult() });
    },
  },
  activities: {
    submit: async (_ctx, { requestId }) => ({ requestId, status: "Pending" }),
    process: async (_ctx, { requestId, isApproved, approver }) => ({
      requestId,
      status: isApproved ? "Approved" : "Rejected",
      approver,
    }),
  },
};

async function ask(requestId, timeoutHours) {
  await hub.start("approval", { requestId, timeoutHours }, { instanceId: requestId });
}

async function isAsked(requestId) {
  await eventually(async () => parsed((await hub.state(requestId)).serializedCustomStatus), `${requestId} is asked`);
}

async function answer(requestId, isApproved) {
  await hub.client.raiseOrchestrationEvent(requestId, "approval_response", { isApproved, approver: "Manager" });
}

async function outcome(requestId) {
  return parsed((await hub.ended(requestId)).serializedOutput);
}

test("requests are approved, rejected and time out, whoever serves them", async () => {
  const first = await hub.serve(program);
  await Promise.all([ask("yes", 1), ask("no", 1), ask("late", 0.0005), ask("later", 1)]);
  await Promise.all(["yes", "no", "later"].map(isAsked));
  await answer("yes", true);
  await answer("no", false);
  assert.deepEqual(await outcome("yes"), { requestId: "yes", status: "Approved", approver: "Manager" });
  assert.deepEqual(await outcome("no"), { requestId: "no", status: "Rejected", approver: "Manager" });
  assert.deepEqual(await outcome("late"), { requestId: "late", status: "Timeout" });

  await hub.dismiss(first);
  await answer("later", true);
  assert.equal((await hub.state("later")).runtimeStatus, OrchestrationStatus.RUNNING);
  await hub.serve(program);
  assert.deepEqual(await outcome("later"), { requestId: "later", status: "Approved", approver: "Manager" });
});

test("two workers on one hub do each thing once", async () => {
  await hub.serve(program);
  const ids = Array.from({ length: 30 }, (_, i) => `shared-${i}`);
  await Promise.all(ids.map((id) => ask(id, 1)));
  await Promise.all(ids.map((id, i) => answer(id, i % 2 === 0)));
  const outcomes = await Promise.all(ids.map(outcome));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ids.map((_, i) => (i % 2 === 0 ? "Approved" : "Rejected")),
  );
  const names = await hub.eventNames(ids[0]);
  assert.equal(names.filter((name) => name === "TaskCompleted").length, 2);
});
