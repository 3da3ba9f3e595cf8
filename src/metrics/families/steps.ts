// How many steps were done, how long each took, and how far the run is.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { durationBuckets } from './family.js';
import { skipReasons, type TrainingEvent } from '../events.js';

/** `now`: seconds on a clock that never jumps back. */
export function steps(now: () => number): (registry: Registry) => (event: TrainingEvent) => void {
  return (registry) => {
    const registers = [registry];
    const committed = new Counter({
      name: 'lockstep_steps_committed_total',
      help: 'Steps whose update was applied, by this process.',
      registers,
    });
    const skipped = new Counter({
      name: 'lockstep_steps_skipped_total',
      help: 'Steps passed over without an update, by this process.',
      labelNames: ['reason'] as const,
      registers,
    });
    for (const reason of skipReasons) skipped.inc({ reason }, 0);
    const version = new Gauge({
      name: 'lockstep_parameter_version',
      help: 'Version of the parameters: steps completed since the run began, skipped ones included.',
      registers,
    });
    const duration = new Histogram({
      name: 'lockstep_step_duration_seconds',
      help: 'Time from the start of a step to its commit.',
      buckets: durationBuckets,
      registers,
    });
    const repeated = new Counter({
      name: 'lockstep_steps_repeated_total',
      help: 'Steps that an earlier process had done beyond the checkpoint this one went on from: they are done again.',
      registers,
    });
    let since = now();
    new Gauge({
      name: 'lockstep_progress_age_seconds',
      help: 'Time since this process last completed a step or an evaluation, or since its start.',
      registers,
      collect() {
        this.set(now() - since);
      },
    });
    return (event) => {
      if (event.kind === 'evaluated') since = now();
      if (event.kind === 'runStarted') {
        version.set(event.version);
        repeated.inc(event.stepsLost);
      }
      if (event.kind !== 'stepCommitted' && event.kind !== 'stepSkipped') return;
      if (event.kind === 'stepCommitted') committed.inc();
      else skipped.inc({ reason: event.reason });
      version.set(event.version);
      duration.observe(event.seconds);
      since = now();
    };
  };
}
