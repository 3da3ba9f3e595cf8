// The checkpoints of a simulated run: a snapshot of each reducer's slice, written beside the training and then published.
import assert from 'node:assert/strict';
import type { Progress } from '../../src/coordinator/events.js';
import type { Slice } from '../../src/protocol/chunks.js';
import type { Process } from './process.js';
import type { Random } from './random.js';
import type { TrainingState } from './reference.js';
import type { Scenario } from './scenario.js';

/** What outlives a process: the newest checkpoint. */
export interface Storage {
  newest: TrainingState | undefined;
}

export interface CheckpointWorld {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly process: Process;
  readonly storage: Storage;
  readonly memory: Omit<TrainingState, 'progress'>;
  readonly slices: readonly Slice[];
  /** Whether writes may fail. */
  readonly mayFail: () => boolean;
  toReducer(reducer: number, body: () => void): void;
  fromReducer(reducer: number, body: () => void): void;
  written(version: number): void;
  ended(version: number, saved: boolean): void;
}

export class Checkpoints {
  private copies: (Omit<TrainingState, 'progress'> | undefined)[] = [];

  constructor(private readonly world: CheckpointWorld) {}

  snapshot(version: number): void {
    const { world } = this;
    this.copies = world.slices.map(() => undefined);
    world.slices.forEach((_, reducer) => {
      world.toReducer(reducer, () => {
        const { parameters, moment1, moment2 } = world.memory;
        this.copies[reducer] = {
          parameters: parameters.slice(),
          moment1: moment1.slice(),
          moment2: moment2.slice(),
        };
        world.fromReducer(reducer, () => world.written(version));
      });
    });
  }

  publish(progress: Progress): void {
    const { world } = this;
    const saved = !(world.mayFail() && world.random.chance(0.1));
    world.process.after(world.random.between(1, 300), () => {
      if (saved) world.storage.newest = this.assemble(progress);
      world.ended(progress.version, saved);
    });
  }

  private assemble(progress: Progress): TrainingState {
    const { grid } = this.world.scenario;
    const parameters = new Float32Array(grid.total);
    const moment1 = new Float32Array(grid.trainable);
    const moment2 = new Float32Array(grid.trainable);
    this.world.slices.forEach(({ firstChunk, endChunk }, reducer) => {
      const copy = this.copies[reducer];
      assert.ok(copy, 'every slice was copied');
      const [start, end] = [grid.start(firstChunk), grid.start(endChunk)];
      parameters.set(copy.parameters.subarray(start, end), start);
      if (start >= grid.trainable) return;
      moment1.set(copy.moment1.subarray(start, end), start);
      moment2.set(copy.moment2.subarray(start, end), start);
    });
    return { progress, parameters, moment1, moment2 };
  }
}
