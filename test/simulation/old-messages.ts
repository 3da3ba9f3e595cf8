// Some of what workers said, kept so that it can be said again by somebody else, or in another term.
import type { Random } from './random.js';
import type { FromWorker } from '../../src/simulation/wire.js';

export interface OldMessage {
  readonly peer: string;
  readonly endpoint: number;
  readonly message: FromWorker;
  readonly payload: Uint8Array;
}

const MOST = 30;

export class OldMessages {
  private readonly messages: OldMessage[] = [];

  constructor(private readonly random: Random) {}

  note(old: OldMessage): void {
    if (!('session' in old.message)) return;
    if (this.messages.length >= MOST && !this.random.chance(0.05)) return;
    const copy = { ...old, payload: old.payload.slice() };
    if (this.messages.length < MOST) this.messages.push(copy);
    else this.messages[this.random.below(MOST)] = copy;
  }

  pick(): OldMessage | undefined {
    return this.messages.length > 0 ? this.random.pick(this.messages) : undefined;
  }
}
