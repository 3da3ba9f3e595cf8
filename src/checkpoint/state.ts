// state.json of a checkpoint: everything a resume needs beside the tensors.

import { z } from 'zod';
import { UserError, messageOf } from '../util/errors.js';
import { nameOf, readText, type Folder } from './folder.js';
import { STATE_FILE } from './names.js';

const count = z.int().nonnegative();

const stateSchema = z.object({
  step: count,
  updates: count,
  tokens: count,
  seed: z.int(),
  config: z.record(z.string(), z.unknown()),
  validationLoss: z.number().nullable(),
  best: z.object({ step: count, loss: z.number() }).nullable(),
  dataset: z.string(),
  fingerprint: z.string().nullable(),
  expelled: z.array(z.string()).default([]),
  savedAt: z.number().nullable().default(null),
  lockstepVersion: z.string(),
});

export interface CheckpointState {
  /** Version of the parameters: steps completed, skipped ones included. */
  readonly step: number;
  /** AdamW's t: updates applied, skips excluded. */
  readonly updates: number;
  /** Target tokens that carried loss so far. */
  readonly tokens: number;
  readonly seed: number;
  /** The whole run config as plain JSON values. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Loss of the evaluation of exactly this version; null if there was none. */
  readonly validationLoss: number | null;
  readonly best: { readonly step: number; readonly loss: number } | null;
  /** SHA-256 of the prepared data set's manifest. */
  readonly dataset: string;
  /** What the workers computed with: engine, matrix product, instruction set, probe; null before the first of them. */
  readonly fingerprint: string | null;
  /** Workers that an audit found to compute wrongly: they are not let in again. */
  readonly expelled: readonly string[];
  /** Seconds since 1970; null in checkpoints of versions that did not say. Nothing is decided by it. */
  readonly savedAt: number | null;
  readonly lockstepVersion: string;
}

/** Parses state.json's text; throws UserError CHECKPOINT_BAD that names the file and the field. */
export function parseState(text: string, file: string): CheckpointState {
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    const what = issue === undefined ? messageOf(error) : `${issue.path.join('.')}: ${issue.message}`;
    throw new UserError('CHECKPOINT_BAD', `${file} is not a checkpoint's state: ${what}`, { cause: error });
  }
}

/** The state of the checkpoint in `folder`; throws UserError CHECKPOINT_BAD. */
export async function readState(folder: Folder): Promise<CheckpointState> {
  const file = nameOf(folder, STATE_FILE);
  const text = await readText(folder, STATE_FILE);
  if (text === null) throw new UserError('CHECKPOINT_BAD', `${file} is missing`);
  return parseState(text, file);
}
