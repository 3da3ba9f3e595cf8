// The promise: the trained weights and the optimiser's state are the same bits whatever happened on the way.
// Real processes and sockets; the oracle is the SHA-256 of the last checkpoint's tensors.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { prepare } from '../../src/data/prepare.js';
import { Lockstep } from './processes.js';

const STEPS = 12;
const LAST = path.join('checkpoints', `step-${STEPS}`);

// Six micro-batches (no power of two), dropout, and enough parameters for four chunks and as many reducers.
const CONFIG = `
data: ./data
model: { width: 128, heads: 4, feedForward: 256, encoderLayers: 1, decoderLayers: 1, maxLength: 32, norm: pre }
objective: { kind: masked, rate: 0.3 }
window: 24
batch: { microBatches: 6, samples: 4 }
optimizer: { learningRate: 0.003, schedule: { kind: constant, warmupSteps: 3 } }
steps: ${STEPS}
evaluate: { every: 6, batches: 3 }
checkpoint: { every: 4 }
worker: { threads: 1 }
heartbeat: { intervalMs: 200, timeoutMs: 3000 }
`;

let folder = '';
let runs = 0;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lockstep-bits-'));
  const words = Array.from(
    { length: 20_000 },
    (_, i) => `w${(i * i + 7 * i) % 701}${i % 11 === 0 ? '.' : ''}`,
  );
  await writeFile(path.join(folder, 'text.txt'), words.join(' '));
  await prepare({
    inputs: [path.join(folder, 'text.txt')],
    out: path.join(folder, 'data'),
    vocabularySize: 3000,
    validationShare: 0.2,
  });
});

after(() => rm(folder, { recursive: true, force: true }));

for (const format of ['float32', 'bfloat16']) {
  describe(`in ${format}, products and wire, the last checkpoint is the same bits`, () => {
    let reference: Run;
    let undisturbed = '';

    before(async () => {
      reference = await newRun(format);
      assert.equal(await train(reference, ['--workers', '1']).exit(), 0);
      undisturbed = await hashes(reference);
    });

    async function assertSameBits(run: Run): Promise<void> {
      assert.equal(await hashes(run), undisturbed);
    }

    test('and its validation loss is what eval finds', async () => {
      const state = await readFile(path.join(reference.directory, LAST, 'state.json'), 'utf8');
      const { validationLoss } = JSON.parse(state) as { validationLoss: number };
      const evaluation = new Lockstep(['eval', reference.directory, '--batches', '3', '--json'], {
        cwd: folder,
      });
      assert.equal(await evaluation.exit(), 0, evaluation.text());
      assert.equal(evaluation.lines.find((line) => 'loss' in line)?.['loss'], validationLoss);
    });

    test('for 3 workers', async () => {
      const run = await newRun(format);
      assert.equal(await train(run, ['--workers', '3']).exit(), 0);
      await assertSameBits(run);
    });

    test('for another number of threads and of reducers', async () => {
      const run = await newRun(format);
      assert.equal(
        await train(run, ['--workers', '2', '--set', 'worker.threads=2', '--set', 'reducers=3']).exit(),
        0,
      );
      await assertSameBits(run);
    });

    test('when a worker is killed in a step, then all others, and another joins later', async () => {
      const run = await newRun(format);
      const coordinator = run.start('coordinator', ['--bind', 'tcp://127.0.0.1:*']);
      const { url } = await coordinator.line('it listens', ({ msg }) => msg === 'coordinator listening');
      const join = (name: string): Lockstep =>
        new Lockstep(['worker', String(url), '--name', name], { cwd: folder });
      const [a, ...others] = ['a', 'b', 'c'].map(join);
      await coordinator.line('a lease for a', isLease(2, 'a'));
      a!.kill('SIGKILL');
      await coordinator.line('that a has left', ({ msg }) => msg.startsWith('a on ') && msg.includes('left'));
      await coordinator.line('a lease of step 5', isLease(5));
      for (const worker of others) worker.kill('SIGKILL');
      const late = join('d');
      for (const worker of [a!, ...others]) assert.equal(await worker.exit(), 'SIGKILL');
      for (const process of [late, coordinator]) assert.equal(await process.exit(), 0, process.text());
      await assertSameBits(run);
    });

    test('when the coordinator is killed in a step and the command is run again', async () => {
      const run = await newRun(format);
      const first = train(run, ['--workers', '2']);
      await first.line('a lease of step 6', isLease(6));
      first.kill('SIGKILL');
      assert.equal(await first.exit(), 'SIGKILL');
      assert.equal(await train(run, ['--workers', '2']).exit(), 0);
      await assertSameBits(run);
    });

    test('when Ctrl-C stops the run and the command is run again', async () => {
      const run = await newRun(format);
      const first = train(run, ['--workers', '2']);
      await first.line('a lease of step 5', isLease(5));
      first.kill('SIGINT');
      assert.equal(await first.exit(), 130, first.text());
      const second = train(run, ['--workers', '1']);
      assert.equal(await second.exit(), 0, second.text());
      const resumed = await second.line('where it goes on', ({ msg }) => msg.includes('going on from step'));
      assert.doesNotMatch(resumed.msg, /step [04]\b/); // the step that Ctrl-C found was finished and saved
      await assertSameBits(run);
    });
  });
}

interface Run {
  readonly directory: string;
  start(command: string, args?: readonly string[]): Lockstep;
}

async function newRun(format: string): Promise<Run> {
  const name = `run-${++runs}`;
  const config = path.join(folder, `${name}.yaml`);
  const directory = path.join(folder, name);
  await writeFile(config, `${CONFIG}wire: ${format}\nprecision: ${format}\nemulate: true\n`);
  const start = (command: string, args: readonly string[] = []): Lockstep =>
    new Lockstep([command, config, '--run', directory, '--log-level', 'debug', ...args], { cwd: folder });
  return { directory, start };
}

function train(run: Run, args: readonly string[]): Lockstep {
  return run.start('train', args);
}

function isLease(fromStep: number, worker?: string): (line: Lockstep['lines'][number]) => boolean {
  return (line) =>
    line.msg === 'lease' &&
    Number(line['step']) >= fromStep &&
    (worker === undefined || line['worker'] === worker);
}

async function hashes(run: Run): Promise<string> {
  const sums = ['model', 'optimizer'].map(async (name) => {
    const bytes = await readFile(path.join(run.directory, LAST, `${name}.safetensors`));
    return createHash('sha256').update(bytes).digest('hex');
  });
  return (await Promise.all(sums)).join(' ');
}
