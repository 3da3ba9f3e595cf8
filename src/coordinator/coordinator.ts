// The coordinator's decisions as a state machine: (state, event, now) -> actions. It decides who computes what,
// when a step is committed and with which numbers, when to evaluate, to save and to end. It knows no socket,
// disk, thread or clock: events come in, actions go out, time is an argument.
import type { BatchStats } from '../protocol/stats.js';
import { ReductionTree } from '../protocol/tree.js';
import { Decisions } from './decisions.js';
import { Evaluation } from './evaluation.js';
import type { CoordinatorAction, CoordinatorEvent, CoordinatorOptions, Progress } from './events.js';
import { Membership } from './membership.js';
import { MAX_LEASES, Round } from './round.js';
import { Saving } from './saving.js';
import { Sessions, type Session } from './sessions.js';
import { completeStep, gradientNorm, sumStats } from './step-numbers.js';
import { StatusReports } from './worker-status.js';

export class Coordinator {
  private readonly decisions = new Decisions();
  private readonly sessions = new Sessions();
  private readonly membership: Membership;
  private readonly saving: Saving;
  private readonly statusReports = new StatusReports();
  private readonly tree: ReductionTree;
  /** Between the steps there is an evaluation, or neither. */
  private round: Round | undefined;
  private evaluation: Evaluation | undefined;
  private stopping = false;
  private finishing: 'completed' | 'stopped' | undefined;
  private finished = false;
  /** The last checkpoint could not be written. */
  private unsaved = false;
  private stepStartedAt = 0;

  /** @param progress where to start: all zero, or a checkpoint's */
  constructor(
    private readonly options: CoordinatorOptions,
    private progress: Progress,
    isSaved: boolean,
  ) {
    const { decisions, sessions } = this;
    this.tree = new ReductionTree(options.microBatches);
    this.saving = new Saving(options.reducers, decisions, isSaved ? progress.version : -1);
    this.membership = new Membership(options, sessions, decisions, progress.fingerprint, {
      ending: (session) => {
        this.round?.release(session);
        this.evaluation?.release(session);
      },
      changed: () => this.publishStatus(),
    });
  }

  /** Begins the first step. */
  start(now: number): CoordinatorAction[] {
    return this.decisions.turn(now, () => this.nextStage());
  }

  /** @param now monotonic milliseconds */
  handle(event: CoordinatorEvent, now: number): CoordinatorAction[] {
    return this.decisions.turn(now, () => {
      this.receive(event);
      if (this.finished) return;
      this.round?.settle();
      this.tryCommit();
      this.saving.tryPublish();
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

  private receive(event: CoordinatorEvent): void {
    switch (event.type) {
      case 'hello':
        this.membership.greet(event.session, event.name, event.host);
        break;
      case 'ready':
        this.membership.admit(event.session, event.fingerprint);
        this.progress = { ...this.progress, fingerprint: this.membership.fingerprint };
        break;
      case 'heartbeat':
        this.membership.heartbeat(event);
        break;
      case 'computed':
        this.noteComputed(event);
        break;
      case 'evaluated':
        if (!this.membership.touch(event.session) || event.version !== this.progress.version) break;
        this.evaluation?.finish(event.session, event.index, event.stats, this.decisions.now);
        this.tryEndEvaluation();
        break;
      case 'gone':
        this.membership.end(event.session, event.reason, event.detail);
        break;
      case 'covered':
        if (this.round?.includes(event)) this.round.covered(event.leaves);
        break;
      case 'root':
        if (this.round?.includes(event)) this.round.roots.set(event.reducer, event.blockSums);
        break;
      case 'sliceWritten':
        this.saving.sliceWritten(event.version);
        break;
      case 'checkpointEnded':
        if (!event.saved && this.finishing && event.version === this.progress.version) this.unsaved = true;
        this.saving.ended(event.version, event.saved);
        break;
      case 'stop':
        this.stopping = true;
        break;
      case 'tick':
        this.membership.tick();
        this.evaluation?.expire(this.decisions.now);
        this.round?.tick();
        if (this.statusReports.isDue(this.decisions.now)) this.publishStatus();
        break;
      default:
        event satisfies never;
    }
  }

  private noteComputed({ session, node, stats, seconds }: CoordinatorEvent & { type: 'computed' }): void {
    if (!this.membership.touch(session)) return;
    if (stats.length > 0) this.sessions.computed(session, stats.length, seconds); // late results tell a speed, too
    if (!this.round?.includes(node) || !this.tree.isCanonical(node)) {
      this.decisions.publish({ kind: 'results', counts: { late: stats.length } });
      return;
    }
    if (this.round.computed(session, node, stats, seconds)) return;
    const reason = `sent losses of ${stats.length} micro-batches for node ${node.level}.${node.index}: not what it was leased`;
    this.membership.dismiss(session, 'failed', reason);
  }

  private publishStatus(): void {
    const leases = this.round?.leases ?? [];
    const reports = this.statusReports.make(this.sessions.all(), leases, this.tree, this.decisions.now);
    for (const event of reports) this.decisions.publish(event);
  }

  private leaseOut(): void {
    if (this.finished || this.finishing) return;
    if (this.evaluation) this.leaseEvaluation(this.evaluation);
    else this.round?.leaseOut();
  }

  private leaseEvaluation(evaluation: Evaluation): void {
    for (let held = 0; held < MAX_LEASES; held++) {
      for (const { id } of this.sessions.ready()) {
        const index = evaluation.take(id, this.decisions.now);
        if (index === undefined) continue;
        this.decisions.add({ type: 'evaluate', session: id, version: this.progress.version, index });
      }
    }
  }

  // ---- steps

  /** What comes after a version is complete: its evaluation, the next step, or the end. */
  private nextStage(): void {
    if (this.progress.version >= this.options.steps) this.finishing = 'completed';
    else if (this.stopping) this.finishing = 'stopped';
    else {
      this.stepStartedAt = this.decisions.now;
      this.beginRound(0);
    }
  }

  private beginRound(number: number): void {
    const { tree, sessions, decisions, options } = this;
    this.round?.abandon();
    const setup = { tree, sessions, decisions, reducers: options.reducers };
    this.round = new Round(this.progress.version, number, setup);
  }

  private tryCommit(): void {
    const { round } = this;
    if (!round?.done) return;
    const version = this.progress.version + 1;
    const isCheckpointDue =
      version % this.options.checkpointEvery === 0 || version === this.options.steps || this.stopping;
    if (isCheckpointDue && this.saving.isBusy) return; // one at a time: the disk is behind
    const totals = sumStats(round.stats);
    const norm = gradientNorm(round.roots, totals.tokens);
    if (!Number.isFinite(norm) && round.number === 0) {
      this.decisions.log(
        'warn',
        `the gradient of step ${this.progress.version} is not finite; computing it a second time`,
      );
      this.beginRound(1);
      return;
    }
    this.commit(totals, norm);
    const isEvaluationDue = version % this.options.evaluate.every === 0 || version === this.options.steps;
    if (isEvaluationDue && this.options.evaluate.batches > 0) {
      this.evaluation = new Evaluation(this.options.evaluate.batches, this.decisions.now);
    }
    if (isCheckpointDue) this.saving.begin(this.progress, this.evaluation !== undefined);
    if (!this.evaluation) this.nextStage();
  }

  private commit(totals: BatchStats, norm: number): void {
    const seconds = (this.decisions.now - this.stepStartedAt) / 1000;
    const { update, event, progress } = completeStep(this.progress, totals, norm, seconds, this.options);
    this.decisions.add({ type: 'commit', step: this.progress.version, update });
    this.round = undefined;
    this.progress = progress;
    this.decisions.publish(event);
  }

  // ---- evaluation

  private tryEndEvaluation(): void {
    if (!this.evaluation?.done) return;
    const { version } = this.progress;
    const { loss, tokens, correct } = sumStats(this.evaluation.results);
    const seconds = (this.decisions.now - this.evaluation.startedAt) / 1000;
    const mean = tokens > 0 ? loss / tokens : NaN;
    const accuracy = tokens > 0 ? correct / tokens : 0;
    this.decisions.publish({ kind: 'evaluated', version, loss: mean, accuracy, tokens, seconds });
    if (mean < (this.progress.best?.loss ?? Infinity)) {
      this.progress = { ...this.progress, best: { step: version, loss: mean } };
    }
    this.endEvaluation(Number.isFinite(mean) ? mean : null);
    this.nextStage();
  }

  private endEvaluation(loss: number | null): void {
    this.evaluation = undefined;
    this.saving.evaluated(this.progress, loss);
  }

  // ---- the end

  private tryFinish(): void {
    if (this.stopping && !this.finishing && this.sessions.ready().length === 0) this.finishing = 'stopped';
    if (this.stopping && this.evaluation) {
      this.endEvaluation(null);
      this.finishing = 'stopped';
      this.saving.tryPublish();
    }
    if (!this.finishing || this.saving.isBusy) return;
    const { version } = this.progress;
    if (!this.saving.isSaved(version) && version > 0 && !this.unsaved) {
      this.saving.begin(this.progress, false);
      return;
    }
    this.finished = true;
    this.membership.dismissAll(`the run is ${this.finishing}`);
    this.decisions.add({ type: 'finish', reason: this.finishing, saved: !this.unsaved });
  }
}
