/** Traces: what client, orchestrations and activities say of themselves is one trace. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { trace } from "@opentelemetry/api";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

import { TaskHub, eventually } from "./task-hub.js";

const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));

const hub = new TaskHub();
before(() =>
  hub.serve({
    orchestrators: {
      async *order(ctx) {
        yield ctx.callActivity("charge");
        yield ctx.callSubOrchestrator("delivery");
        return yield ctx.waitForExternalEvent("signed");
      },
      async *delivery(ctx) {
        return yield ctx.callActivity("pack");
      },
    },
    activities: { charge: async () => "charged", pack: async () => "packed" },
  }),
);
after(() => hub.close());

test("spans of client, parent, child and activities are one trace, and all turns tell of one span", async () => {
  const id = await hub.start("order");
  await eventually(async () => (await hub.eventNames(id)).includes("SubOrchestrationInstanceCompleted"), "it waits");
  await hub.client.raiseOrchestrationEvent(id, "signed", true);
  await hub.ended(id);
  const named = (name) => exporter.getFinishedSpans().filter((span) => span.name === name);
  await eventually(() => named("orchestration:order").length >= 4, "all turns of the order have ended");

  const [created] = named("create_orchestration:order");
  for (const name of ["orchestration:order", "activity:charge", "orchestration:delivery", "activity:pack"]) {
    assert.ok(named(name).length > 0, `${name} has ended`);
    for (const span of named(name)) {
      assert.equal(span.spanContext().traceId, created.spanContext().traceId, name);
    }
  }
  // The SDK makes a span of each turn; what the scheduler keeps tells which was the first.
  const [first, ...later] = named("orchestration:order");
  assert.equal(first.parentSpanContext.spanId, created.spanContext().spanId);
  const replayed = later.map((span) => span.attributes["durabletask.task.replay_span_id"]);
  assert.deepEqual(new Set(replayed), new Set([first.spanContext().spanId]));
});
