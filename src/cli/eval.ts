// `lockstep eval`: loss, perplexity and accuracy of a model on a prepared data set.

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Option } from 'commander';
import { nameOf } from '../checkpoint/folder.js';
import type { Dataset } from '../data/dataset.js';
import type { EvaluationPlan, EvaluationSums } from '../model/evaluate.js';
import type { ObjectiveConfig } from '../model/objectives.js';
import { assert, UserError } from '../util/errors.js';
import { modelCommand, withModel } from './model-command.js';
import type { ModelOptions, GivenModel } from './model.js';
import { integerArgument } from './options.js';
import { outputOf, type Output } from './output.js';
import { formatCount } from '../util/format.js';
import { createProgress } from './progress.js';

interface Options extends ModelOptions {
  readonly data?: string;
  readonly split: 'validation' | 'train';
  readonly batches?: number;
  readonly limit?: number;
  readonly seed?: number;
}

/** Samples computed at once for a model that does not say how it was trained. */
const DEFAULT_SAMPLES = 16;

export function register(program: Command): void {
  modelCommand(program, 'eval', 'compute loss, perplexity and accuracy on a prepared data set')
    .option('--data <dir>', 'folder made by `lockstep prepare` (default: what the model was trained on)')
    .addOption(
      new Option('--split <part>', 'part of the data').choices(['validation', 'train']).default('validation'),
    )
    .option(
      '--batches <n>',
      "micro-batches from the beginning (default: all; the config's evaluate.batches gives the loss logged in training)",
      integerArgument(1),
    )
    .option('--limit <n>', 'samples from the beginning', integerArgument(1))
    .option('--seed <n>', "decides what is hidden (default: the run's seed)", integerArgument(0))
    .action(async (given: string, options: Options, command: Command) => {
      const output = outputOf(command);
      await withModel(given, { ...options, asTrained: true }, (model) =>
        evaluateModel(model, options, output),
      );
    });
}

async function evaluateModel(model: GivenModel, options: Options, output: Output): Promise<void> {
  const { openDataset } = await import('../data/dataset.js');
  const directory = options.data ?? model.run?.data;
  if (directory === undefined) {
    throw new UserError(
      'DATA_NOT_GIVEN',
      `${model.folder.url} does not say what it was trained on: give --data DIR`,
    );
  }
  const dataset = await openDataset(directory);
  try {
    await expectSameTokens(model, dataset);
    const result = await evaluateOn(model, dataset, options);
    output.result(result, textOf(result));
  } finally {
    await dataset.close();
  }
}

/** Token ids mean the same only under the same tokenizer. */
async function expectSameTokens(model: GivenModel, dataset: Dataset): Promise<void> {
  const ours = await model.folder.read('tokenizer.json');
  const theirs = await readFile(dataset.tokenizerFile);
  const differs = ours !== null && !theirs.equals(ours);
  if (!differs && dataset.vocabularySize <= model.config.vocabularySize) return;
  throw new UserError(
    'DATA_MISMATCH',
    `${dataset.directory} was prepared with another tokenizer than the model's: prepare it again with --tokenizer ${nameOf(model.folder, 'tokenizer.json')}`,
  );
}

interface Result {
  readonly model: string;
  /** null for a model that was not trained here. */
  readonly step: number | null;
  readonly data: string;
  readonly split: string;
  readonly objective: ObjectiveConfig['kind'];
  /** Cross-entropy in nats per token that carries loss, without label smoothing. */
  readonly loss: number;
  readonly perplexity: number;
  /** Share of those tokens that were predicted as the most probable. */
  readonly accuracy: number;
  readonly tokens: number;
  readonly samples: number;
  /** Nats per token of a prediction from token frequencies alone. */
  readonly unigramLoss: number;
  /** Whose frequencies: the training data's, or those of the evaluated tokens themselves. */
  readonly unigramOf: 'training data' | 'evaluated tokens';
}

async function evaluateOn(model: GivenModel, dataset: Dataset, options: Options): Promise<Result> {
  const { entropyOf, evaluate, microBatchesOf } = await import('../model/evaluate.js');
  const objective = objectiveOf(model, dataset);
  const split = dataset.split(options.split, model.run?.window ?? model.config.maxLength - 1);
  const plan = planOf(model, dataset, objective, split.samples, options);
  const progress = createProgress(process.stderr, {
    label: 'eval',
    total: microBatchesOf(plan),
    unit: 'batches',
  });
  let sums: EvaluationSums;
  try {
    sums = await evaluate(model.transformer, split, plan, (now, done) =>
      progress.update(done, [`loss ${(now.loss / Math.max(1, now.tokens)).toFixed(3)}`]),
    );
  } finally {
    progress.close();
  }
  if (sums.tokens === 0) {
    throw new UserError(
      'DATA_EMPTY',
      `the ${options.split} part of ${dataset.directory} has nothing to predict`,
    );
  }
  const { unigramNats } = dataset.manifest;
  const fromTraining = options.split === 'validation' ? unigramNats : null;
  const loss = sums.loss / sums.tokens;
  return {
    model: model.folder.url,
    step: model.state?.step ?? null,
    data: dataset.directory,
    split: options.split,
    objective: objective.kind,
    loss,
    perplexity: Math.exp(loss),
    accuracy: sums.correct / sums.tokens,
    tokens: sums.tokens,
    samples: sums.samples,
    unigramLoss: fromTraining ?? entropyOf(sums.labelCounts),
    unigramOf: fromTraining === null ? 'evaluated tokens' : 'training data',
  };
}

/** The model's own objective; one that was not trained here can only have been trained on pairs. */
function objectiveOf(model: GivenModel, dataset: Dataset): ObjectiveConfig {
  const objective: ObjectiveConfig = model.run?.objective ?? { kind: 'seq2seq' };
  const expected = objective.kind === 'seq2seq' ? 'pairs' : 'text';
  if (dataset.kind === expected) return objective;
  throw new UserError(
    'DATA_MISMATCH',
    `${dataset.directory} holds ${dataset.kind}, expected ${expected}: the model's objective is ${objective.kind}`,
  );
}

function planOf(
  model: GivenModel,
  dataset: Dataset,
  objective: ObjectiveConfig,
  available: number,
  options: Options,
): EvaluationPlan {
  if (available === 0) {
    throw new UserError('DATA_EMPTY', `the ${options.split} part of ${dataset.directory} has no samples`);
  }
  const samplesPerMicroBatch = model.run?.batch.samples ?? DEFAULT_SAMPLES;
  const { padId, endId, maskId, specialIds, vocabularySize } = dataset.manifest;
  const { config } = model;
  assert(vocabularySize <= config.vocabularySize, 'the data and the model have been compared');
  return {
    samples: Math.min(
      available,
      options.limit ?? available,
      (options.batches ?? Infinity) * samplesPerMicroBatch,
    ),
    samplesPerMicroBatch,
    objective,
    tokens: { padId, endId, maskId, specialIds, vocabularySize, startId: config.startId },
    seed: options.seed ?? model.run?.seed ?? 0,
    maxLength: config.maxLength,
  };
}

function textOf(result: Result): string {
  const { loss, unigramLoss } = result;
  const step = result.step === null ? '' : ` (step ${formatCount(result.step)})`;
  const below = unigramLoss - loss;
  return [
    `${result.model}${step} on ${result.data}, ${result.split}, ${result.objective}`,
    `loss        ${loss.toFixed(4)} nats per token`,
    `perplexity  ${result.perplexity.toFixed(2)}`,
    `accuracy    ${(100 * result.accuracy).toFixed(1)} %`,
    `tokens      ${formatCount(result.tokens)} in ${formatCount(result.samples)} samples`,
    `unigram     ${unigramLoss.toFixed(4)} nats, by the token frequencies of the ${result.unigramOf}; the model is ${Math.abs(below).toFixed(4)} ${below >= 0 ? 'below' : 'above'}`,
  ].join('\n');
}
