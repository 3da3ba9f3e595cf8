// The Compose file on a Docker engine: the image is built, and whatever happens to the containers, the weights are those of a
// run on one machine. Prometheus and Grafana are left out.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { packageRoot } from '../../src/util/package.js';
import { IS_FULL } from '../chaos/cases.js';
import { hashOfTrained, prepareWords, WORDS_CONFIG } from '../support/small-data.js';
import { until } from '../support/until.js';

const execute = promisify(execFile);

const PROJECT = `lockstep-test-${process.pid}`;
/** Where the Compose file lets the coordinator's pages be seen. */
const PAGES = 'http://127.0.0.1:9464';
const STEPS = 600;
const CONFIG = `${WORDS_CONFIG}
steps: ${STEPS}
checkpoint: { every: 100 }
worker: { threads: 1 }
`;

function missing(): string | false {
  if (!IS_FULL) return 'takes minutes: LOCKSTEP_CHAOS=full npm test -- containers runs it';
  if (spawnSync('docker', ['compose', 'version']).status !== 0) return 'needs docker with Compose 2';
  return spawnSync('docker', ['info']).status !== 0 && 'needs a Docker engine that runs';
}

describe('in containers', { skip: missing() }, () => {
  let folder = '';

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lockstep-containers-'));
    await chmod(folder, 0o755); // containers read it as another user
    await writeFile(path.join(folder, 'run.yaml'), CONFIG);
    await prepareWords(folder);
  });

  after(async () => {
    await compose('down', '--volumes').catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  });

  async function docker(...args: string[]): Promise<string> {
    const env = { ...process.env, LOCKSTEP_WORK: folder, LOCKSTEP_CONFIG: 'run.yaml' };
    const { stdout } = await execute('docker', args, { env, maxBuffer: 2 ** 26 });
    return stdout.trim();
  }

  function compose(...args: string[]): Promise<string> {
    return docker('compose', '-f', `${packageRoot}deploy/compose.yaml`, '-p', PROJECT, ...args);
  }

  const logs = (): Promise<string> => compose('logs', '--no-color');

  /** One line a container, by a format of `docker inspect`. */
  async function inspect(format: string, ...services: string[]): Promise<string[]> {
    const ids = await compose('ps', '--all', '--quiet', ...services);
    return (await docker('inspect', '--format', format, ...ids.split('\n'))).split('\n');
  }

  function startWorkers(): Promise<string> {
    return compose('up', '--detach', '--scale', 'worker=2', 'coordinator', 'worker');
  }

  /** Resolves to how far the run is, once that is further than `step`. */
  function stepAfter(step: number): Promise<number> {
    const probe = async (): Promise<number | false> => {
      const metrics = await fetch(`${PAGES}/metrics`).then((response) => response.text(), String);
      const found = Number(/^lockstep_parameter_version\{.*\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
      return found > step && found;
    };
    return until(`a step after ${step}`, probe, logs);
  }

  test('the coordinator becomes healthy, shows its page and has no rights', async () => {
    await compose('up', '--build', '--detach', 'coordinator');
    const isHealthy = async (): Promise<boolean> =>
      (await inspect('{{.State.Health.Status}}', 'coordinator'))[0] === 'healthy';
    await until('a healthy coordinator', isHealthy, logs);
    for (const file of ['/', '/page/page.js', '/src/util/format.js', '/node_modules/uplot/dist/uPlot.esm.js'])
      assert.equal((await fetch(PAGES + file)).status, 200, file);
    const look = 'id -un; grep -E "CapBnd|NoNewPrivs" /proc/1/status; touch /lockstep/x x';
    const seen = await compose('exec', '-T', 'coordinator', 'sh', '-c', `${look} 2>&1; true`);
    assert.match(seen, /^node\nCapBnd:\s+0+\nNoNewPrivs:\s+1\n/);
    assert.equal(seen.match(/Read-only file system/g)?.length, 2, seen);
  });

  test('workers that are killed, and a stop of all, change no bit', async () => {
    await startWorkers();
    const killedAfter = await stepAfter(5);
    await compose('kill', 'worker');
    await startWorkers();
    await stepAfter(killedAfter + 2);
    await compose('stop');
    assert.match(await logs(), /\(key worker\) on \w+ joined[^]*Stopped after step \d+, saved/);

    await startWorkers();
    const ends = (service: string): Promise<string[]> =>
      inspect('{{.State.Status}} {{.State.ExitCode}}', service);
    const haveEnded = async (): Promise<boolean> =>
      (await ends('worker')).every((state) => state === 'exited 0');
    await until('the end of all workers', haveEnded, logs);
    assert.equal((await fetch(`${PAGES}/readyz`)).status, 200);
    await compose('stop', 'coordinator');
    assert.deepEqual(await ends('coordinator'), ['exited 0']);
    const run = path.join(folder, 'run');
    await mkdir(run);
    await compose('cp', 'coordinator:/runs/run/checkpoints', path.join(run, 'checkpoints'));
    assert.equal(await hashOfTrained(run, STEPS), await trainHere(folder));
  });
});

async function trainHere(folder: string): Promise<string> {
  const run = path.join(folder, 'here');
  const args = ['train', path.join(folder, 'run.yaml'), '--run', run, '--workers', '1'];
  const training = new LockstepProcess(args, { cwd: folder });
  assert.equal(await training.exit(), 0, training.text());
  return hashOfTrained(run, STEPS);
}
