// Connections between simulated processes, as TCP gives them: what is sent one way arrives in that order, late or, once
// the connection has broken, not at all; connections overtake each other. What TCP rules out (single messages lost,
// doubled or exchanged) a connection can be made to do as well, to see that nothing but the session suffers.
import assert from 'node:assert/strict';
import type { VirtualClock } from '../../src/simulation/clock.js';
import type { Process } from './process.js';
import type { Random } from './random.js';

interface Item<M> {
  arrival: number; // ms
  readonly message: M;
  /** May lie in memory that its sender uses again after the arrival, not before. */
  readonly payload: Uint8Array;
  readonly sum: number;
}

/** Which of its directions are cut. Cut off is not lost: TCP sends again until somebody gives up. */
export interface Route {
  up: boolean;
  down: boolean;
}

/** How long one direction takes. */
interface Delay {
  readonly base: number; // ms
  readonly spike: number; // ms
  readonly spikes: number; // probability
}

export interface Receiver<M> {
  readonly process: Process;
  hear(message: M, payload: Uint8Array): void;
  lost(): void;
}

/** What may be done to single messages. */
export type Tampering = 'drop' | 'double' | 'exchange';

/** One direction of a connection, or what one thread of a process tells another. */
export class Pipe<M> {
  private queue: Item<M>[] = [];
  private isBusy = false;
  private lastArrival = 0;
  private isClosed = false;
  tamper: (() => Tampering | undefined) | undefined;
  tampered = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    private readonly receiver: Receiver<M>,
    private readonly delay: Delay,
    private readonly isCut: () => boolean,
  ) {}

  send(message: M, payload: Uint8Array): void {
    if (this.isClosed) return;
    const { random, delay, clock } = this;
    let ms = delay.base * (0.5 + random.next());
    if (delay.spikes > 0 && random.next() < delay.spikes) ms += delay.spike * random.next();
    const arrival = Math.max(this.lastArrival, clock.now + ms);
    this.lastArrival = arrival;
    const item = { arrival, message, payload, sum: checksum(payload) };
    const tampering = this.tamper?.();
    if (tampering !== undefined) this.tamperWith(item, tampering);
    else this.queue.push(item);
    this.schedule();
  }

  private tamperWith(item: Item<M>, tampering: Tampering): void {
    this.tampered = true;
    if (tampering === 'drop') return;
    this.queue.push(item);
    if (tampering === 'double') this.queue.push({ ...item });
    else if (this.queue.length > 1) this.queue.push(...this.queue.splice(-2).reverse());
  }

  /** Something may move again: the cut has healed. */
  schedule(): void {
    const [first] = this.queue;
    if (this.isBusy || !first || this.isCut()) return;
    this.isBusy = true;
    this.clock.at(first.arrival, this.arrive);
  }

  private readonly arrive = (): void => {
    const { process } = this.receiver;
    if (process.isFrozen && process.isAlive) return process.run(this.arrive);
    this.isBusy = false;
    if (this.isCut()) return; // while it was on its way
    const item = this.queue.shift();
    if (!item) return;
    if (process.isAlive) this.deliver(item);
    this.schedule();
  };

  private deliver({ message, payload, sum }: Item<M>): void {
    if (checksum(payload) !== sum) {
      assert.ok(this.tampered, 'what a message points to was overwritten before it arrived');
      this.break(0);
      this.receiver.lost();
      return;
    }
    this.receiver.hear(message, payload);
  }

  /** Keeps the first `keep` messages that are on their way; nothing follows them. */
  break(keep: number): void {
    this.isClosed = true;
    this.queue.length = Math.min(keep, this.queue.length);
  }

  get length(): number {
    return this.queue.length;
  }

  /** The receiver notices the end after what is still on its way; `atOnce`, when nothing gets through. */
  notice(atOnce: boolean): void {
    const { process } = this.receiver;
    const notify = (): void => process.run(() => this.receiver.lost());
    if (atOnce) {
      this.queue.length = 0;
      notify();
    } else this.clock.at(Math.max(this.lastArrival, this.clock.now + this.delay.base), notify);
  }
}

/** Any change of the bytes shows; payloads are small. */
function checksum(bytes: Uint8Array): number {
  let sum = bytes.length;
  for (let i = 0; i < bytes.length; i++) sum = (Math.imul(sum, 31) + bytes[i]!) | 0;
  return sum;
}

const BASE_DELAYS_MS = [0.1, 0.1, 1, 1, 10, 100] as const;

export class Connection<Up, Down> {
  readonly up: Pipe<Up>;
  readonly down: Pipe<Down>;
  isOpen = true;

  constructor(
    readonly peer: string,
    /** Where it ends at the coordinator. */
    readonly endpoint: number,
    clock: VirtualClock,
    private readonly random: Random,
    server: Receiver<Up>,
    client: Receiver<Down>,
    private readonly route: Route,
  ) {
    const delay = { base: random.pick(BASE_DELAYS_MS), spike: 2000, spikes: 0.002 };
    this.up = new Pipe(clock, random, server, delay, () => route.up);
    this.down = new Pipe(clock, random, client, delay, () => route.down);
  }

  /** The connection breaks, by itself or because an end of it died; some of what is on its way is lost. */
  cut(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const [pipe, isCut] of [
      [this.up, this.route.up],
      [this.down, this.route.down],
    ] as const) {
      pipe.break(this.random.below(pipe.length + 1));
      pipe.notice(isCut);
    }
  }

  /** Whoever was at the worker's end closed it in order: what it sent arrives, then the end of it. */
  closeByWorker(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.down.break(0);
    this.up.break(Infinity);
    this.up.notice(this.route.up);
  }

  /** A host is gone without a word; the other end learns of it by its own timers only. */
  vanish(): void {
    this.isOpen = false;
    this.up.break(this.random.below(this.up.length + 1));
    this.down.break(this.random.below(this.down.length + 1));
  }

  get tampered(): boolean {
    return this.up.tampered || this.down.tampered;
  }

  /** A cut has healed. */
  resume(): void {
    this.up.schedule();
    this.down.schedule();
  }
}
