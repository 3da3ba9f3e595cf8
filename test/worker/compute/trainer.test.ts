import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../../src/engine/load.js';
import { initialParameters } from '../../../src/model/initialise.js';
import { parameterLayout } from '../../../src/model/parameters.js';
import type { Job } from '../../../src/protocol/job.js';
import { Trainer } from '../../../src/worker/compute/trainer.js';
import { tinyBatch, tinyConfig } from '../../model/tiny.js';

test('parameters are given to the engine once a version, whatever is computed with it', async () => {
  const engine = await loadEngine('native', { threads: 1 });
  const refreshed: Float32Array[] = [];
  const model = tinyConfig();
  const layout = parameterLayout(model);
  const job: Job = {
    seed: 1,
    model,
    objective: { kind: 'causal' },
    tokens: { padId: 0, endId: 1, startId: 0, maskId: 2, vocabularySize: 23, specialIds: [0, 1, 2] },
    microBatches: 1,
    labelSmoothing: 0,
    precision: 'float32',
    emulate: false,
    wire: 'float32',
    heartbeat: { intervalMs: 100, timeoutMs: 1000 },
  };
  const parameters = [0, 1].map(() => new Float32Array(layout.total));
  for (const flat of parameters) initialParameters(layout, model, 1, flat);
  const trainer = new Trainer({
    engine: { ...engine, refresh: (view) => void refreshed.push(engine.values(view)) },
    job,
    parameters,
    gradients: [new Float32Array(layout.trainable)],
  });
  const computed = (step: number, slot: number): number => {
    refreshed.length = 0;
    const handlers = { chunk: () => undefined, progress: () => undefined, isCancelled: () => false };
    trainer.computeNode(step, { level: 0, index: 0 }, [tinyBatch()], slot, 0, handlers);
    return refreshed.length;
  };
  const evaluated = (version: number, slot: number): number => {
    refreshed.length = 0;
    trainer.evaluate(version, tinyBatch(), slot);
    return refreshed.length;
  };
  const views = layout.views.length;
  assert.deepEqual([computed(0, 0), computed(0, 0), evaluated(0, 0)], [views, 0, 0]);
  assert.deepEqual([evaluated(1, 1), computed(1, 1), computed(2, 0)], [views, 0, views]);
  assert.ok(refreshed.every(({ buffer }) => buffer !== parameters[1]!.buffer));
});
