// Whether a CUDA device trains the same bits again: whole runs of a small model, with real workers, by the SHA-256 of their weights.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Precision } from '../../src/engine/names.js';
import { lockstepOutput } from './run-lockstep.js';
import { withTemporaryFolder } from './temporary-folder.js';
import { wordText } from './word-text.js';

export interface RunSize {
  readonly width: number;
  readonly layers: number;
  readonly window: number;
  readonly samples: number;
  readonly steps: number;
}

export const SMALL_RUN: RunSize = { width: 256, layers: 2, window: 64, samples: 16, steps: 50 };
/** Only shows that it works. */
export const TINY_RUN: RunSize = { width: 16, layers: 1, window: 8, samples: 2, steps: 2 };

/** SHA-256 of the weights that three runs ended with. */
export interface TrainedWeights {
  readonly oneWorker: string;
  readonly oneWorkerAgain: string;
  /** Both on the one card. */
  readonly twoWorkers: string;
}

export function areEqual({ oneWorker, oneWorkerAgain, twoWorkers }: TrainedWeights): boolean {
  return oneWorker === oneWorkerAgain && oneWorker === twoWorkers;
}

export async function trainThrice(
  size: RunSize,
  precision: Precision,
  signal: AbortSignal,
): Promise<TrainedWeights> {
  return withTemporaryFolder(async (folder) => {
    const text = join(folder, 'text.txt');
    await writeFile(text, wordText(20_000));
    const data = join(folder, 'data');
    await lockstepOutput(['prepare', text, '--out', data, '--vocabulary', '400'], { signal });
    const { width, layers, window, samples, steps } = size;
    const config = {
      data,
      model: {
        ...{ width, heads: 4, feedForward: 4 * width, encoderLayers: layers, decoderLayers: layers },
        maxLength: 2 * window,
      },
      objective: { kind: 'causal' },
      window,
      batch: { microBatches: 4, samples },
      steps,
      precision,
      evaluate: { every: steps, batches: 1 },
      worker: { device: 'cuda' },
    };
    const file = join(folder, 'run.yaml');
    await writeFile(file, JSON.stringify(config)); // JSON is YAML
    const train = async (name: string, workers: number): Promise<string> => {
      const run = join(folder, name);
      const args = ['train', file, '--run', run, '--workers', `${workers}`];
      await lockstepOutput(args, { env: ON_ONE_CARD, signal });
      const weights = await readFile(join(run, 'checkpoints', `step-${steps}`, 'model.safetensors'));
      return createHash('sha256').update(weights).digest('hex');
    };
    return {
      oneWorker: await train('one', 1),
      oneWorkerAgain: await train('again', 1),
      twoWorkers: await train('two', 2),
    };
  });
}

/** What the user chose among, of which every worker then has the first. */
const ON_ONE_CARD = { CUDA_VISIBLE_DEVICES: process.env['CUDA_VISIBLE_DEVICES']?.split(',')[0] ?? '0' };
