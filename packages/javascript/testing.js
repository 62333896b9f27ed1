/**
 * A Placet of the test's own: fresh, on free ports, with a clock that stands until it is told to go on.
 *
 *     import { startServer } from "placet/testing";
 *
 *     const placet = await startServer();
 *     const client = new TaskHubGrpcClient({ hostAddress: placet.hostAddress });
 *     ...
 *     await placet.advance("24h");
 *     await placet.close();
 *
 * The binary is the one that PLACET_BIN names, or `placet` on the PATH. testing.d.ts tells what there is.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** How long anything may take that ought to take milliseconds: generous, since a slow machine is no failure. */
const PATIENCE_MS = 60_000;

/** Of what a server logs, so much of the end is kept. */
const LOG_CHARS_MAX = 1 << 20;

/** The server did not start: there is no binary, or it says why. */
export class NotStarted extends Error {
  name = "NotStarted";
}

/** The server does not do what it was asked to. */
export class Refused extends Error {
  name = "Refused";
}

/** A running server with all its roles. It stops when it is closed, and ends with this process in any case. */
class Server {
  #child;
  #ended;
  #log = "";

  constructor(child, taskhub) {
    this.#child = child;
    this.taskhub = taskhub;
    this.#ended = once(child, "close");
    child.stderr.on("data", (chunk) => {
      this.#log = (this.#log + chunk).slice(-LOG_CHARS_MAX);
    });
  }

  /** Reads where to go. */
  async listen() {
    const overdue = globalThis.setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    const lines = createInterface({ input: this.#child.stdout });
    const [line] = await Promise.race([once(lines, "line"), this.#ended.then(() => [undefined])]);
    clearTimeout(overdue);
    if (line === undefined) {
      throw new NotStarted(`placet ended with ${this.#child.exitCode ?? this.#child.signalCode}:\n${this.log}`);
    }
    const announced = JSON.parse(line);
    this.endpoint = announced.grpc;
    this.hostAddress = new URL(announced.grpc).host;
    this.http = announced.http;
    // Whoever forgets to close it is not kept from ending by it: it ends with him.
    for (const handle of [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      handle.unref();
    }
    return this;
  }

  async advance(by, { patience = "10s" } = {}) {
    const body = JSON.stringify({ by: text(by), patience: text(patience) });
    const headers = { "content-type": "application/json" };
    const arrived = await this.#call("/api/time/advance", { method: "POST", headers, body });
    return {
      now: new Date(arrived.now),
      timersFired: arrived.timers_fired,
      itemsOut: arrived.items_out,
      itemsReady: arrived.items_ready,
    };
  }

  async settle(options) {
    return await this.advance(0, options);
  }

  async now() {
    return new Date((await this.#call("/api/time")).now);
  }

  get log() {
    return this.#log;
  }

  async close() {
    this.#child.ref();
    this.#child.stdin.end();
    const overdue = globalThis.setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    await this.#ended;
    clearTimeout(overdue);
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  async #call(path, options) {
    const answer = await fetch(this.http + path, options);
    const body = await answer.json();
    if (!answer.ok) {
      throw new Refused(body.detail);
    }
    return body;
  }
}

/** Starts a fresh server. */
export async function startServer({
  virtualTime = "manual",
  autoAfter,
  taskhub = "default",
  binary = process.env.PLACET_BIN || "placet",
  args = [],
} = {}) {
  const all = ["serve", "--ephemeral", "--json", "--until-stdin-ends", "--taskhub", taskhub];
  all.push("--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0");
  if (virtualTime !== null) {
    all.push(`--virtual-time=${virtualTime}`);
  }
  if (autoAfter !== undefined) {
    all.push(`--auto-after=${text(autoAfter)}`);
  }
  const child = spawn(binary, [...all, ...args], { stdio: ["pipe", "pipe", "pipe"], windowsHide: true });
  try {
    await once(child, "spawn");
  } catch (error) {
    const remedy = error.code === "ENOENT" ? "; set PLACET_BIN to where it is" : "";
    throw new NotStarted(`${error.message}${remedy}`);
  }
  return await new Server(child, taskhub).listen();
}

/** A duration as the server reads it: a text such as "24h", or a number of milliseconds. */
function text(duration) {
  return typeof duration === "number" ? `${duration}ms` : duration;
}
