// What lies in the terms/ of a run: for term 7, 000007.json names its owner, 000007.alive holds the owner's renewal counter,
// and 000007.released says that the owner ended in order. Only the exclusive creation of the first decides anything.

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { jsonText } from '../util/json.js';
import { readText, type Folder } from './folder.js';
import { ownerSchema, type Owner } from './owner.js';

/** How an owner shows that it lives. */
export interface Renewal {
  /** Milliseconds between two renewals. */
  readonly intervalMs: number;
  /** Milliseconds without one after which others may take the run. */
  readonly timeoutMs: number;
}

const claimSchema = z.object({
  term: z.int().positive(),
  owner: ownerSchema,
  renewal: z.object({ intervalMs: z.number().positive(), timeoutMs: z.number().positive() }),
});

export type Claim = Readonly<z.infer<typeof claimSchema>>;

const NAME = /^(\d{6,15})\.(json|released)$/;

function fileOf(term: number, kind: 'json' | 'alive' | 'released'): string {
  return `${String(term).padStart(6, '0')}.${kind}`;
}

export class TermsFolder {
  private readonly folder: Folder;

  constructor(run: Folder) {
    this.folder = run.at('terms');
  }

  async make(): Promise<void> {
    await this.folder.make();
  }

  /** Terms ever taken, ascending, and which of them were released. */
  async list(): Promise<{ taken: number[]; released: Set<number> }> {
    const taken: number[] = [];
    const released = new Set<number>();
    for (const { name } of await this.folder.list()) {
      const match = NAME.exec(name);
      if (match === null) continue;
      if (match[2] === 'json') taken.push(Number(match[1]));
      else released.add(Number(match[1]));
    }
    return { taken: taken.sort((a, b) => a - b), released };
  }

  /** Takes a term; false when it is taken. */
  claim(term: number, owner: Owner, renewal: Renewal): Promise<boolean> {
    const nonce = randomUUID(); // the same process, trying twice, is two
    return this.folder.create(fileOf(term, 'json'), jsonText({ term, owner, renewal, nonce }));
  }

  /** Whether a term is taken, by its name: a list may lag behind. */
  async isTaken(term: number): Promise<boolean> {
    return (await this.folder.read(fileOf(term, 'json'))) !== null;
  }

  /** Who took a term, in which manner; null when the file cannot be understood. */
  async claimOf(term: number): Promise<Claim | null> {
    const text = await readText(this.folder, fileOf(term, 'json'));
    try {
      return claimSchema.parse(JSON.parse(text ?? ''));
    } catch {
      return null;
    }
  }

  renew(term: number, counter: number): Promise<void> {
    return this.folder.replace(fileOf(term, 'alive'), `${String(counter).padStart(12, '0')}\n`);
  }

  /** Whatever is there; any change of it is a renewal. */
  async renewalOf(term: number): Promise<string> {
    return (await readText(this.folder, fileOf(term, 'alive'))) ?? '';
  }

  async release(term: number): Promise<void> {
    await this.folder.create(fileOf(term, 'released'), '');
  }

  async isReleased(term: number): Promise<boolean> {
    return (await this.folder.read(fileOf(term, 'released'))) !== null;
  }
}
