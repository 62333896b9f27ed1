/** Versions: where they come from, and what a worker does about one that is not its own. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { OrchestrationStatus, VersionFailureStrategy, VersionMatchStrategy } from "@microsoft/durabletask-js";

import { TaskHub, parsed } from "./task-hub.js";

let hub;
beforeEach(() => (hub = new TaskHub()));
afterEach(() => hub.close());

const orchestrators = {
  versioned: async (ctx) => ctx.version,
  async *calls(ctx, version) {
    return yield ctx.callSubOrchestrator("versioned", undefined, { version });
  },
};

const serve = (version, failureStrategy, matchStrategy = VersionMatchStrategy.Strict) =>
  hub.serve({ orchestrators, versioning: { version, matchStrategy, failureStrategy } });

test("the version of a start is what the code sees, and a child has the one that its parent says", async () => {
  await hub.serve({ orchestrators });
  assert.equal(parsed((await hub.run("versioned", undefined, { version: "2.0.1-beta" })).serializedOutput), "2.0.1-beta");
  assert.equal(parsed((await hub.run("calls", "3.1")).serializedOutput), "3.1");
});

test("a worker that fails what is not of its version says so", async () => {
  await serve("1.0", VersionFailureStrategy.Fail);
  assert.equal(parsed((await hub.run("versioned", undefined, { version: "1.0" })).serializedOutput), "1.0");
  const state = await hub.run("versioned", undefined, { version: "2.0" });
  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.match(state.failureDetails.errorType, /VersionMismatch/);
});

test("a worker that takes older versions leaves newer ones to others", async () => {
  await serve("2.0", VersionFailureStrategy.Reject, VersionMatchStrategy.CurrentOrOlder);
  assert.equal(parsed((await hub.run("versioned", undefined, { version: "1.9" })).serializedOutput), "1.9");
  const newer = await hub.start("versioned", undefined, { version: "2.1" });
  await setTimeout(1000); // sleep: that nothing happens can only be seen by waiting
  assert.equal((await hub.state(newer)).runtimeStatus, OrchestrationStatus.PENDING);
  await serve("2.1", VersionFailureStrategy.Reject);
  assert.equal(parsed((await hub.ended(newer)).serializedOutput), "2.1");
});

test("two workers with filters get what they name, and what nobody names waits", async () => {
  const of = (version) => ({ orchestrations: [{ name: "versioned", versions: [version] }], activities: [] });
  await hub.serve({ orchestrators: { versioned: async () => "old" }, workItemFilters: of("1.0") });
  await hub.serve({ orchestrators: { versioned: async () => "new" }, workItemFilters: of("2.0") });
  const run = async (version) => parsed((await hub.run("versioned", undefined, { version })).serializedOutput);
  assert.deepEqual(await Promise.all(["1.0", "2.0", "1.0", "2.0"].map(run)), ["old", "new", "old", "new"]);
  const third = await hub.start("versioned", undefined, { version: "3.0" });
  await hub.serve({ orchestrators: { versioned: async () => "newest" } });
  assert.equal(parsed((await hub.ended(third)).serializedOutput), "newest");
});

test("an activity has the version of whoever calls it, so that a filter lets it through", async () => {
  const orchestrators = {
    async *greets(ctx) {
      return yield ctx.callActivity("greet");
    },
  };
  const workItemFilters = {
    orchestrations: [{ name: "greets", versions: ["3.0"] }],
    activities: [{ name: "greet", versions: ["3.0"] }],
  };
  await hub.serve({ orchestrators, activities: { greet: async () => "hello" }, workItemFilters });
  assert.equal(parsed((await hub.run("greets", undefined, { version: "3.0" })).serializedOutput), "hello");
});
