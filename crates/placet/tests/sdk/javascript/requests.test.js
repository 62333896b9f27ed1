/** Requests from any workflow: `placet.approval` as a child of a JavaScript orchestration, decided by people over HTTP. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const http = process.env.PLACET_HTTP;

// The hub that the HTTP API serves.
const hub = new TaskHub();
hub.name = "default";
after(() => hub.close());

/** Deploys what people have agreed to; nothing but Approved means yes. */
async function* deploy(ctx, request) {
  const outcome = yield ctx.callSubOrchestrator("placet.approval", request, { instanceId: `${ctx.instanceId}-approval` });
  if (outcome.status !== "Approved") {
    return `not deployed: ${outcome.status}`;
  }
  const { percent } = outcome.approved ?? request.payload;
  return `deployed to ${percent} % as ${outcome.approver} says`;
}

async function begun(request) {
  const id = await hub.start("deploy-approved", {
    requester: "deployer",
    item: "Deploy 2.3",
    payload: { percent: 100 },
    plan: { stages: [{ seats: [{ from: ["ann", "ben"], need: 2 }] }], editable: ["/percent"] },
    ...request,
  });
  const url = `${http}/api/v1/requests/${id}-approval`;
  await eventually(async () => (await fetch(url)).ok, `${id} asks`);
  return { id, url };
}

async function say(url, what, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${url}/${what}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

async function came(id) {
  return parsed((await hub.ended(id)).serializedOutput);
}

test("a workflow goes on with what people have made of its request", async () => {
  await hub.serve({ orchestrators: { "deploy-approved": deploy } });
  const edited = await begun({});
  await say(edited.url, "decisions", {
    approver: "ann",
    decision: "approve",
    edits: [{ op: "replace", path: "/percent", value: 10 }],
  });
  await say(edited.url, "decisions", { approver: "ben", decision: "approve" });
  assert.equal(await came(edited.id), "deployed to 10 % as ben says");

  const rejected = await begun({});
  await say(rejected.url, "decisions", { approver: "ben", decision: "reject" });
  assert.equal(await came(rejected.id), "not deployed: Rejected");

  const withdrawn = await begun({});
  await say(withdrawn.url, "withdraw", { by: "deployer" });
  assert.equal(await came(withdrawn.id), "not deployed: Withdrawn");

  const late = await begun({ timeout: "1s" });
  assert.equal(await came(late.id), "not deployed: Timeout");
});

test("a request goes with the workflow that waits for it", async () => {
  const { id, url } = await begun({});
  await hub.client.terminateOrchestration(id, "not needed");
  await eventually(async () => (await (await fetch(url)).json()).status === "Withdrawn", `${id} is withdrawn`);
});
