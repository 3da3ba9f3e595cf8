// What workers that compute wrongly have sent, and whether somebody was watching: wrong numbers never become part of a
// committed sum when their node was audited to the end.
import assert from 'node:assert/strict';
import type { CoordinatorAction } from '../../src/coordinator/events.js';
import type { ChunkSum } from '../../src/coordinator/reducer/chunk-sum.js';
import type { Received, WorkerToReducer } from '../../src/protocol/messages.js';
import { nodeIdKey, type NodeId } from '../../src/protocol/node-id.js';
import { nodeKey, type TreeNode } from '../../src/protocol/tree.js';
import { isPartOf, packBfloat16 } from './arithmetic.js';
import type { CoordinatorHost } from '../../src/simulation/coordinator-host.js';
import type { Reference } from './reference.js';
import type { Scenario } from './scenario.js';

/** One of a step. */
type Computation = Pick<NodeId, 'step' | 'round'>;

interface Lease {
  readonly session: string;
  readonly node: NodeId;
}

export class AuditWatch {
  /** Leases of this computation that are audited and were not taken back. */
  private readonly watched = new Map<string, Lease>();
  /** Leases of this computation that were taken back: whoever had one is not asked for the node again. */
  private readonly recalled = new Set<string>();
  /** What came that is wrong, of any computation: a reducer hears later than the coordinator decides that the next one begins. */
  private readonly wrong = new Map<string, Lease>();
  /** An audit of this computation found that somebody is wrong. */
  private hasFound = false;
  isTainted = false;

  constructor(
    private readonly scenario: Scenario,
    private readonly reference: Reference,
  ) {}

  decided(action: CoordinatorAction, host: CoordinatorHost): void {
    if (!this.scenario.wrongWorkers) return;
    if (action.type === 'begin') {
      this.watched.clear();
      this.recalled.clear();
      this.hasFound = false;
    } else if (action.type === 'lease' && action.audited) {
      this.watched.set(keyOf(action), { session: action.session, node: action.node });
    } else if (action.type === 'recall') {
      this.watched.delete(keyOf(action));
      this.recalled.add(keyOf(action));
    } else if (action.type === 'event' && action.event.kind === 'nodeAudited') {
      const { outcome } = action.event;
      this.hasFound ||= outcome === 'different' || outcome === 'undecided';
      if (outcome === 'abandoned') this.excuse(host);
    }
  }

  /** An audit was given up: that is right for nodes that nobody else can be asked for. */
  private excuse(host: CoordinatorHost): void {
    const ready = host.machine.state.sessions.filter(({ state }) => state === 'ready');
    for (const [key, { session, node }] of this.watched) {
      const canAsk = ready.some(
        ({ id }) => id !== session && !this.recalled.has(keyOf({ session: id, node })),
      );
      if (!canAsk) this.watched.delete(key);
    }
  }

  /** A chunk is about to be added to `sum`, or dropped: what is covered already it cannot make wrong. */
  received(
    session: string,
    message: Received<WorkerToReducer> & { type: 'chunk' },
    sum: ChunkSum | undefined,
  ): void {
    if (!this.scenario.wrongWorkers || this.isTainted) return;
    if (sum?.isCovered(this.scenario.tree.range(message))) return;
    const { step, round, chunk, payload } = message;
    const { grid, wire } = this.scenario;
    const [start, size] = [grid.start(chunk), grid.gradientElements(chunk)];
    const nodeSum = this.reference.nodeSums(step, round).get(nodeKey(message))!;
    const right = nodeSum.subarray(start, start + size);
    const bytes = wire === 'bfloat16' ? packBfloat16(right) : right;
    const expected = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (Buffer.compare(expected, payload) === 0) return;
    const wrong = { session, node: message };
    this.wrong.set(keyOf(wrong), wrong);
  }

  /** Whether a sum of this node, in a reducer that is at this computation, may be wrong as long as it is not committed. */
  hasWrong(node: TreeNode, { step, round }: Computation): boolean {
    const { start, end } = this.scenario.tree.range(node);
    return [...this.wrong.values()].some(({ node: wrong }) => {
      if (wrong.step !== step || wrong.round !== round) return false;
      const range = this.scenario.tree.range(wrong);
      return range.start < end && range.end > start;
    });
  }

  committed(host: CoordinatorHost): void {
    if (this.isTainted || !this.scenario.wrongWorkers) return;
    assert.ok(!this.hasFound, 'what an audit found wrong is computed again before it is committed');
    const members = new Set(host.machine.state.sessions.map(({ id }) => id));
    for (const [key, { session, node }] of this.wrong) {
      const wasAudited = this.watched.has(key) && members.has(session);
      assert.ok(
        !wasAudited,
        `${session} computed node ${nodeIdKey(node)} wrongly, was audited, and is believed`,
      );
    }
    this.isTainted = host.reducers.some(({ state }, reducer) => !this.isRight(state, reducer, host));
    const [{ state }] = host.reducers as [CoordinatorHost['reducers'][number]];
    const isExplained = this.hasWrong(this.scenario.tree.root, state);
    assert.ok(!this.isTainted || isExplained, 'a committed sum has the right bits');
  }

  private isRight(
    { sums, step, round }: CoordinatorHost['reducers'][number]['state'],
    reducer: number,
    { setup }: CoordinatorHost,
  ): boolean {
    const { grid, tree } = this.scenario;
    const expected = this.reference.nodeSums(step, round).get(nodeKey(tree.root))!;
    const { firstChunk } = setup.slices[reducer]!;
    return sums.every((sum, i) => isPartOf(sum.root!, expected, grid.start(firstChunk + i)));
  }
}

function keyOf({ session, node }: Lease): string {
  return `${session}/${nodeIdKey(node)}`;
}
