// Who gets a session: whose greeting is accepted, who has to prove which key, and how many may be on their way in
// at once. It knows no socket and no clock; peers are connections, and each gets one session at most.
import type { SessionOutcome, WorkerToCoordinator } from '../protocol/messages.js';
import { publicKeyText, type KeyPair, type PublicKey } from '../transport/keys.js';
import { newChallenge, verify } from '../transport/proof.js';
import type { WorkerIdentity } from './sessions.js';

/** Connections that have greeted and do not work yet. A thousand workers that come at once take their turns. */
const MAX_ENTERING = 256;
/** A worker answers a challenge at once. */
const PROOF_TIMEOUT_MS = 10_000;
/** From the welcome to ready: a worker loads its engine, for a GPU perhaps compiles, and computes the probe. */
const READY_TIMEOUT_MS = 10 * 60_000;

export type Greeting = WorkerToCoordinator & { type: 'hello' };

export interface AdmissionOptions {
  readonly runId: string;
  /** null: nobody has a key. */
  readonly keys: { readonly own: KeyPair; nameOf(key: PublicKey): string | undefined } | null;
}

export type Decision =
  | ({ readonly type: 'admit' } & WorkerIdentity)
  | { readonly type: 'challenge'; readonly runId: string; readonly challenge: string }
  | { readonly type: 'refuse'; readonly reason: string; readonly outcome: SessionOutcome };

interface Entering {
  readonly greeting: Greeting;
  readonly challenge: string | null;
  /** When it is given up, ms. */
  readonly deadline: number;
}

export class Admission {
  private readonly entering = new Map<string, Entering>();

  constructor(private readonly options: AdmissionOptions) {}

  /** A connection's first message. */
  greet(peer: string, greeting: Greeting, now: number): Decision {
    const { runId, keys } = this.options;
    if (this.entering.has(peer)) return refuse('it greeted twice');
    if (greeting.runId !== null && greeting.runId !== runId)
      return refuse('this is the coordinator of another run');
    if (this.entering.size >= MAX_ENTERING)
      return refuse(`${MAX_ENTERING} workers are joining already: try again`, 'lost');
    if (!keys) return this.admit(peer, greeting, greeting.name, now);
    if (this.ownerOf(greeting) === undefined)
      return refuse('it named no key that is on the allow-list (--workers-allowed)');
    const challenge = newChallenge();
    this.entering.set(peer, { greeting, challenge, deadline: now + PROOF_TIMEOUT_MS });
    return { type: 'challenge', runId, challenge };
  }

  /** The answer to a challenge. The allow-list may have changed since the greeting. */
  prove(peer: string, proof: string, now: number): Decision {
    const { runId, keys } = this.options;
    const { greeting, challenge } = this.entering.get(peer) ?? {};
    if (!keys || !greeting?.key || !challenge) return refuse('it was not asked for a proof');
    this.entering.delete(peer);
    const owner = this.ownerOf(greeting);
    if (owner === undefined || !verify(keys.own, Buffer.from(greeting.key, 'hex'), runId, challenge, proof))
      return refuse('it does not own the key that it named');
    return this.admit(peer, greeting, `${greeting.name} (key ${owner})`, now);
  }

  /** The connection is gone, or its worker computes. */
  forget(peer: string): void {
    this.entering.delete(peer);
  }

  /** Takes out the connections that were on their way in for too long. */
  takeLate(now: number): string[] {
    const late = [...this.entering].filter(([, { deadline }]) => deadline < now).map(([peer]) => peer);
    for (const peer of late) this.entering.delete(peer);
    return late;
  }

  private ownerOf({ key }: Greeting): string | undefined {
    return key === null ? undefined : this.options.keys?.nameOf(Buffer.from(key, 'hex'));
  }

  private admit(peer: string, greeting: Greeting, name: string, now: number): Decision {
    this.entering.set(peer, { greeting, challenge: null, deadline: now + READY_TIMEOUT_MS });
    const key = this.options.keys && publicKeyText(Buffer.from(greeting.key!, 'hex'));
    return { type: 'admit', name, host: greeting.host, key };
  }
}

function refuse(reason: string, outcome: SessionOutcome = 'refused'): Decision {
  return { type: 'refuse', reason, outcome };
}
