// The worker's decisions as a state machine: (state, event, now) -> actions. Leases come in; parameters are pulled
// when a lease needs a newer version; one micro-batch after another is computed; gradients leave chunk by chunk as
// they become final and are granted. It knows no socket, thread or clock.
import type { Slice } from '../protocol/chunks.js';
import type { PhaseSeconds, WorkerPhase } from '../protocol/messages.js';
import { isEarlier, sameNodeId, type NodeId } from '../protocol/node-id.js';
import { Pull } from './pull.js';
import { Pushes } from './pushes.js';
import {
  GRADIENT_BUFFERS,
  PARAMETER_BUFFERS,
  type Task,
  type WorkerAction,
  type WorkerEvent,
} from './events.js';

interface Running {
  readonly task: Task;
  readonly slot: number;
  readonly buffer: number;
  cancelled: boolean;
}

export class WorkerMachine {
  /** In the order they came; ids of those whose batches are built. */
  private queue: Task[] = [];
  private readonly prepared = new Set<number>();
  private running: Running | undefined;
  private readonly pushes: Pushes;
  private version = -1;
  private slot = 0;
  private pull: Pull | undefined;
  /** Parameter chunks asked for and received, by reducer, over the whole session. */
  private readonly flow: { requested: number; received: number }[];
  private readonly phases = { compute: 0, push: 0, pull: 0, idle: 0 };
  private actions: WorkerAction[] = [];
  private lastAt: number | undefined;

  /**
   * @param slices those of the reducers, in order
   * @param window chunks of parameters asked of each at once
   */
  constructor(
    private readonly slices: readonly Slice[],
    private readonly window: number,
  ) {
    this.flow = slices.map(() => ({ requested: 0, received: 0 }));
    this.pushes = new Pushes(slices.length, GRADIENT_BUFFERS, (action) => this.actions.push(action));
  }

  /** @param now monotonic milliseconds */
  handle(event: WorkerEvent, now: number): WorkerAction[] {
    this.account(now);
    this.actions = [];
    this.receive(event);
    this.tryPull();
    this.tryCompute();
    return this.actions;
  }

  get phase(): WorkerPhase {
    return this.running ? 'compute' : this.pull ? 'pull' : this.pushes.count > 0 ? 'push' : 'idle';
  }

  /** Seconds spent in each phase so far. */
  phasesUntil(now: number): PhaseSeconds {
    this.account(now);
    return { ...this.phases };
  }

  private account(now: number): void {
    this.phases[this.phase] += (now - (this.lastAt ?? now)) / 1000;
    this.lastAt = now;
  }

  private receive(event: WorkerEvent): void {
    switch (event.type) {
      case 'lease':
        this.queue.push(event.task);
        this.dropOutdated(event.task);
        break;
      case 'prepared':
        this.prepared.add(event.id);
        break;
      case 'recall':
        this.recall(event.node);
        break;
      case 'parameters':
        this.receiveParameters(event.reducer, event.version, event.chunk);
        break;
      case 'grant':
        this.pushes.grant(event.reducer, event.node, event.chunks);
        break;
      case 'done':
        this.pushes.done(event.reducer, event.node);
        break;
      case 'chunkReady':
        if (this.running?.task.id === event.id && !this.running.cancelled) {
          this.pushes.ready(this.running.buffer, event.chunk);
        }
        break;
      case 'computed':
        this.finish(event);
        break;
      case 'cancelled':
        this.endRunning(event.id);
        break;
      default:
        event satisfies never;
    }
  }

  // ---- tasks

  /** A lease of a newer step, round or version tells that older work is void. */
  private dropOutdated(newest: Task): void {
    for (const task of this.queue) if (isOlder(task, newest)) this.drop(task);
    if (this.running && isOlder(this.running.task, newest)) this.cancelRunning();
    if (newest.kind === 'node') this.pushes.withdrawWhere((node) => isEarlier(node, newest.node));
  }

  private recall(node: NodeId): void {
    const matches = (task: Task): boolean => task.kind === 'node' && sameNodeId(task.node, node);
    for (const task of this.queue) if (matches(task)) this.drop(task);
    if (this.running && matches(this.running.task)) this.cancelRunning();
    this.pushes.withdrawWhere((pushed) => sameNodeId(pushed, node));
  }

  private drop(task: Task): void {
    this.queue = this.queue.filter((other) => other !== task);
    this.prepared.delete(task.id);
    this.actions.push({ type: 'drop', id: task.id });
  }

  private cancelRunning(): void {
    const { running } = this;
    if (!running || running.cancelled) return;
    running.cancelled = true;
    this.actions.push({ type: 'cancel', id: running.task.id });
    if (running.task.kind === 'node') this.pushes.withdrawBuffer(running.buffer);
  }

  private tryCompute(): void {
    const [task] = this.queue;
    if (this.running || !task || !this.prepared.has(task.id)) return;
    if (task.version < this.version) {
      this.drop(task);
      return this.tryCompute();
    }
    if (task.version > this.version) return;
    const buffer = task.kind === 'node' ? this.pushes.begin(task.node) : 0;
    if (buffer === undefined) return;
    this.queue.shift();
    this.prepared.delete(task.id);
    this.running = { task, slot: this.slot, buffer, cancelled: false };
    this.actions.push({ type: 'compute', task, slot: this.slot, buffer });
  }

  private finish(event: WorkerEvent & { type: 'computed' }): void {
    const { running } = this;
    if (running?.task.id !== event.id) return;
    // Also a cancelled task that was finished before it noticed tells its losses: they are as good as any.
    this.actions.push({ type: 'tell', task: running.task, stats: event.stats, seconds: event.seconds });
    this.endRunning(event.id);
  }

  private endRunning(id: number): void {
    const { running } = this;
    if (running?.task.id !== id) return;
    this.running = undefined;
    if (running.task.kind === 'node') this.pushes.computed(running.buffer);
  }

  // ---- parameters

  private tryPull(): void {
    const wanted = this.queue.reduce((newest, task) => Math.max(newest, task.version), this.version);
    if (wanted === this.version || (this.pull && this.pull.version >= wanted)) return;
    const slot = (this.slot + 1) % PARAMETER_BUFFERS;
    if (this.running?.slot === slot) return; // outdated work still reads that buffer; it is being cancelled
    this.startPull(wanted, slot);
  }

  private startPull(version: number, slot: number): void {
    this.pull = new Pull(version, slot, this.slices, this.window);
    this.slices.forEach((_, reducer) => this.request(reducer));
  }

  private request(reducer: number): void {
    const flow = this.flow[reducer]!;
    while (this.pull) {
      const chunk = this.pull.next(reducer, flow.requested - flow.received);
      if (chunk === undefined) return;
      flow.requested++;
      this.actions.push({
        type: 'pull',
        reducer,
        version: this.pull.version,
        chunk,
        received: flow.received,
      });
    }
  }

  private receiveParameters(reducer: number, version: number, chunk: number): void {
    const flow = this.flow[reducer]!;
    flow.received++;
    if (this.pull && version > this.pull.version) this.startPull(version, this.pull.slot);
    const { pull } = this;
    if (pull?.version === version && pull.accept(reducer, chunk)) {
      this.actions.push({ type: 'store', slot: pull.slot, chunk });
      if (pull.complete) {
        this.version = version;
        this.slot = pull.slot;
        this.pull = undefined;
        this.actions.push({ type: 'pulled', version });
      }
    }
    this.request(reducer);
    if (flow.requested === flow.received)
      this.actions.push({ type: 'received', reducer, received: flow.received });
  }
}

function isOlder(task: Task, newest: Task): boolean {
  if (task === newest) return false;
  if (task.kind === 'node' && newest.kind === 'node') return isEarlier(task.node, newest.node);
  // A version is evaluated before the step that starts from it.
  return task.version < newest.version || (task.version === newest.version && newest.kind === 'node');
}
