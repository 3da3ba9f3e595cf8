// A thread that asks the newest checkpoint about a few held-out samples, tells what it answered, and ends. It has one compute
// thread and the lowest priority: it takes what nobody else wants of the machine.
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { openFolder } from '../../checkpoint/open-folder.js';
import { resolveModel } from '../../checkpoint/run-directory.js';
import { openDataset, type Split } from '../../data/dataset.js';
import type { Tokenizer } from '../../data/tokenizer.js';
import type { Prediction } from '../../metrics/events.js';
import type { Sample } from '../../model/batch.js';
import type { ObjectiveConfig } from '../../model/objectives.js';
import { openModel } from '../../model/open-model.js';
import { defaultMaxSpan, fillMasks, translate, writeOn } from '../../model/predict.js';
import type { Transformer } from '../../model/transformer.js';
import { questionOf, type Question } from './question.js';

export interface SamplesTask {
  /** Where the run's checkpoints are stored. */
  readonly storage: string;
  readonly data: string;
  readonly window: number;
  readonly objective: ObjectiveConfig;
  readonly samples: number;
}

export interface SamplesDone {
  readonly version: number;
  readonly predictions: readonly Prediction[];
}

const LOWEST_PRIORITY = 19;
const BEAM = 4;

async function answerAll(task: SamplesTask): Promise<SamplesDone> {
  const dataset = await openDataset(task.data);
  const folder = await resolveModel(await openFolder(task.storage), { damaged: 'skip' });
  const model = await openModel(folder, { threads: 1, precisionOf: () => 'float32' });
  const tokenizer = await model.tokenizer();
  const decode = (ids: readonly number[]): Promise<string> => tokenizer.decode(ids, { skipSpecial: false });
  const predictions: Prediction[] = [];
  for (const sample of await heldOut(dataset.split('validation', task.window), task.samples)) {
    const question = questionOf(sample, task.objective, tokenizer.maskId);
    const prediction = await decode(answer(model.transformer, question, task.objective, tokenizer));
    const [source, target] = await Promise.all([question.source, question.target].map(decode));
    predictions.push({ source: source!, prediction, target: target! });
  }
  model.dispose();
  await dataset.close();
  return { version: model.state?.step ?? 0, predictions };
}

/** At even distances, so that they tell of the whole part. */
function heldOut(split: Split, samples: number): Promise<Sample[]> {
  const count = Math.min(samples, split.samples);
  return Promise.all(
    Array.from({ length: count }, (_, i) => split.read(Math.floor((i * split.samples) / count))),
  );
}

function answer(
  transformer: Transformer,
  { source, target }: Question,
  objective: ObjectiveConfig,
  { maskId, specialIds }: Tokenizer,
): readonly number[] {
  const ids = Int32Array.from(source);
  switch (objective.kind) {
    case 'masked': {
      const maxSpan = defaultMaxSpan(objective);
      return fillMasks(transformer, source, specialIds, { maskId, maxSpan, beam: BEAM, alternatives: 1 }).ids;
    }
    case 'causal': {
      const maxNewTokens = Math.max(1, target.length);
      const options = { maxNewTokens, maskId, sampling: null, seed: 0, firstSequence: 0 };
      return writeOn(transformer, [ids], options)[0]!.ids;
    }
    case 'seq2seq': {
      const options = { beams: BEAM, lengthPenalty: 0.6, maxNewTokens: null, maskId };
      return translate(transformer, [ids], options)[0]![0]!.ids;
    }
  }
}

// Of this thread alone on Linux, which has one for each; elsewhere it would be the whole coordinator's.
if (process.platform === 'linux') setPriority(LOWEST_PRIORITY);
parentPort!.postMessage(await answerAll(workerData as SamplesTask));
