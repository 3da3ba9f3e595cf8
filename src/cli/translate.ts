// `lockstep translate`: the most probable targets of sources, one line in, one line out.

import type { Command } from 'commander';
import type { Tokenizer } from '../data/tokenizer.js';
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
  readonly beam: number;
  readonly greedy?: boolean;
  readonly lengthPenalty: number;
  readonly nBest: number;
  readonly maxNewTokens?: number;
  readonly batch: number;
}

export function register(program: Command): void {
  modelCommand(program, 'translate', 'translate texts (a model trained with objective seq2seq)')
    .argument('[text...]', 'texts to translate; without any, lines of standard input')
    .option('--beam <n>', 'width of the beam search; 1 is greedy', integerArgument(1, 1000), 4)
    .option('--greedy', 'the same as --beam 1')
    .option('--length-penalty <a>', 'above 0 prefers longer outputs', numberArgument(0), 0.6)
    .option('--n-best <n>', 'outputs for each text, at most the width', integerArgument(1, 1000), 1)
    .option('--max-new-tokens <n>', "most tokens (default: the source's + 50)", integerArgument(1))
    .option('--batch <n>', 'texts translated at a time', integerArgument(1, 4096), 16)
    .action(async (given: string, texts: string[], options: Options, command: Command) => {
      const output = outputOf(command);
      await withModel(given, options, (model) => translateAll(model, texts, options, output));
    });
}

interface Source {
  readonly line: Line;
  /** null for a line without text, which is answered with one. */
  readonly ids: Int32Array | null;
}

async function translateAll(
  model: GivenModel,
  texts: readonly string[],
  options: Options,
  output: Output,
): Promise<void> {
  expectObjective(model, ['seq2seq']);
  const width = options.greedy ? 1 : options.beam;
  if (options.nBest > width) {
    const message = `--n-best is ${options.nBest}, expected at most the width of the beam, ${width}`;
    throw new UserError('OPTIONS_CONTRADICT', message);
  }
  const tokenizer = await model.tokenizer();
  const size = readsTerminal(texts) ? 1 : options.batch;
  for await (const sources of inBatches(sourcesOf(model, tokenizer, texts, output), size)) {
    await translateBatch(model, tokenizer, sources, { ...options, beam: width }, output);
  }
}

async function* sourcesOf(
  model: GivenModel,
  tokenizer: Tokenizer,
  texts: readonly string[],
  output: Output,
): AsyncGenerator<Source, void, undefined> {
  for await (const line of inputLines(texts, output)) {
    const ids = await tokenizer.encode(line.text);
    expectFits(line, ids.length + 1, model.config.maxLength);
    const isEmpty = line.text.trim() === '';
    yield { line, ids: isEmpty ? null : ids };
  }
}

async function translateBatch(
  model: GivenModel,
  tokenizer: Tokenizer,
  sources: readonly Source[],
  options: Options,
  output: Output,
): Promise<void> {
  const { translate } = await import('../model/predict.js');
  const texts = sources.flatMap(({ ids }) => (ids === null ? [] : [ids]));
  const { beam: beams, lengthPenalty, maxNewTokens = null } = options;
  const found = translate(model.transformer, texts, {
    beams,
    lengthPenalty,
    maxNewTokens,
    maskId: tokenizer.maskId,
  });
  for (const { line, ids } of sources) {
    const hypotheses = ids === null ? [] : found.shift()!;
    const shown = await Promise.all(
      hypotheses.slice(0, options.nBest).map(async (hypothesis) => ({
        text: await tokenizer.decode(hypothesis.ids, { skipSpecial: true }),
        score: hypothesis.score,
        logProbability: hypothesis.logProbability,
        ended: hypothesis.ended,
      })),
    );
    const best = shown[0]?.text ?? '';
    const list = shown.map(({ text, score }) => `${score.toFixed(4)}\t${text}`).join('\n');
    const result = { source: line.text, translation: best, hypotheses: shown };
    output.result(result, options.nBest === 1 ? best : list);
  }
}
