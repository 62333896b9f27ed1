/** One task hub, seen through Microsoft's SDK: start orchestrations, serve them, look at what became of them. */

import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";

import grpc from "@grpc/grpc-js";
import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";

/** How long anything may take that ought to take milliseconds: generous, since a slow machine is no failure. */
const PATIENCE_S = 30;

/**
 * A hub of its own for each test file, of the server at `url`: the one that PLACET_GRPC names, if nothing is said.
 *
 * Azure's package for JavaScript is not on npm; what it adds is the header that names the hub.
 */
export class TaskHub {
  #workers = [];
  #connection;

  constructor(url = process.env.PLACET_GRPC) {
    if (!url) {
      throw new Error(
        "PLACET_GRPC must be the address of a running server; `cargo xtask test --only javascript` starts one",
      );
    }
    this.name = `js-${randomUUID().slice(0, 18)}`;
    this.#connection = {
      hostAddress: new URL(url).host,
      logger: new NoOpLogger(),
      metadataGenerator: async () => {
        const metadata = new grpc.Metadata();
        metadata.set("taskhub", this.name);
        return metadata;
      },
    };
    this.client = new TaskHubGrpcClient(this.#connection);
  }

  /** A running worker in this process. What else is given are options of the SDK's worker. */
  async serve({ orchestrators = {}, activities = {}, ...options }) {
    const worker = new TaskHubGrpcWorker({ ...this.#connection, ...options });
    for (const [name, orchestrator] of Object.entries(orchestrators)) {
      worker.addNamedOrchestrator(name, orchestrator);
    }
    for (const [name, activity] of Object.entries(activities)) {
      worker.addNamedActivity(name, activity);
    }
    await worker.start();
    this.#workers.push(worker);
    return worker;
  }

  /** Stops a worker before the end of the tests. */
  async dismiss(worker) {
    this.#workers = this.#workers.filter((each) => each !== worker);
    await worker.stop();
  }

  /** Starts an orchestration; its instance id. */
  async start(name, input, options) {
    return await this.client.scheduleNewOrchestration(name, input, options);
  }

  /** The state of an instance once it has ended. */
  async ended(instanceId) {
    const state = await this.client.waitForOrchestrationCompletion(instanceId, true, PATIENCE_S);
    if (!state) {
      throw new Error(`${instanceId} is unknown`);
    }
    return state;
  }

  async run(name, input, options) {
    return await this.ended(await this.start(name, input, options));
  }

  async state(instanceId) {
    return await this.client.getOrchestrationState(instanceId, true);
  }

  /** The history as a list of names, such as `TaskCompleted`. */
  async eventNames(instanceId) {
    return (await this.client.getOrchestrationHistory(instanceId)).map((event) => event.type);
  }

  async close() {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.client.stop();
  }
}

/** What a state's payload says; undefined if there is none. */
export function parsed(payload) {
  return payload ? JSON.parse(payload) : undefined;
}

/** The first true value of `what`. An error that names the claim, if there is none in time. */
export async function eventually(what, claim) {
  const end = Date.now() + PATIENCE_S * 1000;
  for (;;) {
    const value = await what();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`${claim}: not within ${PATIENCE_S} s; the last value was ${JSON.stringify(value)}`);
    }
    await setTimeout(20); // sleep: between two looks at something that cannot be waited for
  }
}
