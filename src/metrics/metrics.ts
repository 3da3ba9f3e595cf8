// Puts metric families on a registry of their own and hands every event to each of them.

import { Registry } from 'prom-client';
import type { Publish } from './events.js';
import type { Family } from './families/family.js';

export interface Metrics {
  readonly registry: Registry;
  /** Takes an event; never throws for a valid one. */
  readonly on: Publish;
}

export function createMetrics(families: readonly Family[]): Metrics {
  const registry = new Registry();
  const consumers = families.map((family) => family(registry));
  return {
    registry,
    on: (event) => {
      for (const consume of consumers) consume(event);
    },
  };
}
