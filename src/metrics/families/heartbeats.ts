// Heartbeats: how many were answered, and how long the answers took.

import { Histogram, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function heartbeats(registry: Registry): (event: TrainingEvent) => void {
  const roundTrip = new Histogram({
    name: 'lockstep_heartbeat_round_trip_seconds',
    help: 'Time from sending a heartbeat to its answer.',
    buckets,
    registers: [registry],
  });
  return (event) => {
    if (event.kind === 'heartbeat') roundTrip.observe(event.seconds);
  };
}
