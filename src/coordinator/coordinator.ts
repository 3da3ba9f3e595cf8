// The coordinator's decisions as a state machine: (state, event, now) -> actions. It decides who computes what,
// when a step is committed and with which numbers, when to evaluate, to save and to end. It knows no socket,
// disk, thread or clock: events come in, actions go out, time is an argument.
import type { BatchStats } from '../protocol/stats.js';
import { ReductionTree } from '../protocol/tree.js';
import { Decisions } from './decisions.js';
import { Evaluation } from './evaluation.js';
import type { CoordinatorAction, CoordinatorEvent, CoordinatorOptions, Progress } from './events.js';
import { Membership } from './membership.js';
import { Round } from './round.js';
import { Saving } from './saving.js';
import { MAX_LEASES, Sessions, nameOf, type Session } from './sessions.js';
import { StepTrouble } from './step-trouble.js';
import { completeStep, gradientNorm, sumStats } from './step-numbers.js';
import { StatusReports } from './worker-status.js';

/** Why a run cannot go on. */
interface Failure {
  readonly code: string;
  readonly message: string;
}

export class Coordinator {
  private readonly decisions = new Decisions();
  private readonly sessions = new Sessions();
  private readonly membership: Membership;
  private readonly saving: Saving;
  private readonly trouble: StepTrouble;
  private readonly statusReports = new StatusReports();
  private readonly tree: ReductionTree;
  /** At most one of the two: the step being computed, or the evaluation between steps. */
  private round: Round | undefined;
  private evaluation: Evaluation | undefined;
  private stopping = false;
  private finishing: 'completed' | 'stopped' | Failure | undefined;
  /** A checkpoint was due while steps were skipped. */
  private checkpointOverdue = false;
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
    this.trouble = new StepTrouble(options.maxSkips, options.nameOfParameter, decisions);
    const { fingerprint, expelled } = progress;
    this.membership = new Membership(options, sessions, decisions, fingerprint, expelled, {
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
      if (this.finished || event.type === 'heartbeat') return; // a thousand workers send a thousand a second
      this.round?.settle();
      this.judgeAudits();
      this.tryCommit();
      this.saving.tryPublish();
      this.tryFinish();
      this.leaseOut();
    });
  }

  get state(): { progress: Progress; sessions: readonly Session[]; finished: boolean } {
    return { progress: this.progress, sessions: this.sessions.all(), finished: this.finished };
  }

  /** What the worker is called in logs and metrics. */
  nameOf(session: string): string | undefined {
    return this.sessions.get(session)?.name;
  }

  private receive(event: CoordinatorEvent): void {
    switch (event.type) {
      case 'hello':
        this.membership.greet(event.session, event);
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
        if (this.round?.includes(event)) this.round.roots.set(event.reducer, event);
        break;
      case 'hashed':
        if (this.round?.includes(event.node)) {
          this.round.hashed(event.session, event.node, event.reducer, event.hash);
        }
        break;
      case 'sliceWritten':
        this.saving.sliceWritten(event.version);
        break;
      case 'checkpointEnded':
        if (!event.saved && this.finishing && event.version === this.progress.version) this.unsaved = true;
        this.saving.ended(event.version, event.saved);
        break;
      case 'stop':
        if (!this.stopping) this.decisions.publish({ kind: 'stopping' });
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

  /** What comes once a version is complete and, where it had to be, evaluated: the next step, or the end. */
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
    const { audit, reducers } = options;
    const examine = this.trouble.isComputedAgain;
    const setup = { tree, sessions, decisions, reducers, audit, examine };
    this.round = new Round(this.progress.version, number, setup);
  }

  private tryCommit(): void {
    const { round } = this;
    if (!round?.done || this.finishing) return;
    const { version: step } = this.progress;
    const version = step + 1;
    const isLast = this.stopping || version === this.options.steps;
    const isCheckpointDue = isLast || this.checkpointOverdue || version % this.options.checkpointEvery === 0;
    if (isCheckpointDue && this.saving.isBusy) return; // one at a time: the disk is behind
    const totals = sumStats(round.stats);
    const blockSums = new Map([...round.roots].map(([reducer, root]) => [reducer, root.blockSums]));
    const norm = gradientNorm(blockSums, totals.tokens);
    const found = [...round.roots.values()].map(({ nonFinite }) => nonFinite);
    if (!Number.isFinite(norm) && this.trouble.computeAgain(step, found)) {
      this.beginRound(round.number + 1);
      return;
    }
    this.commit(totals, norm);
    this.trouble.stepEnded(step, !Number.isFinite(norm));
    if (this.trouble.limitReached !== undefined) return this.stopForTrouble(step, this.trouble.limitReached);
    const isEvaluationDue = version % this.options.evaluate.every === 0 || version === this.options.steps;
    if (isEvaluationDue && this.options.evaluate.batches > 0) {
      this.evaluation = new Evaluation(this.options.evaluate.batches, this.decisions.now);
    }
    this.checkpointOverdue = isCheckpointDue && this.trouble.isGoingOn && !isLast;
    if (isCheckpointDue && !this.checkpointOverdue) {
      this.saving.begin(this.progress, this.evaluation !== undefined);
    }
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

  /** The parameters give no finite gradient any more: what comes after them would not either. */
  private stopForTrouble(step: number, skipped: number): void {
    const steps = skipped === 1 ? `step ${step}` : `${skipped} steps in a row, up to step ${step}`;
    this.fail(
      'NOT_FINITE',
      `the gradient was not finite in ${steps}; the log names the parameter and the micro-batch, and ${this.saving.newest}. A lower optimizer.learningRate, a longer warm-up or an optimizer.clipNorm may help`,
    );
  }

  private fail(code: string, message: string): void {
    this.decisions.log('error', message);
    this.finishing = { code, message };
  }

  // ---- audits

  /** Who computed wrongly goes, and all that went into this step's sum is computed again without it. */
  private judgeAudits(): void {
    const faulty = new Set<string>();
    for (const { node, outcome, compared, faulty: wrong } of this.round?.judge() ?? []) {
      const { start, end } = this.tree.range(node);
      const where = `step ${this.progress.version}, micro-batches ${start} to ${end - 1}`;
      for (const session of wrong) faulty.add(session);
      if (outcome !== 'undecided') {
        for (const session of wrong) {
          this.decisions.log(
            'error',
            `${this.identify(session)} computed another gradient than two others: ${where}`,
          );
        }
        continue;
      }
      const names = compared.map((session) => this.identify(session)).join(' and ');
      this.fail(
        'AUDIT_UNDECIDED',
        `${where}: ${names} computed different gradients, and no other worker is here to tell who is wrong. ${this.saving.newest}; go on with another worker, or without one of them`,
      );
    }
    if (faulty.size === 0 || this.finishing) return;
    if (this.options.audit.action === 'stop') {
      const names = [...faulty].map((session) => this.identify(session)).join(' and ');
      return this.fail(
        'AUDIT_FAILED',
        `wrong results from ${names}, and auditAction is stop; ${this.saving.newest}`,
      );
    }
    for (const session of faulty) this.membership.expel(session, 'an audit found that it computes wrongly');
    this.progress = { ...this.progress, expelled: this.membership.expelledWorkers };
    this.beginRound(this.round!.number + 1);
  }

  private identify(id: string): string {
    const session = this.sessions.get(id);
    return session ? nameOf(session) : 'a worker that has left';
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
    if (typeof this.finishing === 'object') {
      this.finished = true;
      this.membership.dismissAll('the run cannot go on', 'stopped');
      this.decisions.add({ type: 'fail', ...this.finishing });
      return;
    }
    const { version } = this.progress;
    if (!this.saving.isSaved(version) && version > 0 && !this.unsaved) {
      this.saving.begin(this.progress, false);
      return;
    }
    this.finished = true;
    this.membership.dismissAll(
      `the run is ${this.finishing}`,
      this.finishing === 'completed' ? 'finished' : 'stopped',
    );
    this.decisions.add({ type: 'finish', reason: this.finishing, saved: !this.unsaved });
  }
}
