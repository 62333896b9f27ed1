/** A duration: a text such as "24h", "1d" or "1d 12h", or a number of milliseconds. */
export type DurationLike = string | number;

export interface ServerOptions {
  /**
   * "manual": the clock stands until `advance`. "auto": it also goes by itself to the next timer, when nothing else has been
   * left to happen for `autoAfter` (100 ms if not given). null: time is real. "manual" if not given.
   */
  virtualTime?: "manual" | "auto" | null;
  autoAfter?: DurationLike;
  /** The hub of the requests that are made over HTTP. "default" if not given. */
  taskhub?: string;
  /** The binary; PLACET_BIN or `placet` on the PATH if not given. */
  binary?: string;
  /** More arguments for `placet serve`. */
  args?: readonly string[];
}

/** Where the clock has come to. */
export interface Advanced {
  /** What it says now. */
  now: Date;
  /** How many timers have fired on the way. */
  timersFired: number;
  /** Work items that workers have, and that were not waited for any longer. */
  itemsOut: number;
  /** Work items that no worker has taken. */
  itemsReady: number;
}

export interface AdvanceOptions {
  /**
   * How long, in real time, the clock waits for a work item that a worker has, before it leaves it to go on; and all in all
   * for a worker of items that nobody has taken. "10s" if not given.
   */
  patience?: DurationLike;
}

/** A running server with all its roles. It stops when it is closed, and ends with this process in any case. */
export interface Server extends AsyncDisposable {
  /** The scheduler's address, such as "http://127.0.0.1:40123". */
  readonly endpoint: string;
  /** The same as host and port: `hostAddress` of Microsoft's clients and workers. */
  readonly hostAddress: string;
  /** The address of the HTTP API. */
  readonly http: string;
  readonly taskhub: string;
  /** The end of what the server has written to its log. */
  readonly log: string;
  /**
   * Lets the clock go on. It goes from timer to timer: each fires at its own time, and the clock stops there until what
   * follows from it has come to rest; so it does before it leaves, and at the end. When this returns, all that could happen
   * by then has happened.
   *
   * @throws {Refused} if time is real or the duration is none
   */
  advance(by: DurationLike, options?: AdvanceOptions): Promise<Advanced>;
  /** Waits until all that can happen without the clock going on has happened. */
  settle(options?: AdvanceOptions): Promise<Advanced>;
  /** What the server's clock says. */
  now(): Promise<Date>;
  /** Stops the server and waits until it has. What it kept is gone. */
  close(): Promise<void>;
}

/** The server did not start: there is no binary, or it says why. */
export class NotStarted extends Error {}

/** The server does not do what it was asked to. */
export class Refused extends Error {}

/**
 * Starts a fresh server.
 *
 * @throws {NotStarted}
 */
export function startServer(options?: ServerOptions): Promise<Server>;
