// The same training without a cluster: one loop, sums by recursion over the tree. What it gives is what every simulated
// run must give, step by step and sum by sum.
import assert from 'node:assert/strict';
import { completeStep, gradientNorm, sumStats } from '../../src/coordinator/step-numbers.js';
import { boundsWithin } from '../../src/coordinator/reducer/undecayed.js';
import type { Progress } from '../../src/coordinator/events.js';
import type { AdamWSpec } from '../../src/engine/native/addon.js';
import { adamWReference } from '../../src/optim/adamw.js';
import { nodeKey, type TreeNode } from '../../src/protocol/tree.js';
import { isPartOf, toBfloat16 } from './arithmetic.js';
import { gradientOf, initialParameters, statsOf, type Scenario } from './scenario.js';

/** A run's state as a checkpoint keeps it. */
export interface TrainingState {
  readonly progress: Progress;
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

type NodeSums = ReadonlyMap<string, Float32Array>;

export class Reference {
  /** By version. */
  readonly states: readonly TrainingState[];
  /** By step: the update of its commit; null: skipped. */
  readonly updates: readonly (AdamWSpec | null)[];
  private readonly sums = new Map<string, NodeSums>();

  constructor(private readonly scenario: Scenario) {
    const { grid, options } = scenario;
    const progress = { version: 0, updates: 0, tokens: 0, best: null, fingerprint: null, expelled: [] };
    const moment = new Float32Array(grid.trainable);
    const states: TrainingState[] = [
      { progress, parameters: initialParameters(scenario), moment1: moment, moment2: moment },
    ];
    this.states = states;
    const updates: (AdamWSpec | null)[] = [];
    this.updates = updates;
    for (let step = 0; step < options.steps; step++) {
      const { update, state } = this.step(states[step]!);
      updates.push(update);
      states.push(state);
    }
  }

  /** What a checkpoint holds is what an undisturbed run has at its version. */
  check(state: TrainingState): void {
    const expected = this.states[state.progress.version]!;
    assert.equal(state.progress.updates, expected.progress.updates, 'updates of the checkpoint');
    assert.equal(state.progress.tokens, expected.progress.tokens, 'tokens of the checkpoint');
    for (const vector of ['parameters', 'moment1', 'moment2'] as const)
      assert.ok(isPartOf(state[vector], expected[vector], 0), `${vector} of the checkpoint`);
  }

  /** The sum of every node of a computation of a step, by nodeKey. */
  nodeSums(step: number, round: number): NodeSums {
    const key = `${step}/${round}`;
    let sums = this.sums.get(key);
    if (!sums) {
      const all = new Map<string, Float32Array>();
      this.sumInto(all, this.scenario.tree.root, step, round);
      this.sums.set(key, (sums = all));
    }
    return sums;
  }

  private sumInto(all: Map<string, Float32Array>, node: TreeNode, step: number, round: number): Float32Array {
    const { tree, wire, grid } = this.scenario;
    const children = tree.children(node);
    const sum = new Float32Array(grid.trainable);
    if (children) {
      const [left, right] = children.map((child) => this.sumInto(all, child, step, round));
      for (let i = 0; i < sum.length; i++) sum[i] = left![i]! + right![i]!;
    } else {
      const leaf = tree.range(node).start;
      const { parameters } = this.states[step]!;
      for (let i = 0; i < sum.length; i++)
        sum[i] = gradientOf(this.scenario, step, round, leaf, i, parameters[i]!);
    }
    if (wire === 'bfloat16') for (let i = 0; i < sum.length; i++) sum[i] = toBfloat16(sum[i]!);
    all.set(nodeKey(node), sum);
    return sum;
  }

  private step(before: TrainingState): { update: AdamWSpec | null; state: TrainingState } {
    const { tree, grid, options } = this.scenario;
    const step = before.progress.version;
    const stats = Array.from({ length: tree.leaves }, (_, leaf) => statsOf(this.scenario, step, leaf));
    const totals = sumStats(stats);
    const rootOf = (round: number): Float32Array => this.nodeSums(step, round).get(nodeKey(tree.root))!;
    let root = rootOf(0);
    let norm = this.norm(root, totals.tokens);
    if (!Number.isFinite(norm)) {
      root = rootOf(1);
      norm = this.norm(root, totals.tokens);
    }
    const { update, progress } = completeStep(before.progress, totals, norm, 1, options);
    const state = {
      progress,
      parameters: before.parameters.slice(),
      moment1: before.moment1.slice(),
      moment2: before.moment2.slice(),
    };
    if (!update) return { update, state };
    const undecayed = boundsWithin(this.scenario.undecayed, 0, grid.trainable);
    adamWReference(
      state.parameters.subarray(0, grid.trainable),
      state.moment1,
      state.moment2,
      root,
      undecayed,
      update,
    );
    return { update, state };
  }

  /** One block a chunk, as the reducers report them. */
  private norm(root: Float32Array, tokens: number): number {
    const { grid } = this.scenario;
    const blocks = Float64Array.from({ length: grid.gradientChunks }, (_, chunk) => {
      const start = grid.start(chunk);
      let sum = 0;
      for (let i = start; i < start + grid.gradientElements(chunk); i++) sum += root[i]! * root[i]!;
      return sum;
    });
    return gradientNorm(new Map([[0, blocks]]), tokens);
  }
}
