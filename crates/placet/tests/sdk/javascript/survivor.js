/**
 * A program that lives through the crashes of its server: it serves errands and requests, starts them, and writes down
 * what it was told. What it wrote is compared with what the server says in the end (`crates/placet/tests/it/crashes/`).
 *
 * ENDPOINT  the scheduler; TASKHUB the hub
 * LEDGER    the file that it appends to, a line of JSON for each call once it is over
 *
 * On stdin: `up N` when the server is there for the Nth time, `enough` when nothing new is to be begun. It ends when
 * what was begun has ended.
 */

import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

import grpc from "@grpc/grpc-js";
import { NoOpLogger, OrchestrationStatus, TaskHubGrpcClient, TaskHubGrpcWorker, whenAny } from "@microsoft/durabletask-js";

const ERRANDS = 8;
const REQUESTS = 4;
const SENDERS = ["a", "b"];
const EVENTS = 3;
const { UNAVAILABLE, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, OK } = grpc.status;

/** How often the server has come up, and whether it is enough. */
const times = Object.assign(new EventEmitter().setMaxListeners(0), { up: 0, enough: false });
createInterface({ input: process.stdin })
  .on("line", (line) => {
    times.up = line.startsWith("up ") ? Number(line.slice(3)) : times.up;
    times.enough ||= line === "enough";
    times.emit("changed");
  })
  .on("close", () => process.exit(1)); // whoever runs us is gone

/** Until the server has come up again, or a moment: it may be there, and our connection not yet. */
function nextTime() {
  return new Promise((resolve) => {
    // sleep: nothing tells when the connection is there
    const moment = setTimeout(resolve, 50);
    times.once("changed", () => (clearTimeout(moment), resolve()));
  });
}

/** Microseconds, by the clock that all programs share. */
function now() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

const ledger = openSync(process.env.LEDGER, "a");

function write(up, began, call, id, told, facts) {
  writeSync(ledger, JSON.stringify({ cycle: up, began, ended: now(), call, id, told, ...facts }) + "\n");
}

/** Whether nobody knows what became of a call that ended so. A connection that breaks is INTERNAL here. */
function isUnknown({ code, details = "", message = "" }) {
  const isBroken = code === INTERNAL && /RST_STREAM|ECONNRESET/.test(`${details} ${message}`);
  return isBroken || [UNAVAILABLE, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED].includes(code) || /^Timed out/.test(message);
}

/** Makes a call and writes down what it was told. Its result; undefined if nobody knows what became of it. */
async function told(call, id, make, facts = {}) {
  const [up, began] = [times.up, now()];
  try {
    const result = await make();
    const state = call === "ended" && {
      status: OrchestrationStatus[result.runtimeStatus],
      output: result.serializedOutput,
    };
    write(up, began, call, id, "ok", { ...facts, ...state });
    return result ?? true;
  } catch (error) {
    write(up, began, call, id, isUnknown(error) ? "unknown" : String(error), facts);
    await nextTime();
    return undefined;
  }
}

/** Results of activities whose worker has not been told yet what became of them. */
const open = Object.assign(new EventEmitter(), { count: 0 });

/** Writes down what the SDK's worker is told of its activities' results. */
function completions(options, next) {
  const call = next(options);
  if (!options.method_definition.path.endsWith("/CompleteActivityTask")) {
    return new grpc.InterceptingCall(call);
  }
  const [up, began] = [times.up, now()];
  open.count++;
  let request;
  const onReceiveStatus = (status, pass) => {
    const said = isUnknown(status) ? "unknown" : `${status.code}: ${status.details}`;
    const facts = { task: request.getTaskid(), result: request.getResult().getValue() };
    write(up, began, "complete", request.getInstanceid(), status.code === OK ? "ok" : said, facts);
    open.count--;
    open.emit("told");
    pass(status);
  };
  return new grpc.InterceptingCall(call, {
    start: (metadata, _listener, pass) => pass(metadata, { onReceiveStatus }),
    sendMessage: (message, pass) => pass((request = message)),
  });
}

const connection = {
  hostAddress: new URL(process.env.ENDPOINT).host,
  logger: new NoOpLogger(),
  metadataGenerator: async () => {
    const metadata = new grpc.Metadata();
    metadata.set("taskhub", process.env.TASKHUB);
    return metadata;
  },
  // What the SDKs choose for a cloud is too long for a server that is back after a tenth of a second.
  options: {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 300,
    interceptors: [completions],
  },
};
const client = new TaskHubGrpcClient(connection);

/** Takes events until each sender has sent its last one, between two activities and a timer, and says what it saw. */
async function* jsErrand(ctx, senders) {
  const receipts = [yield ctx.callActivity("js_step")];
  const seen = [];
  const waitsFor = new Set(senders);
  while (waitsFor.size > 0) {
    const item = yield ctx.waitForExternalEvent("item");
    seen.push(item.token);
    if (item.is_last) {
      waitsFor.delete(item.sender);
    }
  }
  yield ctx.createTimer(0.02);
  receipts.push(yield ctx.callActivity("js_step"));
  return { receipts, seen };
}

/** The mission's orchestration. */
async function* jsRequest(ctx, { request_id, timeout_hours }) {
  ctx.setCustomStatus(yield ctx.callActivity("js_submit", { request_id }));
  const answered = ctx.waitForExternalEvent("approval_response");
  const tooLate = ctx.createTimer(timeout_hours * 3600);
  const first = yield whenAny([answered, tooLate]);
  if (first === tooLate) {
    return { request_id, status: "Timeout" };
  }
  return yield ctx.callActivity("js_process", { request_id, ...answered.getResult() });
}

/** Another result each time that it runs, so that it is seen which one counted. */
const activities = {
  js_step: async () => randomUUID(),
  js_submit: async (_ctx, { request_id }) => ({ request_id, status: "Pending", receipt: randomUUID() }),
  js_process: async (_ctx, { request_id, is_approved, approver }) => {
    return { request_id, status: is_approved ? "Approved" : "Rejected", approver, receipt: randomUUID() };
  },
};

async function raise(id, event, token, data) {
  const make = () => client.raiseOrchestrationEvent(id, event, { token, ...data });
  return await told("raise", id, make, { token, is_last: data.is_last ?? false });
}

async function hasEnded(id) {
  while (!(await told("ended", id, () => client.waitForOrchestrationCompletion(id, true, 20))));
}

async function send(id, sender) {
  for (let number = 0; number <= EVENTS; number++) {
    const data = { sender, is_last: number === EVENTS };
    // Sent again as another one: the first may have come.
    for (let attempt = 0; !(await raise(id, "item", `${sender}-${number}-${attempt}`, data)); attempt++);
  }
}

async function errand() {
  const id = `js-errand-${randomUUID()}`;
  const start = () => client.scheduleNewOrchestration("js_errand", SENDERS, { instanceId: id });
  // If nobody knows, it may be there or not; nobody sends it anything.
  if (await told("start", id, start)) {
    await Promise.all(SENDERS.map((sender) => send(id, sender)));
    await hasEnded(id);
  }
}

/**
 * A request, which people decide by HTTP; every third also by a raw event, and every fourth with a deadline amid all
 * that.
 */
async function request(number) {
  const id = `js-request-${randomUUID()}`;
  const input = { request_id: id, timeout_hours: number % 4 === 0 ? 0.3 / 3600 : 1 };
  if (!(await told("request", id, () => client.scheduleNewOrchestration("js_request", input, { instanceId: id })))) {
    return;
  }
  if (number % 3 === 0) {
    await raise(id, "approval_response", "Raw", { is_approved: number % 2 === 0, approver: "Raw" });
  }
  await hasEnded(id);
}

async function again(what) {
  for (let number = 1; !times.enough; number++) {
    await what(number);
  }
}

const worker = new TaskHubGrpcWorker({ ...connection, workItemFilters: "auto" }); // the hub is served in Python, too
worker.addNamedOrchestrator("js_errand", jsErrand);
worker.addNamedOrchestrator("js_request", jsRequest);
for (const [name, activity] of Object.entries(activities)) {
  worker.addNamedActivity(name, activity);
}
await worker.start();
const slots = [...Array(ERRANDS).fill(errand), ...Array(REQUESTS).fill(request)];
await Promise.all(slots.map(again));
// The last results, too: their orchestration may have ended before their worker hears of them.
while (open.count > 0) {
  await once(open, "told");
}
// Not `worker.stop()`: it waits for what a dead server was to say.
process.exit(0);
