// What must hold after every event of a simulated coordinator, whatever has happened: it watches the decisions of the
// coordinator and the sums of the reducers, and knows from the reference what they have to be.
import assert from 'node:assert/strict';
import type { CoordinatorAction } from '../../src/coordinator/events.js';
import type { ChunkSum } from '../../src/coordinator/reducer/chunk-sum.js';
import type { ReducerEvent } from '../../src/coordinator/reducer/events.js';
import type { Envelope } from '../../src/protocol/envelope.js';
import type { Slice } from '../../src/protocol/chunks.js';
import { nodeKey } from '../../src/protocol/tree.js';
import { isPartOf } from './arithmetic.js';
import { AuditWatch } from './audit-watch.js';
import type { CoordinatorHost } from '../../src/simulation/coordinator-host.js';
import type { Reference } from './reference.js';
import type { Scenario } from './scenario.js';

/** Sums beyond the covered prefix that a reducer may hold or wait for, per chunk. */
const EXTRA_SUMS = 4;
const MOST_OFFERS = 4;

export class Invariants {
  private nextStep: number;
  private round = 0;
  private hasEnded = false;
  private readonly audits: AuditWatch;

  constructor(
    private readonly scenario: Scenario,
    private readonly reference: Reference,
    private readonly term: number,
    private readonly slices: readonly Slice[],
    private readonly parameters: Float32Array,
    version: number,
  ) {
    this.nextStep = version;
    this.audits = new AuditWatch(scenario, reference);
  }

  /** Wrong numbers were committed that no audit could have found. */
  get isTainted(): boolean {
    return this.audits.isTainted;
  }

  // ---- the coordinator

  decided(action: CoordinatorAction, host: CoordinatorHost): void {
    assert.ok(!this.hasEnded, 'nothing is decided after the end');
    this.audits.decided(action, host);
    switch (action.type) {
      case 'begin':
        assert.equal(action.step, this.nextStep, 'a step begins after the one before it');
        this.round = action.round;
        break;
      case 'lease':
        assert.equal(action.node.step, this.nextStep, 'a lease is of the current step');
        assert.equal(action.node.round, this.round, 'a lease is of the current computation');
        break;
      case 'evaluate':
        assert.equal(action.version, this.nextStep, 'the current version is evaluated');
        break;
      case 'commit':
        this.committed(action, host);
        break;
      case 'snapshot':
        assert.equal(action.progress.version, this.nextStep, 'a snapshot is of the version just made');
        break;
      case 'finish':
        this.hasEnded = true;
        break;
      default:
    }
  }

  private committed({ step, update }: CoordinatorAction & { type: 'commit' }, host: CoordinatorHost): void {
    assert.equal(step, this.nextStep, 'steps are committed one after another, each once');
    const { tree } = this.scenario;
    const root = nodeKey(tree.root);
    for (const { state } of host.reducers) {
      assert.ok(state.step === step && state.round === this.round, 'every reducer is at the step');
      for (const sum of state.sums) {
        const [only, ...more] = sum.partials;
        assert.ok(only && more.length === 0 && nodeKey(only.node) === root, 'a committed sum is whole');
      }
    }
    this.audits.committed(host);
    if (!this.isTainted) assert.deepEqual(update, this.reference.updates[step], 'the numbers of the update');
    this.nextStep = step + 1;
  }

  /** A worker's control message is about to be acted on. */
  speaking(session: string | undefined, message: Envelope): void {
    assert.equal(message.term, this.term, 'no message of another term is acted on');
    assert.equal(message.session, session, 'no message of another session is acted on');
  }

  // ---- the reducers

  /** Before a reducer is told something. */
  reducing(
    event: ReducerEvent,
    isOpen: (session: string) => boolean,
    sumOf: (chunk: number) => ChunkSum | undefined,
  ): void {
    if (event.type !== 'message') return;
    const { message, session } = event;
    assert.equal(message.term, this.term, 'no message of another term is acted on');
    assert.equal(message.session, session, 'no message of another session is acted on');
    assert.ok(isOpen(session), 'nobody speaks for a session that is over');
    if (message.type === 'chunk') this.audits.received(session, message, sumOf(message.chunk));
  }

  reduced(reducer: number, event: ReducerEvent, host: CoordinatorHost): void {
    if (event.type === 'commit') this.updated(reducer, event.step + 1);
    else if (event.type === 'message' && event.message.type === 'chunk') {
      const { firstChunk } = this.slices[reducer]!;
      const sum = host.reducers[reducer]!.state.sums[event.message.chunk - firstChunk];
      if (sum) this.counted(sum, event.message.chunk, host.reducers[reducer]!.state);
      this.bounded(reducer, host);
    } else if (event.type === 'message' && event.message.type === 'offer') this.bounded(reducer, host);
  }

  private updated(reducer: number, version: number): void {
    if (this.isTainted) return;
    const { grid } = this.scenario;
    const { firstChunk, endChunk } = this.slices[reducer]!;
    const [start, end] = [grid.start(firstChunk), Math.min(grid.start(endChunk), grid.total)];
    const slice = this.parameters.subarray(start, end);
    const expected = this.reference.states[version]!.parameters;
    assert.ok(isPartOf(slice, expected, start), `the parameters of version ${version}`);
  }

  /** Every micro-batch that counts as covered is in exactly one partial sum, and every sum has its node's bits. */
  private counted(sum: ChunkSum, chunk: number, { step, round }: { step: number; round: number }): void {
    const { tree, grid } = this.scenario;
    const expected = this.reference.nodeSums(step, round);
    let counted = 0;
    let mask = 0n;
    for (const { node, values } of sum.partials) {
      const { start, end } = tree.range(node);
      const leaves = ((1n << BigInt(end - start)) - 1n) << BigInt(start);
      assert.equal(mask & leaves, 0n, 'a micro-batch is counted once');
      mask |= leaves;
      counted += end - start;
      const bits = expected.get(nodeKey(node));
      const isRight = bits && isPartOf(values, bits, grid.start(chunk));
      assert.ok(isRight || this.audits.hasWrong(node, { step, round }), `the sum of node ${nodeKey(node)}`);
      assert.ok(sum.isCovered({ start, end }), 'what is summed counts as covered');
    }
    assert.ok(counted >= sum.firstUncovered, 'what counts as covered is summed');
  }

  private bounded(reducer: number, host: CoordinatorHost): void {
    const { state } = host.reducers[reducer]!;
    if (state.sums.length === 0) return;
    let extras = 0;
    let partials = 0;
    for (const sum of state.sums) {
      extras += sum.extras;
      for (const _ of sum.partials) partials++;
    }
    const { tree } = this.scenario;
    const most = state.sums.length * (EXTRA_SUMS + tree.rootLevel + 1);
    assert.ok(partials <= most, `${partials} partial sums, where ${most} are allowed`);
    const sessions = new Map<string, number>();
    for (const { session, outstanding } of state.offers.all) {
      sessions.set(session, (sessions.get(session) ?? 0) + 1);
      assert.ok(sessions.get(session)! <= MOST_OFFERS, 'offers of one worker are bounded');
      assert.ok(outstanding.size <= this.scenario.grid.windowChunks, 'what one worker may send is bounded');
      for (const isExtra of outstanding.values()) if (isExtra) extras++;
    }
    const budget = EXTRA_SUMS * state.sums.length;
    // What was granted as the leftmost may have become an extra since: one chunk's worth a session.
    assert.ok(extras <= budget + state.sums.length, `${extras} sums wait, where ${budget} are allowed`);
  }
}
