// The batch script on a real Slurm: whatever Slurm does to the job, the weights are those of a run on one machine.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { packageRoot } from '../../src/util/package.js';
import { hashOfTrained, prepareWords, WORDS_CONFIG } from '../support/small-data.js';
import { until } from '../support/until.js';
import { kill, missingForSlurm, SlurmCluster } from './slurm-cluster.js';

const STEPS = 8;
const HOUR_SECONDS = 3600;
/** Steps long enough to be seen, and for the third worker to come, before all are done. */
const SLOWLY = ['--', '--fault', 'sleep:300'];

// Workers are held by SIGSTOP for longer than a worker may be silent by default.
const CONFIG = `${WORDS_CONFIG}
steps: ${STEPS}
checkpoint: { every: 100 }
heartbeat: { intervalMs: 1000, timeoutMs: 600000 }
`;

describe('on Slurm', { skip: missingForSlurm() }, () => {
  let folder = '';
  let cluster: SlurmCluster;
  let references: Promise<string[]>;
  let held: Promise<HeldJob>;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lockstep-slurm-'));
    const data = { words: 5000, distinctWords: 401, vocabularySize: 1000, validationShare: 0.2 };
    await prepareWords(folder, data);
    references = Promise.all(['1', '2'].map((seed) => trainHere(folder, seed)));
    references.catch(() => undefined);
    await mkdir(path.join(folder, 'cluster'));
    cluster = await SlurmCluster.start(path.join(folder, 'cluster'));
    // Slurm looks at time limits twice a minute: this job waits for that while the others run.
    held = submit('timed', ['--nodes=1', `--signal=B:USR1@${HOUR_SECONDS}`], SLOWLY).then(async (job) => {
      const held = await holdAfterStep2(job, 'n1-0');
      await limitTime(job.id, HOUR_SECONDS / 60 - 1);
      return held;
    });
    held.catch(() => undefined);
  });

  after(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  interface Job {
    readonly id: string;
    readonly output: () => string;
    readonly run: string;
  }

  interface HeldJob extends Job {
    readonly release: () => void;
  }

  async function sbatch(
    config: string,
    options: readonly string[],
    args: readonly string[],
  ): Promise<string> {
    const script = path.join(packageRoot, 'deploy/slurm/lockstep.sbatch');
    const all = [...options, '--parsable', '--cpus-per-task=1', script, path.join(folder, config)];
    const env = { LOCKSTEP_HOME: packageRoot };
    const printed = await cluster.call('sbatch', [...all, '--log-level', 'info', ...args], env);
    return printed.trim();
  }

  async function submit(
    name: string,
    options: readonly string[],
    args: readonly string[] = [],
  ): Promise<Job> {
    await writeFile(path.join(folder, `${name}.yaml`), CONFIG);
    const id = await sbatch(`${name}.yaml`, options, args);
    return { id, run: path.join(cluster.folder, 'runs', name), output: () => outputOf(id) };
  }

  function outputOf(id: string): string {
    const file = path.join(cluster.folder, `lockstep-${id}.out`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Stops the workers' processes once two steps are made and `worker` takes part, so that what happens next meets an unfinished step. */
  async function holdAfterStep2(job: Job, worker: string): Promise<HeldJob> {
    const metrics = path.join(job.run, 'metrics.jsonl');
    await until(
      `two steps, and ${worker}`,
      () =>
        existsSync(metrics) &&
        /"version":2\b/.test(readFileSync(metrics, 'utf8')) &&
        job.output().includes(`${worker} (key worker) on`),
      () => job.output() + cluster.logs(),
    );
    const workers = cluster.processes(
      (environment, command) =>
        environment.includes(`SLURM_JOB_ID=${job.id}\0`) && command.includes('main.js\0worker'),
    );
    for (const pid of workers) kill(pid, 'SIGSTOP');
    return { ...job, release: () => workers.forEach((pid) => kill(pid, 'SIGCONT')) };
  }

  async function limitTime(id: string, minutes: number): Promise<void> {
    await cluster.call('scontrol', ['update', `JobId=${id}`, `TimeLimit=${minutes}`]);
  }

  async function fieldOf(id: string, field: string): Promise<string> {
    const text = await cluster.call('scontrol', ['show', 'job', id]);
    return new RegExp(`\\b${field}=(\\S+)`).exec(text)![1]!;
  }

  async function isOver(id: string): Promise<string | false> {
    const state = await fieldOf(id, 'JobState');
    return !['PENDING', 'CONFIGURING', 'RUNNING', 'COMPLETING', 'REQUEUED'].includes(state) && state;
  }

  async function completion(id: string): Promise<void> {
    const state = await until(
      `the end of job ${id}`,
      () => isOver(id),
      () => outputOf(id) + cluster.logs(),
    );
    assert.equal(state, 'COMPLETED', outputOf(id) + cluster.logs());
  }

  test('a job array trains a run for each task, with the bits of local runs', async () => {
    await writeFile(path.join(folder, 'array.yaml'), CONFIG);
    const id = await sbatch(
      'array.yaml',
      ['--nodes=1', '--array=1-2'],
      ['--set', 'seed=%a', '--', '--http', '0'],
    );
    for (const task of ['1', '2']) await completion(`${id}_${task}`);
    const runs = ['1', '2'].map((task) => path.join(cluster.folder, 'runs', `array-${id}_${task}`));
    assert.deepEqual(await Promise.all(runs.map((run) => hashOfTrained(run, STEPS))), await references);
  });

  test('with --no-kill a node that is set down takes its worker along, and no bit changes', async () => {
    const submitted = await submit('down', ['--nodes=3', '--no-kill'], SLOWLY);
    const job = await holdAfterStep2(submitted, 'n3-0');
    await cluster.call('scontrol', ['update', 'NodeName=n3', 'State=DOWN', 'Reason=test']);
    await until(
      'the coordinator to miss n3',
      () => /n3-0 \(key worker\) on \S+ left/.test(job.output()),
      () => job.output() + cluster.logs(),
    );
    job.release();
    await completion(job.id);
    await cluster.call('scontrol', ['update', 'NodeName=n3', 'State=RESUME']);
    assert.equal(await fieldOf(job.id, 'Restarts'), '0');
    assert.equal(await hashOfTrained(job.run, STEPS), (await references)[0]);
  });

  test('a job whose time is nearly over saves, is queued again and ends with the same bits', async () => {
    const job = await held;
    await until(
      'the signal before the time limit',
      () => job.output().includes('Finishing the step'),
      () => job.output() + cluster.logs(),
    );
    await limitTime(job.id, (10 * HOUR_SECONDS) / 60);
    job.release();
    await completion(job.id);
    assert.equal(await fieldOf(job.id, 'Restarts'), '1');
    assert.match(job.output(), /Stopped after step (\d), saved[^]*going on from step \1/);
    assert.equal(await hashOfTrained(job.run, STEPS), (await references)[0]);
  });

  test('a job whose first node dies is queued again and ends with the same bits', async () => {
    const job = await holdAfterStep2(await submit('first', ['--nodes=2', '--exclude=n3'], SLOWLY), 'n2-0');
    await cluster.loseNode('n1');
    await cluster.startNode('n1');
    await completion(job.id);
    assert.equal(await fieldOf(job.id, 'Restarts'), '1');
    assert.equal(await hashOfTrained(job.run, STEPS), (await references)[0]);
    const keys = (await readdir(job.run)).filter((name) => name.startsWith('keys-'));
    assert.deepEqual(keys, []);
  });

  test('a job whose workers all fail ends, says so, and is not queued again', async () => {
    const job = await submit('broken', ['--nodes=1'], ['--', '--no-such-option']);
    const state = await until(
      'its end',
      () => isOver(job.id),
      () => job.output() + cluster.logs(),
    );
    assert.equal(state, 'FAILED', job.output());
    assert.match(job.output(), /unknown option '--no-such-option'[^]*error: every worker has ended/);
    assert.equal(await fieldOf(job.id, 'Restarts'), '0');
  });
});

/** The hash of what a local run has trained. */
async function trainHere(folder: string, seed: string): Promise<string> {
  const config = path.join(folder, `here-${seed}.yaml`);
  await writeFile(config, CONFIG);
  const run = path.join(folder, `here-${seed}`);
  const training = new LockstepProcess(
    ['train', config, '--run', run, '--workers', '1', '--set', `seed=${seed}`],
    {
      cwd: folder,
    },
  );
  assert.equal(await training.exit(), 0, training.text());
  return hashOfTrained(run, STEPS);
}
