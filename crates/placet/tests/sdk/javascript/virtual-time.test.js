/** Days that pass in milliseconds: Microsoft's SDK, unchanged, against a server of `placet/testing`. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, test } from "node:test";

import { OrchestrationStatus, whenAny } from "@microsoft/durabletask-js";
import { NotStarted, Refused, startServer } from "placet/testing";

import { TaskHub, eventually, parsed } from "./task-hub.js";

const DAY_MS = 24 * 3600 * 1000;

const program = {
  orchestrators: {
    async *approval(ctx, request) {
      ctx.setCustomStatus(yield ctx.callActivity("submit", request));
      const answered = ctx.waitForExternalEvent("approval_response");
      const tooLate = ctx.createTimer(request.timeoutHours * 3600);
      const first = yield whenAny([answered, tooLate]);
      return first === tooLate ? "Timeout" : answered.getResult();
    },
    async *reminders(ctx, hours) {
      const begun = ctx.currentUtcDateTime.getTime();
      const reminded = [];
      for (const wait of hours) {
        yield ctx.createTimer(wait * 3600);
        reminded.push((ctx.currentUtcDateTime.getTime() - begun) / (3600 * 1000));
      }
      return reminded;
    },
  },
  activities: { submit: async () => "Pending" },
};

/** A server, and a hub of it that is served; both are gone after the test. */
async function served(t, options) {
  const placet = await startServer(options);
  const hub = new TaskHub(placet.endpoint);
  t.after(async () => {
    await hub.close();
    await placet.close();
  });
  await hub.serve(program);
  return { placet, hub };
}

test("a request of a day times out in less than two seconds, and what follows from it needs no waiting", async (t) => {
  const { placet, hub } = await served(t);
  const begun = Date.now();
  const before = await placet.now();
  const id = await hub.start("approval", { timeoutHours: 24 });
  const arrived = await placet.advance("24h");
  const state = await hub.state(id);
  const took = Date.now() - begun;
  assert.equal(parsed(state.serializedOutput), "Timeout");
  assert.equal(state.lastUpdatedAt.getTime(), before.getTime() + DAY_MS);
  assert.deepEqual([arrived.timersFired, arrived.itemsOut, arrived.itemsReady], [1, 0, 0]);
  assert.ok(took < 2000, `${took} ms`);
});

test("timers fire at their own times however far the clock goes at once", async (t) => {
  const { placet, hub } = await served(t);
  const ids = await Promise.all([
    [1, 3, 5],
    [2, 3, 20],
  ].map((hours) => hub.start("reminders", hours)));
  assert.equal((await placet.advance(DAY_MS)).timersFired, 5);
  assert.deepEqual(parsed((await hub.state(ids[0])).serializedOutput), [1, 4, 9]);
  assert.equal((await hub.state(ids[1])).runtimeStatus, OrchestrationStatus.RUNNING);
  await placet.advance("1h");
  assert.deepEqual(parsed((await hub.state(ids[1])).serializedOutput), [2, 5, 25]);
});

test("by itself the clock goes to the end of what nobody answers, and not of what somebody does", async (t) => {
  const { hub } = await served(t, { virtualTime: "auto", autoAfter: 500 });
  const answered = await hub.start("approval", { timeoutHours: 24 });
  await eventually(async () => (await hub.state(answered)).serializedCustomStatus, "it is asked");
  await hub.client.raiseOrchestrationEvent(answered, "approval_response", "Approved");
  assert.equal(parsed((await hub.ended(answered)).serializedOutput), "Approved");
  const unanswered = await hub.start("approval", { timeoutHours: 24 });
  assert.equal(parsed((await hub.ended(unanswered)).serializedOutput), "Timeout");
});

test("ten servers stand side by side, each with a clock of its own", async () => {
  const servers = await Promise.all(Array.from({ length: 10 }, () => startServer()));
  try {
    assert.equal(new Set(servers.flatMap(({ endpoint, http }) => [endpoint, http])).size, 20);
    const went = async (placet, hours) => {
      const before = await placet.now();
      return (await placet.advance(`${hours}h`)).now - before;
    };
    const all = await Promise.all(servers.map(went));
    assert.deepEqual(
      all,
      servers.map((_, hours) => hours * 3600 * 1000),
    );
  } finally {
    await Promise.all(servers.map((placet) => placet.close()));
  }
});

test("what the server refuses is said", async () => {
  const real = await startServer({ virtualTime: null });
  await assert.rejects(real.advance("1d"), (error) => {
    return error instanceof Refused && error.message.includes("start one with --ephemeral --virtual-time");
  });
  await real.close();
  const standing = await startServer();
  await assert.rejects(standing.advance(-1), Refused);
  await assert.rejects(standing.advance("soon"), Refused);
  await standing.close();
  await assert.rejects(startServer({ args: ["--no-such-flag"] }), /--no-such-flag/);
  await assert.rejects(startServer({ binary: "/no-such-placet" }), NotStarted);
});

test("a server that nobody closes keeps no program from ending, and ends with it", async () => {
  const program = `
    import { startServer } from "placet/testing";
    console.log((await startServer()).http);
  `;
  const forgetful = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let http = "";
  forgetful.stdout.on("data", (chunk) => (http += chunk));
  const [code] = await once(forgetful, "close");
  assert.equal(code, 0);
  await eventually(() => fetch(`${http.trim()}/healthz`).then(() => false, () => true), "the server has ended");
});
