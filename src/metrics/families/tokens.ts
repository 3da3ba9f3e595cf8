// Tokens that committed steps were trained on.

import { Counter, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export function tokens(registry: Registry): (event: TrainingEvent) => void {
  const trained = new Counter({
    name: 'lockstep_tokens_total',
    help: 'Tokens of committed steps: source, those the encoder read; target, those that carried loss.',
    labelNames: ['side'] as const,
    registers: [registry],
  });
  for (const side of ['source', 'target']) trained.inc({ side }, 0);
  return (event) => {
    if (event.kind !== 'stepCommitted') return;
    trained.inc({ side: 'source' }, event.sourceTokens);
    trained.inc({ side: 'target' }, event.tokens);
  };
}
