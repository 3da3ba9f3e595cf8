// The run itself: its name and identity, and the constants of its config that other metrics are read against.

import { Gauge, type Registry } from 'prom-client';
import type { RunStarted } from '../events.js';

/** Sets a gauge that stays for the life of the process. */
function constant(registry: Registry, name: string, help: string, value: number): void {
  new Gauge({ name, help, registers: [registry] }).set(value);
}

export function runFamily(run: RunStarted): (registry: Registry) => () => void {
  return (registry) => {
    new Gauge({
      name: 'lockstep_run_info',
      help: 'Always 1; the labels say which run this is, and with which config it is trained.',
      labelNames: ['run_id', 'config', 'objective', 'precision', 'wire'] as const,
      registers: [registry],
    }).set(
      {
        run_id: run.runId,
        config: run.configHash,
        objective: run.objective,
        precision: run.precision,
        wire: run.wire,
      },
      1,
    );
    const set = (name: string, help: string, value: number): void => constant(registry, name, help, value);
    set('lockstep_term', 'Which coordinator of the run this is: each start takes the next number.', run.term);
    set('lockstep_steps_planned', 'Steps of the whole run.', run.steps);
    set('lockstep_model_parameters', 'Parameters that are trained.', run.parameters);
    set('lockstep_step_micro_batches', 'Micro-batches of a step.', run.microBatches);
    set('lockstep_checkpoint_interval_steps', 'Steps between two checkpoints.', run.checkpointEvery);
    set('lockstep_evaluation_interval_steps', 'Steps between two evaluations.', run.evaluateEvery);
    set('lockstep_reducers', 'Reducer threads of this process.', run.reducers);
    set(
      'lockstep_gradient_clip_norm',
      'Gradient norm above which gradients are scaled down; +Inf: never.',
      run.clipNorm ?? Infinity,
    );
    return () => {};
  };
}
