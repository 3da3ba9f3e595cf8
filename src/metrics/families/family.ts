// A metric family: registers its metrics on a registry and returns what feeds them. One file per family.

import type { Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export type Family = (registry: Registry) => (event: TrainingEvent) => void;

/** Upper bounds in seconds for what lasts from milliseconds (a small step) to minutes (a large checkpoint). */
export const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
