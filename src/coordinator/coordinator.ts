// The coordinator's decisions as a state machine: (state, event, now) -> actions. It decides who computes what,
// when a step is committed and with which numbers, when to evaluate, to save and to end. It knows no socket,
// disk, thread or clock: events come in, actions go out, time is an argument.
import type { LeaseOutcome, LeaveReason, TrainingEvent } from '../metrics/events.js';
import type { NodeId } from '../protocol/messages.js';
import type { BatchStats } from '../protocol/stats.js';
import { ReductionTree, type TreeNode } from '../protocol/tree.js';
import { Evaluation } from './evaluation.js';
import type { CoordinatorAction, CoordinatorEvent, CoordinatorOptions, Progress } from './events.js';
import { LeaseBook, type Lease } from './lease-book.js';
import { PendingCheckpoint } from './pending-checkpoint.js';
import { Sessions, type Session } from './sessions.js';
import { completeStep, gradientNorm, sumStats } from './step-numbers.js';
import { StatusReports } from './worker-status.js';

/** A lease is given to a second worker after this long; that of a node after 8 times what such a node took of late. */
const LEASE_DEADLINE_MS = 30_000;
const DURATIONS_AVERAGED = 8;
/** With nothing covered for this long while work waits and every worker is full, the last lease is recalled. */
const STALL_MS = 2_000;
/** Leases of one worker: one computed and on its way, one computing (or one computing, one ahead). */
const MAX_LEASES = 2;

export class Coordinator {
  private readonly sessions = new Sessions();
  private readonly tree: ReductionTree;
  private book: LeaseBook | undefined;
  private evaluation: Evaluation | undefined;
  private checkpoint: PendingCheckpoint | undefined;
  private savedVersion: number;
  private round = 0;
  private roots = new Map<number, Float64Array>();
  private stopping = false;
  private finishing: 'completed' | 'stopped' | undefined;
  private finished = false;
  /** The last checkpoint could not be written. */
  private unsaved = false;
  private stepStartedAt = 0;
  private lastCoverageAt = 0;
  private lastTickAt: number | undefined;
  private readonly statusReports = new StatusReports();
  private millisecondsPerBatch: number | undefined;
  private actions: CoordinatorAction[] = [];
  private now = 0;

  /** @param progress where to start: all zero, or a checkpoint's */
  constructor(
    private readonly options: CoordinatorOptions,
    private progress: Progress,
    isSaved: boolean,
  ) {
    this.tree = new ReductionTree(options.microBatches);
    this.savedVersion = isSaved ? progress.version : -1;
  }

  /** Begins the first step. */
  start(now: number): CoordinatorAction[] {
    return this.run(now, () => this.nextStage());
  }

  /** @param now monotonic milliseconds */
  handle(event: CoordinatorEvent, now: number): CoordinatorAction[] {
    return this.run(now, () => {
      this.receive(event);
      if (this.finished) return;
      this.settleLeases();
      this.tryCommit();
      this.tryPublish();
      this.tryFinish();
      this.leaseOut();
    });
  }

  get state(): { progress: Progress; sessions: readonly Session[]; finished: boolean } {
    return { progress: this.progress, sessions: this.sessions.all(), finished: this.finished };
  }

  /** The name a worker gave itself. */
  nameOf(session: string): string | undefined {
    return this.sessions.get(session)?.name;
  }

  private run(now: number, body: () => void): CoordinatorAction[] {
    this.actions = [];
    this.now = now;
    body();
    return this.actions;
  }

  private receive(event: CoordinatorEvent): void {
    switch (event.type) {
      case 'hello':
        this.sessions.add(event.session, event.name, event.host, this.now);
        this.actions.push({ type: 'welcome', session: event.session });
        break;
      case 'ready':
        this.admit(event.session, event.fingerprint);
        break;
      case 'heartbeat':
        if (!this.sessions.beat(event, this.now)) break;
        this.actions.push({ type: 'heartbeat', session: event.session, echo: event.sequence });
        break;
      case 'computed':
        this.noteComputed(event);
        break;
      case 'evaluated':
        if (!this.touch(event.session) || event.version !== this.progress.version) break;
        this.evaluation?.finish(event.index, event.stats);
        this.tryEndEvaluation();
        break;
      case 'gone':
        this.end(event.session, event.reason, event.detail);
        break;
      case 'covered':
        if (!this.isCurrent(event)) break;
        this.lastCoverageAt = this.now;
        this.book?.covered(event.leaves);
        break;
      case 'root':
        if (this.isCurrent(event)) this.roots.set(event.reducer, event.blockSums);
        break;
      case 'sliceWritten':
        this.checkpoint?.sliceWritten(event.version);
        break;
      case 'checkpointEnded':
        if (event.saved) this.savedVersion = event.version;
        else if (this.finishing && event.version === this.progress.version) this.unsaved = true;
        this.checkpoint = undefined;
        break;
      case 'stop':
        this.stopping = true;
        break;
      case 'tick':
        this.tick();
        break;
      default:
        event satisfies never;
    }
  }

  // ---- membership

  private admit(id: string, fingerprint: string): void {
    const session = this.touch(id);
    if (!session) return;
    const expected = this.progress.fingerprint;
    if (expected === null) this.progress = { ...this.progress, fingerprint };
    else if (expected !== fingerprint) {
      const difference = `${session.name} on ${session.host} computes other bits: ${fingerprint}; the run's workers have ${expected}`;
      if (this.options.hardware === 'strict') {
        const reason = `${difference}. Set "hardware: relaxed" to allow it`;
        this.actions.push({ type: 'dismiss', session: id, reason, outcome: 'refused' });
        this.end(id, 'refused', reason);
        return;
      }
      this.log('warn', difference);
      this.publish({ kind: 'foreignWorker', worker: session.name, host: session.host });
    }
    this.sessions.admit(session);
    this.publish({ kind: 'workerJoined', worker: session.name, host: session.host });
    this.publishStatus();
    this.log('info', `${session.name} on ${session.host} joined`);
  }

  private touch(id: string): Session | undefined {
    const session = this.sessions.get(id);
    if (session) session.lastHeard = this.now;
    return session;
  }

  private end(id: string, reason: LeaveReason, detail: string): void {
    const session = this.sessions.get(id);
    if (!session) return;
    const { name: worker, host } = session;
    for (const lease of this.book?.release(id) ?? []) this.publishLeaseEnd(lease, 'lost');
    this.evaluation?.release(id);
    this.sessions.remove(id);
    this.publish({ kind: 'workerLeft', worker, host, reason, detail });
    this.publishStatus();
    this.log(reason === 'finished' ? 'info' : 'warn', `${worker} on ${host} left: ${detail}`);
  }

  // ---- leases

  private leaseOut(): void {
    if (this.finished || this.finishing) return;
    const workers = this.sessions.ready();
    if (this.evaluation) {
      for (let round = 0; round < MAX_LEASES; round++) for (const { id } of workers) this.leaseEvaluation(id);
    } else if (this.book?.hasWaiting) {
      for (let round = 0; round < MAX_LEASES; round++) {
        for (const { id } of workers) if (this.canTake(id)) this.lease(id);
      }
    }
  }

  /** An idle worker always; one that computes is given a lease ahead while it stays within its part of the work. */
  private canTake(session: string): boolean {
    const book = this.book!;
    const held = book.of(session);
    if (held.length >= MAX_LEASES) return false;
    const computing = held.filter((lease) => !lease.computed).map(({ node }) => this.tree.range(node));
    const batches = computing.reduce((sum, { start, end }) => sum + end - start, 0);
    return batches === 0 || batches + 1 <= this.sessions.share(session) * book.uncomputed;
  }

  private lease(session: string): void {
    const lease = this.book!.take(session, this.sessions.share(session), this.now);
    if (lease) this.actions.push({ type: 'lease', session, node: this.nodeId(lease.node) });
  }

  private leaseEvaluation(session: string): void {
    const index = this.evaluation!.take(session, this.now);
    if (index === undefined) return;
    this.actions.push({ type: 'evaluate', session, version: this.progress.version, index });
  }

  private noteComputed({ session, node, stats, seconds }: CoordinatorEvent & { type: 'computed' }): void {
    if (!this.touch(session) || !this.isCurrent(node) || !this.book || !this.tree.isCanonical(node)) return;
    const lease = this.book
      .of(session)
      .find((held) => held.node.level === node.level && held.node.index === node.index);
    if (lease) this.noteDuration((this.now - lease.issuedAt) / stats.length);
    if (this.book.computed(session, node, stats)) this.sessions.computed(session, stats.length, seconds);
    else {
      const reason = `sent losses of ${stats.length} micro-batches for node ${node.level}.${node.index}`;
      this.actions.push({ type: 'dismiss', session, reason, outcome: 'refused' });
      this.end(session, 'failed', reason);
    }
  }

  /** A moving average in which no sample counts for much: who stood still for once must not put deadlines off. */
  private noteDuration(millisecondsPerBatch: number): void {
    const before = this.millisecondsPerBatch ?? millisecondsPerBatch;
    const sample = Math.min(millisecondsPerBatch, 2 * before);
    this.millisecondsPerBatch = before + (sample - before) / DURATIONS_AVERAGED;
  }

  private settleLeases(): void {
    for (const lease of this.book?.settle() ?? []) {
      this.publishLeaseEnd(lease, lease.computed ? 'covered' : 'recalled');
      if (!lease.computed) this.recall(lease);
    }
  }

  private recall(lease: Lease): void {
    this.actions.push({ type: 'recall', session: lease.session, node: this.nodeId(lease.node) });
  }

  // ---- steps

  private isCurrent({ step, round }: { step: number; round: number }): boolean {
    return step === this.progress.version && round === this.round;
  }

  private nodeId({ level, index }: TreeNode): NodeId {
    return { step: this.progress.version, round: this.round, level, index };
  }

  /** What comes after a version is complete: its evaluation, the next step, or the end. */
  private nextStage(): void {
    const { version } = this.progress;
    if (version >= this.options.steps) this.finishing = 'completed';
    else if (this.stopping) this.finishing = 'stopped';
    else this.beginStep(0);
  }

  private beginStep(round: number): void {
    if (round === 0) this.stepStartedAt = this.now;
    this.lastCoverageAt = this.now;
    this.round = round;
    this.roots = new Map();
    this.book = new LeaseBook(this.tree, this.options.reducers);
    this.actions.push({ type: 'begin', step: this.progress.version, round });
  }

  private tryCommit(): void {
    if (!this.book?.done || this.roots.size < this.options.reducers) return;
    const version = this.progress.version + 1;
    const isCheckpointDue =
      version % this.options.checkpointEvery === 0 || version === this.options.steps || this.stopping;
    if (isCheckpointDue && this.checkpoint) return; // one at a time: the disk is behind
    const totals = sumStats(this.book.stats as BatchStats[]);
    const norm = gradientNorm(this.roots, totals.tokens);
    if (!Number.isFinite(norm) && this.round === 0) {
      this.log(
        'warn',
        `the gradient of step ${this.progress.version} is not finite; computing it a second time`,
      );
      this.publishLeftovers();
      this.beginStep(1);
      return;
    }
    this.commit(totals, norm);
    this.book = undefined;
    const isEvaluationDue = version % this.options.evaluate.every === 0 || version === this.options.steps;
    if (isEvaluationDue && this.options.evaluate.batches > 0) {
      this.evaluation = new Evaluation(this.options.evaluate.batches, this.now);
    }
    if (isCheckpointDue) this.snapshot(isEvaluationDue && this.evaluation !== undefined);
    if (!this.evaluation) this.nextStage();
  }

  private commit(totals: BatchStats, norm: number): void {
    const seconds = (this.now - this.stepStartedAt) / 1000;
    const { update, event, progress } = completeStep(this.progress, totals, norm, seconds, this.options);
    this.actions.push({ type: 'commit', step: this.progress.version, update });
    this.progress = progress;
    this.publish(event);
  }

  // ---- evaluation

  private tryEndEvaluation(): void {
    if (!this.evaluation?.done) return;
    const { version } = this.progress;
    const { loss, tokens, correct } = sumStats(this.evaluation.results);
    const seconds = (this.now - this.evaluation.startedAt) / 1000;
    const mean = tokens > 0 ? loss / tokens : NaN;
    this.publish({
      kind: 'evaluated',
      version,
      loss: mean,
      accuracy: tokens > 0 ? correct / tokens : 0,
      tokens,
      seconds,
    });
    if (mean < (this.progress.best?.loss ?? Infinity)) {
      this.progress = { ...this.progress, best: { step: version, loss: mean } };
    }
    this.endEvaluation(Number.isFinite(mean) ? mean : null);
    this.nextStage();
  }

  private endEvaluation(loss: number | null): void {
    this.evaluation = undefined;
    this.checkpoint?.evaluated(this.progress, loss);
  }

  // ---- checkpoints and the end

  private snapshot(evaluationDue: boolean): void {
    const { progress } = this;
    this.checkpoint = new PendingCheckpoint(progress, this.options.reducers, evaluationDue);
    this.actions.push({ type: 'snapshot', progress });
    this.publish({ kind: 'checkpointStarted', step: progress.version });
  }

  private tryPublish(): void {
    if (!this.checkpoint?.takeReady()) return;
    const { progress, validationLoss } = this.checkpoint;
    this.actions.push({ type: 'publish', progress, validationLoss });
  }

  private tryFinish(): void {
    if (this.stopping && !this.finishing && this.sessions.ready().length === 0) this.finishing = 'stopped';
    if (this.stopping && this.evaluation) {
      this.endEvaluation(null);
      this.finishing = 'stopped';
      this.tryPublish();
    }
    if (!this.finishing || this.checkpoint) return;
    if (this.savedVersion !== this.progress.version && this.progress.version > 0 && !this.unsaved) {
      this.snapshot(false);
      return;
    }
    this.finished = true;
    for (const { id } of this.sessions.all()) {
      this.actions.push({
        type: 'dismiss',
        session: id,
        reason: `the run is ${this.finishing}`,
        outcome: 'finished',
      });
    }
    this.actions.push({ type: 'finish', reason: this.finishing, saved: !this.unsaved });
  }

  // ---- time

  private tick(): void {
    const { intervalMs, timeoutMs } = this.options.heartbeat;
    const stalled = this.now - (this.lastTickAt ?? this.now) - intervalMs;
    if (stalled > timeoutMs / 2) this.sessions.forgive(stalled);
    this.lastTickAt = this.now;
    for (const { id } of this.sessions.silentSince(this.now - timeoutMs)) {
      const reason = `silent for ${timeoutMs} ms`;
      this.actions.push({ type: 'dismiss', session: id, reason, outcome: 'lost' });
      this.end(id, 'silent', reason);
    }
    this.expireLeases();
    this.recallStalled();
    if (this.statusReports.isDue(this.now)) this.publishStatus();
  }

  private expireLeases(): void {
    this.evaluation?.expire(this.now - LEASE_DEADLINE_MS);
    for (const lease of this.book?.leased ?? []) {
      const { start, end } = this.tree.range(lease.node);
      const deadline = Math.max(LEASE_DEADLINE_MS, 8 * (this.millisecondsPerBatch ?? 0) * (end - start));
      if (lease.expired || this.now - lease.issuedAt < deadline) continue;
      this.book!.expire(lease);
      this.publishLeaseEnd(lease, 'expired');
    }
  }

  /** The first waiting node could be what all others wait for, and nobody has room for it: make room. */
  private recallStalled(): void {
    const { book } = this;
    if (!book || this.now - this.lastCoverageAt < STALL_MS) return;
    if (this.sessions.ready().some(({ id }) => this.canTake(id))) return;
    const last = book.stalled();
    if (!last) return;
    book.endLease(last);
    this.recall(last);
    this.publishLeaseEnd(last, 'recalled');
  }

  // ---- telling

  private publish(event: TrainingEvent): void {
    this.actions.push({ type: 'event', event });
  }

  private publishLeaseEnd(lease: Lease, outcome: LeaseOutcome): void {
    const worker = this.nameOf(lease.session) ?? lease.session;
    this.publish({ kind: 'leaseEnded', worker, outcome, seconds: (this.now - lease.issuedAt) / 1000 });
  }

  private publishLeftovers(): void {
    for (const lease of this.book?.leased ?? []) this.publishLeaseEnd(lease, 'dropped');
  }

  private publishStatus(): void {
    const { sessions, book, tree, now } = this;
    for (const event of this.statusReports.make(sessions.all(), book, tree, now)) this.publish(event);
  }

  private log(level: 'info' | 'warn', message: string): void {
    this.actions.push({ type: 'log', level, message });
  }
}
