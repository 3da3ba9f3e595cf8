// `lockstep prepare`: turns text, or pairs of sentences, into a data set to train on.

import path from 'node:path';
import { type Command, Option } from 'commander';
import { HELD_OUT_BLOCK_BYTES, leastShare, PAIR_BLOCK_BYTES } from '../data/held-out.js';
import { PREPARE_DEFAULTS, type PrepareOptions } from '../data/prepare-options.js';
import type { PrepareProgress, PrepareSummary } from '../data/prepare.js';
import { integerArgument, numberArgument, repeatableOption } from './options.js';
import { Interrupted, outputOf, type Output } from './output.js';
import { counted, formatBytes, formatCount } from '../util/format.js';
import { packageRoot } from '../util/package.js';
import { commandLine } from './command-line.js';
import { createProgress, type Progress } from './progress.js';

interface Flags {
  readonly out: string;
  readonly pairs?: boolean;
  readonly vocabulary?: number;
  readonly special: readonly string[];
  readonly tokenizer?: string;
  readonly padToken?: string;
  readonly endToken?: string;
  readonly maskToken?: string;
  readonly validation?: number;
  readonly field?: string;
  readonly threads?: number;
  readonly maxMalformed?: number;
  readonly force?: boolean;
}

export function register(program: Command): void {
  const defaults = PREPARE_DEFAULTS;
  program
    .command('prepare')
    .argument(
      '<input...>',
      'files, folders and patterns: .txt, .jsonl, with --pairs .tsv, .jsonl; each also as .gz',
    )
    .requiredOption('--out <dir>', 'the folder to make')
    .option('--pairs', 'the input is pairs: two columns, or the fields "source" and "target"')
    .option(
      '--vocabulary <n>',
      `tokens of the new tokenizer (default: ${defaults.vocabularySize})`,
      integerArgument(1),
    )
    .addOption(repeatableOption('--special <token>', 'another special token of the new tokenizer'))
    .option('--tokenizer <file>', 'use this Hugging Face tokenizer.json instead of a new tokenizer')
    .addOption(new Option('--pad-token <token>', 'what that tokenizer calls its pad token'))
    .addOption(new Option('--end-token <token>', 'what it calls its end token'))
    .addOption(new Option('--mask-token <token>', 'what it calls its mask token'))
    .option(
      '--validation <share>',
      `share held out (default: ${defaults.validationShare})`,
      numberArgument(0, 0.5),
    )
    .option('--field <name>', `field of a .jsonl line that holds its text (default: ${defaults.field})`)
    .option('--threads <n>', 'threads (default: one for each core)', integerArgument(1, 1024))
    .option(
      '--max-malformed <share>',
      `share of lines that may be malformed (default: ${defaults.maxMalformedShare})`,
      numberArgument(0, 1),
    )
    .option('--force', 'replace the folder with all its files even if it is no data set')
    .description('make a data set of text or pairs: tokenizer, token shards, validation part')
    .action(async (inputs: string[], flags: Flags, command: Command) => {
      const output = outputOf(command);
      const summary = await prepareInterruptibly(optionsOf(inputs, flags));
      for (const { path, line, problem } of summary.firstMalformed)
        output.note(`left out ${path}:${line}: ${problem}`);
      reportDataset(output, summary, flags.validation);
      if (!output.json) output.note(await nextStep(summary));
    });
}

function optionsOf(inputs: readonly string[], flags: Flags): PrepareOptions {
  const { padToken: pad, endToken: end, maskToken: mask } = flags;
  const given = <Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } =>
    value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });
  return {
    inputs,
    out: flags.out,
    specialTokens: flags.special,
    tokenNames: { ...given('pad', pad), ...given('end', end), ...given('mask', mask) },
    ...given('pairs', flags.pairs),
    ...given('vocabularySize', flags.vocabulary),
    ...given('tokenizer', flags.tokenizer),
    ...given('validationShare', flags.validation),
    ...given('field', flags.field),
    ...given('threads', flags.threads),
    ...given('maxMalformedShare', flags.maxMalformed),
    ...given('force', flags.force),
  };
}

/** Ctrl-C removes what was written so far; a second one ends the process at once. */
export async function prepareInterruptibly(options: PrepareOptions): Promise<PrepareSummary> {
  const { prepare } = await import('../data/prepare.js');
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new Interrupted('interrupted: nothing was written'));
  process.once('SIGINT', interrupt);
  const display = new PhaseDisplay();
  try {
    return await prepare({ ...options, signal: controller.signal }, (progress) => display.update(progress));
  } finally {
    display.close();
    process.removeListener('SIGINT', interrupt);
  }
}

const PHASES = {
  count: { label: 'counting words', unit: 'MB', scale: 1e6 },
  'train-tokenizer': { label: 'tokenizer', unit: 'tokens', scale: 1 },
  encode: { label: 'encoding', unit: 'MB', scale: 1e6 },
} as const;

/** One line of progress for each phase. */
class PhaseDisplay {
  private phase: PrepareProgress['phase'] | null = null;
  private line: Progress | null = null;

  update({ phase, done, total }: PrepareProgress): void {
    const { label, unit, scale } = PHASES[phase];
    if (phase !== this.phase) {
      this.close();
      this.phase = phase;
      this.line = createProgress(process.stderr, { label, unit, total: tenths(total / scale) });
    }
    this.line!.update(tenths(done / scale));
  }

  close(): void {
    this.line?.close();
    this.line = null;
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

function whyNoneIsHeldOut({ kind, input }: PrepareSummary, share: number | undefined): string {
  if (share === 0) return '--validation 0';
  const blockBytes = kind === 'pairs' ? PAIR_BLOCK_BYTES : HELD_OUT_BLOCK_BYTES;
  const least = leastShare(input.bytes, blockBytes);
  if (least === null) return `the input is too short, since ${formatBytes(blockBytes)} in a row are held out`;
  return `the input is short for the share asked for; try --validation ${least}`;
}

/** @param share the one asked for; undefined: the default */
export function reportDataset(output: Output, summary: PrepareSummary, share?: number): void {
  const { train, validation, unigramNats, input, kind } = summary;
  const part = (name: string, { tokens, documents }: PrepareSummary['train']): string =>
    `${name}  ${formatCount(tokens)} tokens${kind === 'pairs' ? ` in ${formatCount(documents)} pairs` : ''}`;
  const lines = [
    `${summary.directory}: ${formatBytes(input.bytes)} of ${counted(input.files, 'file')}, ${formatCount(summary.vocabularySize)} different tokens`,
    part('training  ', train),
    part('validation', validation),
  ];
  if (unigramNats !== null)
    lines.push(`unigram baseline of the validation part: ${unigramNats.toFixed(3)} nats per token`);
  else lines.push(`nothing is held out, so nothing will be evaluated: ${whyNoneIsHeldOut(summary, share)}`);
  if (input.malformed > 0)
    lines.push(`left out: ${input.malformed} malformed lines of ${formatCount(input.lines)}`);
  if (summary.replaced)
    lines.push(
      'another data set was there, and is gone: runs that were trained on it cannot go on with this one',
    );
  output.result(summary, lines.join('\n'));
}

/** How to train on the data set, with an example as it is. */
async function nextStep({ directory, kind }: PrepareSummary): Promise<string> {
  const { overrideText } = await import('../config/overrides.js');
  const [example, what] =
    kind === 'pairs'
      ? ['translation-small.yaml', "a small model, for a first impression; translation.yaml is the paper's"]
      : ['quickstart.yaml', 'a small model, for a first impression'];
  const name = path
    .basename(path.resolve(directory))
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  const config = path.relative('', path.join(packageRoot, 'examples', example));
  const sets = [overrideText('data', directory), overrideText('name', name || 'first')];
  const command = commandLine(['train', config, ...sets.flatMap((text) => ['--set', text])]);
  return `\nTo train on it (${what}):\n  ${command}`;
}
