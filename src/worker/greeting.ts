// How a worker introduces itself: its first message, and the proof that it owns the key it names there.
import { hostname } from 'node:os';
import { ProtocolError } from '../protocol/frames.js';
import type { CoordinatorToWorker, WorkerToCoordinator } from '../protocol/messages.js';
import type { ClientSecurity } from '../transport/keys.js';
import { prove } from '../transport/proof.js';

export interface Introduction {
  readonly name: string;
  /** The only run this worker works for; null: whatever the coordinator trains. */
  readonly runId: string | null;
  /** This worker's keys and the coordinator's; null: nothing is encrypted. */
  readonly security: ClientSecurity | null;
}

export function helloOf({ name, runId, security }: Introduction): WorkerToCoordinator {
  const key = security && Buffer.from(security.keys.publicKey).toString('hex');
  return { type: 'hello', name, host: hostname(), runId, key };
}

export function answerTo(
  { runId, challenge }: CoordinatorToWorker & { type: 'challenge' },
  { security }: Introduction,
): WorkerToCoordinator {
  if (!security) throw new ProtocolError('the coordinator asks for the proof of a key, and there is none');
  return { type: 'prove', proof: prove(security.keys, security.coordinator, runId, challenge) };
}
