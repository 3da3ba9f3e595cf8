// `lockstep generate`: writes on from a prompt.

import { randomInt } from 'node:crypto';
import { InvalidArgumentError, type Command } from 'commander';
import type { Tokenizer } from '../data/tokenizer.js';
import type { Generated } from '../model/generate.js';
import type { SamplingOptions } from '../model/sampling-strategies.js';
import { UserError } from '../util/errors.js';
import {
  expectFits,
  expectObjective,
  inBatches,
  inputLines,
  modelCommand,
  readsTerminal,
  withModel,
  type Line,
} from './model-command.js';
import type { ModelOptions, GivenModel } from './model.js';
import { integerArgument, numberArgument } from './options.js';
import { outputOf, type Output } from './output.js';

interface Options extends ModelOptions {
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly greedy?: boolean;
  readonly seed?: number;
  readonly samples: number;
  readonly batch: number;
}

export function register(program: Command): void {
  modelCommand(program, 'generate', 'write on from prompts (a model trained with objective causal)')
    .argument('[prompt...]', 'texts to continue; without any, lines of standard input')
    .option('--max-new-tokens <n>', 'most tokens written', integerArgument(1), 64)
    .option('--temperature <t>', 'sample; below 1 sharper, above 1 more varied', temperatureArgument)
    .option('--top-k <k>', 'sample from the k most probable tokens', integerArgument(1))
    .option('--top-p <p>', 'sample from the most probable tokens that together reach p', shareArgument)
    .option('--greedy', 'always the most probable token (the default without any option for sampling)')
    .option('--seed <n>', 'sample; equal seeds give equal texts (default: a new one)', integerArgument(0))
    .option('--samples <n>', 'texts for each prompt', integerArgument(1, 10_000), 1)
    .option('--batch <n>', 'texts written at a time', integerArgument(1, 4096), 16)
    .action(async (given: string, prompts: string[], options: Options, command: Command) => {
      const output = outputOf(command);
      await withModel(given, options, (model) => generateAll(model, prompts, options, output));
    });
}

function temperatureArgument(value: string): number {
  const parsed = numberArgument(0)(value);
  if (parsed > 0) return parsed;
  throw new InvalidArgumentError('Expected a number above 0 (for the most probable token: --greedy).');
}

function shareArgument(value: string): number {
  const parsed = numberArgument(0, 1)(value);
  if (parsed > 0) return parsed;
  throw new InvalidArgumentError('Expected a number above 0, at most 1.');
}

/** How tokens are chosen: null for greedily. Any option of sampling asks for it. */
function samplingOf(options: Options): SamplingOptions | null {
  const { temperature, topK, topP, seed, samples, greedy } = options;
  const asked = [temperature, topK, topP, seed].some((value) => value !== undefined) || samples > 1;
  if (greedy && asked) {
    const message = '--greedy does not go with --temperature, --top-k, --top-p, --seed or --samples';
    throw new UserError('OPTIONS_CONTRADICT', message);
  }
  if (!asked) return null;
  return { temperature: temperature ?? 1, topK: topK ?? null, topP: topP ?? null };
}

/** What each batch shares. */
interface Plan {
  readonly model: GivenModel;
  readonly tokenizer: Tokenizer;
  readonly sampling: SamplingOptions | null;
  readonly seed: number;
  readonly maxNewTokens: number;
  /** A causal model's text goes on from its prompt; others answer it. */
  readonly continues: boolean;
}

/** One text to be written. */
interface Job {
  readonly line: Line;
  readonly ids: Int32Array;
  /** Among the texts of its prompt, from 0. */
  readonly sample: number;
}

async function generateAll(
  model: GivenModel,
  prompts: readonly string[],
  options: Options,
  output: Output,
): Promise<void> {
  expectObjective(model, ['causal', 'seq2seq']);
  const { maxLength } = model.config;
  if (options.maxNewTokens > maxLength) {
    const message = `--max-new-tokens is ${options.maxNewTokens}, expected at most ${maxLength} (the model's maxLength)`;
    throw new UserError('TOO_MANY_TOKENS', message);
  }
  const plan: Plan = {
    model,
    tokenizer: await model.tokenizer(),
    sampling: samplingOf(options),
    seed: options.seed ?? randomInt(2 ** 32),
    maxNewTokens: options.maxNewTokens,
    continues: model.run?.objective.kind === 'causal',
  };
  if (plan.sampling !== null && options.seed === undefined) output.note(`--seed ${plan.seed}`);
  const size = readsTerminal(prompts) ? options.samples : options.batch;
  let first = 0;
  for await (const jobs of inBatches(jobsOf(plan, prompts, options.samples, output), size)) {
    await generateBatch(plan, jobs, first, output);
    first += jobs.length;
  }
}

async function* jobsOf(
  { model, tokenizer }: Plan,
  prompts: readonly string[],
  samples: number,
  output: Output,
): AsyncGenerator<Job, void, undefined> {
  for await (const line of inputLines(prompts, output)) {
    const ids = await tokenizer.encode(line.text);
    expectFits(line, ids.length + 1, model.config.maxLength);
    for (let sample = 0; sample < samples; sample++) yield { line, ids, sample };
  }
}

/** Writes the texts numbered `first` and on, and prints them. */
async function generateBatch(plan: Plan, jobs: readonly Job[], first: number, output: Output): Promise<void> {
  const { writeOn } = await import('../model/predict.js');
  const { maxNewTokens, sampling, seed } = plan;
  const generated = writeOn(
    plan.model.transformer,
    jobs.map(({ ids }) => ids),
    { maxNewTokens, maskId: plan.tokenizer.maskId, sampling, seed, firstSequence: first },
  );
  for (const [i, job] of jobs.entries()) await printText(plan, job, generated[i]!, output);
}

async function printText(plan: Plan, job: Job, generated: Generated, output: Output): Promise<void> {
  const { tokenizer, continues, sampling, seed } = plan;
  const decode = (ids: readonly number[]): Promise<string> => tokenizer.decode(ids, { skipSpecial: true });
  const text = await decode(continues ? [...job.ids, ...generated.ids] : generated.ids);
  const result = {
    prompt: job.line.text,
    text,
    generated: await decode(generated.ids),
    ids: generated.ids,
    ended: generated.ended,
    logProbability: generated.logProbability,
    ...(sampling === null ? {} : { seed, sample: job.sample }),
  };
  output.result(result, text);
}
