// `lockstep score`: log-probabilities of given targets. JSON lines in, JSON lines out, in the same order.

import type { Command } from 'commander';
import type { Tokenizer } from '../data/tokenizer.js';
import type { Pair } from '../model/score.js';
import type { ScoreRequest } from './score-request.js';
import { encodeMasked, fileLines, inBatches, modelCommand, withModel } from './model-command.js';
import type { ModelOptions, GivenModel } from './model.js';
import { integerArgument } from './options.js';
import { outputOf, type Output } from './output.js';

interface Options extends ModelOptions {
  readonly batch: number;
}

export function register(program: Command): void {
  modelCommand(program, 'score', 'compute log-probabilities of given targets')
    .argument(
      '[file]',
      'JSON lines, {"source", "target"} or {"sourceIds", "targetIds"}; -: standard input',
      '-',
    )
    .option('--batch <n>', 'pairs computed at a time', integerArgument(1, 4096), 16)
    .addHelpText(
      'after',
      `
Texts get the end tokens that training gave them. Ids are taken as they are: a source should end with the end
token, and so should a target unless it is an unfinished one. Each line out holds
  line               of the input, from 1
  targetIds          what was scored
  logProbabilities   log p(token | source, tokens before it) of each, in nats
  logProbability     their sum`,
    )
    .action(async (given: string, file: string, options: Options, command: Command) => {
      const output = outputOf(command);
      await withModel(given, options, (model) => scoreFile(model, file, options, output));
    });
}

interface NumberedPair extends Pair {
  readonly line: number;
}

async function scoreFile(model: GivenModel, file: string, options: Options, output: Output): Promise<void> {
  const { scorePairs } = await import('../model/score.js');
  for await (const pairs of inBatches(pairsOf(model, file), options.batch)) {
    const scores = scorePairs(model.transformer, pairs);
    pairs.forEach(({ line, target }, i) => {
      const logProbabilities = Array.from(scores[i]!);
      const logProbability = logProbabilities.reduce((sum, value) => sum + value, 0);
      const result = { line, targetIds: Array.from(target), logProbabilities, logProbability };
      output.result(result, JSON.stringify(result));
    });
  }
}

/** The file's pairs as ids; blank lines are skipped. */
async function* pairsOf(model: GivenModel, file: string): AsyncGenerator<NumberedPair, void, undefined> {
  const { checkIds, parseScoreRequest } = await import('./score-request.js');
  const where = file === '-' ? 'standard input' : file;
  let tokenizer: Tokenizer | null = null;
  let line = 0;
  for await (const text of fileLines(file)) {
    line++;
    if (text.trim() === '') continue;
    const request = parseScoreRequest(text, where, line);
    if (request.kind === 'text') tokenizer ??= await model.tokenizer();
    const pair = await pairOf(request, model, tokenizer);
    checkIds('source', pair.source, model.config, where, line);
    checkIds('target', pair.target, model.config, where, line);
    yield { ...pair, line };
  }
}

/** `tokenizer` is needed for a text only. */
async function pairOf(request: ScoreRequest, model: GivenModel, tokenizer: Tokenizer | null): Promise<Pair> {
  if (request.kind === 'ids') return { source: request.sourceIds, target: request.targetIds };
  const { endId } = model.config;
  const objective = model.run?.objective.kind ?? 'seq2seq';
  const source =
    objective === 'masked'
      ? await encodeMasked(tokenizer!, request.source)
      : await tokenizer!.encode(request.source);
  const target = await tokenizer!.encode(request.target);
  // Only a translation is trained to end.
  return { source: [...source, endId], target: objective === 'seq2seq' ? [...target, endId] : [...target] };
}
