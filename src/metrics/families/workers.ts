// Workers: how many are in each state, how many came and went.

import { Counter, Gauge, type Registry } from 'prom-client';
import { leaveReasons, workerStates, type TrainingEvent } from '../events.js';

export function workers(registry: Registry): (event: TrainingEvent) => void {
  const registers = [registry];
  const states = new Gauge({
    name: 'lockstep_workers',
    help: 'Workers now, by state.',
    labelNames: ['state'] as const,
    registers,
  });
  for (const state of workerStates) states.set({ state }, 0);
  const joined = new Counter({
    name: 'lockstep_workers_joined_total',
    help: 'Workers that joined.',
    registers,
  });
  const foreign = new Counter({
    name: 'lockstep_workers_foreign_total',
    help: 'Workers that joined and compute other bits than the first; only a run with hardware: relaxed has any.',
    registers,
  });
  const left = new Counter({
    name: 'lockstep_workers_left_total',
    help: 'Workers that left, by reason.',
    labelNames: ['reason'] as const,
    registers,
  });
  for (const reason of leaveReasons) left.inc({ reason }, 0);
  return (event) => {
    if (event.kind === 'workerJoined') joined.inc();
    else if (event.kind === 'foreignWorker') foreign.inc();
    else if (event.kind === 'workerLeft') left.inc({ reason: event.reason });
    else if (event.kind === 'workerStates') {
      for (const state of workerStates) states.set({ state }, event.counts[state] ?? 0);
    }
  };
}
