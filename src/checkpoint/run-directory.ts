// What lies where in a run's directory, the run's identity, and which model a path given by a user means.

import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { pathExists } from '../util/exists.js';
import { publishFile } from './files.js';
import { listCheckpoints } from './list.js';
import { MODEL_FILE } from './names.js';

/** The paths of runs/NAME. Creates nothing. */
export class RunDirectory {
  readonly path: string;

  constructor(directory: string) {
    this.path = path.resolve(directory);
  }

  /** The run's identity; written once. */
  get identityFile(): string {
    return path.join(this.path, 'run.json');
  }

  get checkpoints(): string {
    return path.join(this.path, 'checkpoints');
  }

  get terms(): string {
    return path.join(this.path, 'terms');
  }

  get metricsLog(): string {
    return path.join(this.path, 'metrics.jsonl');
  }
}

const identitySchema = z.object({ runId: z.uuid() });

/**
 * The run's id: random, made by the first caller, the same for all later ones. Creates the directory when missing.
 * Throws UserError RUN_INVALID when run.json is not what an earlier call wrote.
 */
export async function runIdentity(run: RunDirectory): Promise<{ readonly runId: string }> {
  await mkdir(run.path, { recursive: true });
  const text = await readFile(run.identityFile, 'utf8').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await publishFile(run.identityFile, `${JSON.stringify({ runId: randomUUID() })}\n`);
    return readFile(run.identityFile, 'utf8');
  });
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (error) {
    const message = `${run.identityFile} does not hold a run's id: restore it, or choose another run directory`;
    throw new UserError('RUN_INVALID', message, { cause: error });
  }
}

/**
 * The model directory that `given` means: itself when it holds model.safetensors (a checkpoint, or any Hugging Face
 * model), otherwise the newest checkpoint of the run it is. Throws UserError MODEL_NOT_FOUND.
 */
export async function resolveModelDirectory(given: string): Promise<string> {
  if (await pathExists(path.join(given, MODEL_FILE))) return given;
  const [newest] = await listCheckpoints(new RunDirectory(given).checkpoints);
  if (newest !== undefined) return newest.directory;
  const expected = 'a run with a finished checkpoint, or a directory with model.safetensors';
  throw new UserError('MODEL_NOT_FOUND', `${given}: expected ${expected}`);
}
