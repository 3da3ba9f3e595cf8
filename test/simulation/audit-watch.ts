// What workers that compute wrongly have sent, and whether somebody was watching: wrong numbers never become part of a
// committed sum when their node was audited to the end.
import assert from 'node:assert/strict';
import type { CoordinatorAction } from '../../src/coordinator/events.js';
import type { NodeId, Received, WorkerToReducer } from '../../src/protocol/messages.js';
import { nodeIdKey } from '../../src/protocol/node-id.js';
import { nodeKey, type TreeNode } from '../../src/protocol/tree.js';
import { isPartOf, packBfloat16 } from './arithmetic.js';
import type { CoordinatorHost } from '../../src/simulation/coordinator-host.js';
import type { Reference } from './reference.js';
import type { Scenario } from './scenario.js';

interface Wrong {
  readonly session: string;
  readonly node: NodeId;
}

export class AuditWatch {
  /** Leases of this computation that are audited and were not taken back. */
  private readonly watched = new Set<string>();
  /** What came that is wrong, of this computation. */
  private readonly wrong = new Map<string, Wrong>();
  isTainted = false;

  constructor(
    private readonly scenario: Scenario,
    private readonly reference: Reference,
  ) {}

  decided(action: CoordinatorAction): void {
    if (!this.scenario.wrongWorkers) return;
    if (action.type === 'begin') {
      this.watched.clear();
      this.wrong.clear();
    } else if (action.type === 'lease' && action.audited) this.watched.add(keyOf(action));
    else if (action.type === 'recall') this.watched.delete(keyOf(action));
  }

  /** A chunk is about to be added, or dropped. */
  received(session: string, message: Received<WorkerToReducer> & { type: 'chunk' }): void {
    if (!this.scenario.wrongWorkers || this.isTainted) return;
    const { step, round, chunk, payload } = message;
    const { grid, wire } = this.scenario;
    const [start, size] = [grid.start(chunk), grid.gradientElements(chunk)];
    const sum = this.reference.nodeSums(step, round).get(nodeKey(message));
    const right = sum!.subarray(start, start + size);
    const bytes = wire === 'bfloat16' ? packBfloat16(right) : right;
    const expected = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (Buffer.compare(expected, payload) === 0) return;
    const wrong = { session, node: message };
    this.wrong.set(keyOf(wrong), wrong);
  }

  /** Whether a sum of this node may be wrong as long as it is not committed. */
  hasWrong(node: TreeNode): boolean {
    const { start, end } = this.scenario.tree.range(node);
    return [...this.wrong.values()].some(({ node: wrong }) => {
      const range = this.scenario.tree.range(wrong);
      return range.start < end && range.end > start;
    });
  }

  committed(host: CoordinatorHost): void {
    if (this.isTainted || !this.scenario.wrongWorkers) return;
    const members = new Set(host.machine.state.sessions.map(({ id }) => id));
    for (const [key, { session, node }] of this.wrong) {
      const wasAudited = this.watched.has(key) && members.has(session);
      assert.ok(
        !wasAudited,
        `${session} computed node ${nodeIdKey(node)} wrongly, was audited, and is believed`,
      );
    }
    this.isTainted = host.reducers.some(({ state }, reducer) => !this.isRight(state, reducer, host));
    assert.ok(!this.isTainted || this.wrong.size > 0, 'a committed sum has the right bits');
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

function keyOf({ session, node }: Wrong): string {
  return `${session}/${nodeIdKey(node)}`;
}
