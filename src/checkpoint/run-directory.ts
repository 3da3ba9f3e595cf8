// What lies where in a run, the run's identity, and which model a folder given by a user means.

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { assert, UserError } from '../util/errors.js';
import { DiskFolder } from './disk-folder.js';
import { nameOf, readText, type Folder } from './folder.js';
import { damagedCheckpoints, listCheckpoints } from './list.js';
import { badCheckpoint, termOf } from './manifest.js';
import { INDEX_FILE, MODEL_FILE } from './names.js';
import { openFolder } from './open-folder.js';
import { storageOf, storagePlace } from './storage-place.js';

/** The folder of a run's checkpoints in its storage. */
export const CHECKPOINTS = 'checkpoints';

/** What a run consists of. Creates nothing. */
export class RunDirectory {
  /** The run's folder on this machine: its metrics, and all else by default. */
  readonly path: string;
  /** Where its identity, its terms and its checkpoints are stored. */
  readonly storage: Folder;

  constructor(directory: string, storage: Folder = new DiskFolder(directory)) {
    this.path = path.resolve(directory);
    this.storage = storage;
  }

  get checkpoints(): Folder {
    return this.storage.at(CHECKPOINTS);
  }

  /** Event files, for `tensorboard --logdir`. */
  get tensorboard(): string {
    return path.join(this.path, 'tensorboard');
  }

  /** Where files lie that are to be uploaded. */
  get spool(): string {
    return path.join(this.path, 'spool');
  }

  get metricsLog(): string {
    return path.join(this.path, 'metrics.jsonl');
  }

  get eventsLog(): string {
    return path.join(this.path, 'events.jsonl');
  }

  /** What its last coordinator said of itself. */
  get notice(): string {
    return path.join(this.path, 'coordinator.json');
  }
}

/** Of these a run's folder holds some, whole or being written. */
const OF_A_RUN =
  /^(?:run\.json|storage\.json|coordinator\.json|metrics\.jsonl|events\.jsonl|terms|checkpoints|tensorboard|spool)(?:\.|$)/;
/** What lies in a folder before a run begins there: a volume's own, and the config, keys and logs of the job that trains it. */
const BEFORE_A_RUN = /^(?:\.|lost\+found$|keys-)|\.(?:ya?ml|key|pub|log|out|err)$/;
const MOST_NAMED = 3;

/** Throws UserError NOT_A_RUN when the folder `own` holds what is of no run: files of one would be spread among it. */
export async function expectRunOrRoom(own: Folder): Promise<void> {
  const names = (await own.list()).map(({ name }) => name).sort();
  const others = names.filter((name) => !BEFORE_A_RUN.test(name));
  if (others.length === 0 || names.some((name) => OF_A_RUN.test(name))) return;
  const more = others.length > MOST_NAMED ? ` and ${others.length - MOST_NAMED} more` : '';
  throw new UserError(
    'NOT_A_RUN',
    `expected a run or an empty folder in ${own.url}, got one with ${others.slice(0, MOST_NAMED).join(', ')}${more}: ` +
      'choose another folder for the run (--run DIR)',
  );
}

/** Holds the run's identity; written once. */
export const IDENTITY_FILE = 'run.json';
const identitySchema = z.object({ runId: z.uuid() });

/** null when nobody has made one yet. Throws UserError RUN_INVALID. */
export async function readIdentity(storage: Folder): Promise<{ readonly runId: string } | null> {
  const text = await readText(storage, IDENTITY_FILE);
  if (text === null) return null;
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (error) {
    const message = `${nameOf(storage, IDENTITY_FILE)} does not hold a run's id: restore it, or choose another run directory`;
    throw new UserError('RUN_INVALID', message, { cause: error });
  }
}

/**
 * The run's id: random, made by the first caller, the same for all later ones. Makes the folder when missing.
 * Throws UserError RUN_INVALID when run.json is not what an earlier call wrote.
 */
export async function runIdentity(storage: Folder): Promise<{ readonly runId: string }> {
  const known = await readIdentity(storage);
  if (known !== null) return known;
  await storage.make();
  await storage.create(IDENTITY_FILE, `${JSON.stringify({ runId: randomUUID() })}\n`);
  const made = await readIdentity(storage);
  assert(made !== null, `${storage.url} holds what was created in it`);
  return made;
}

/**
 * Throws UserError RUN_ELSEWHERE when the run in the folder `own` has been stored elsewhere than in `storage`, and `storage` does not hold
 * it, so that it would begin again from nothing, or both do, so that there would be two runs of one name from there on.
 */
export async function expectStoredThere(own: Folder, storage: Folder): Promise<void> {
  const place = await storagePlace(own);
  const before = place ?? { url: own.url, runId: (await readIdentity(own))?.runId };
  if (before.url === storage.url || before.runId === undefined) return;
  const setBack =
    place === null ? 'leave checkpoints out' : `set checkpoints back (--set checkpoints=${before.url})`;
  if ((await readIdentity(storage))?.runId !== before.runId) {
    throw new UserError(
      'RUN_ELSEWHERE',
      `the run ${own.url} is stored in ${before.url}, and ${storage.url} does not hold it: ${setBack}, ` +
        'move run.json, terms and checkpoints there, or train another run (--run DIR)',
    );
  }
  if (!(await holds(before.url, before.runId))) return;
  throw new UserError(
    'RUN_ELSEWHERE',
    `the run ${own.url} is stored in ${before.url}, and ${storage.url} holds a copy of it: ${setBack}, ` +
      `or remove run.json from ${before.url} if the copy is to go on`,
  );
}

/** Whether a place that may be out of reach by now holds the run. */
async function holds(url: string, runId: string): Promise<boolean> {
  try {
    return (await readIdentity(await openFolder(url)))?.runId === runId;
  } catch {
    return false;
  }
}

/** Where the checkpoints of the run in the folder `own` lie. Throws UserError RUN_INVALID. */
export async function checkpointsOf(own: Folder): Promise<Folder> {
  return (await storageOf(own)).at(CHECKPOINTS);
}

/**
 * The model that `given` means: itself when it holds model.safetensors (a checkpoint, or any Hugging Face
 * model), otherwise the newest checkpoint of the run it is. Where a newer one is damaged, as far as manifest and sizes tell,
 * that one is refused or the next taken. Throws UserError MODEL_NOT_FOUND, CHECKPOINT_BAD.
 */
export async function resolveModel(
  given: Folder,
  { damaged }: { readonly damaged: 'refuse' | 'skip' },
): Promise<Folder> {
  const names = (await given.list()).map(({ name }) => name);
  if (names.includes(MODEL_FILE) || names.includes(INDEX_FILE)) return given;
  const checkpoints = await checkpointsOf(given);
  const [newest] = await listCheckpoints(checkpoints);
  if (damaged === 'refuse') {
    for (const { folder, step, problem } of await damagedCheckpoints(checkpoints)) {
      if (step <= (newest?.step ?? -1)) continue;
      // One from before the run went on from an older one is not missed.
      if (newest && ((await termOf(folder)) ?? newest.term) < newest.term) continue;
      throw badCheckpoint(folder, problem);
    }
  }
  if (newest !== undefined) return newest.folder;
  if (names.some((name) => /^pytorch_model.*\.bin/.test(name))) {
    throw new UserError(
      'MODEL_NOT_FOUND',
      `${given.url} holds pytorch_model.bin, which can run any code when it is read: save the model as safetensors ` +
        '(transformers: model.save_pretrained(DIRECTORY))',
    );
  }
  const expected = 'a run with a finished checkpoint, or a directory with model.safetensors';
  const stored =
    checkpoints.url === given.at(CHECKPOINTS).url ? '' : `; its checkpoints are in ${checkpoints.url}`;
  throw new UserError('MODEL_NOT_FOUND', `${given.url}: expected ${expected}${stored}`);
}
