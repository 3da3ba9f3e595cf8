// The process itself: memory, CPU, event loop, garbage collection, open files; and which build it is.

import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import { packageVersion } from '../../util/package.js';

export function processMetrics(registry: Registry): () => void {
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'lockstep_build_info',
    help: 'Always 1; the label says which version of Lockstep runs.',
    labelNames: ['version'] as const,
    registers: [registry],
  }).set({ version: packageVersion() }, 1);
  return () => {};
}
