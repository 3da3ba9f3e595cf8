// Messages of workers that were not taken, by what was wrong with them.

import { Counter, type Registry } from 'prom-client';
import { messageFaults, type TrainingEvent } from '../events.js';

export function messages(registry: Registry): (event: TrainingEvent) => void {
  const rejected = new Counter({
    name: 'lockstep_messages_rejected_total',
    help: 'Messages not taken: checksum (damaged on the way), malformed (against the protocol), stale (session or term over).',
    labelNames: ['fault'] as const,
    registers: [registry],
  });
  for (const fault of messageFaults) rejected.inc({ fault }, 0);
  return (event) => {
    if (event.kind === 'messageRejected') rejected.inc({ fault: event.fault });
    else if (event.kind === 'reducerUsage') {
      for (const fault of messageFaults) rejected.inc({ fault }, event.usage.rejected[fault]);
    }
  };
}
