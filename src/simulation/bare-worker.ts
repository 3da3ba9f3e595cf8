// What simulated workers have in common: no name of a host, no key, no metrics, and an engine that is none.
import type { EngineFingerprint } from '../engine/engine.js';
import { NOTHING_DONE, type WorkerToCoordinator } from '../protocol/messages.js';
import type { Surroundings } from '../worker/conversation.js';

export const ENGINE: EngineFingerprint = { engine: 'simulated', matmul: '', isa: '' };
export const PROBE = '0'.repeat(64);

export function helloOf(name: string): WorkerToCoordinator {
  return { type: 'hello', name, host: 'here', runId: null, key: null };
}

const nothing = (): void => undefined;

/** What of a session's surroundings nobody needs who simulates them. */
export const BARE: Pick<Surroundings, 'prove' | 'working' | 'drop' | 'beat' | 'publish'> = {
  prove: nothing,
  working: nothing,
  drop: nothing,
  beat: (_, phases) => ({ sequence: 0, report: { ...NOTHING_DONE, phases } }),
  publish: nothing,
};
