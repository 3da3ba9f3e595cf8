// Progress as Kubeflow Trainer takes it: against an HTTPS server whose certificate only its own file vouches for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { KubeflowTrainer, kubeflowServer, trainerStatus } from '../../src/live/kubeflow-trainer.js';
import { emptyView, fold, type RunView } from '../../src/live/run-view.js';
import { committed, evaluated, runStarted } from '../metrics/events.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const missing = spawnSync('openssl', ['version']).error && 'needs openssl: apt-get install openssl';
const skip = missing ?? false;

/** The body of a post, by the schema of TrainJob's status. */
const postSchema = z.strictObject({
  trainerStatus: z.strictObject({
    progressPercentage: z.int32().min(0).max(100),
    estimatedRemainingSeconds: z.int32().min(0).optional(),
    metrics: z
      .array(z.strictObject({ name: z.string().min(1).max(64), value: z.string().min(1).max(64) }))
      .max(256),
    lastUpdatedTime: z.iso.datetime(),
  }),
});
type Status = z.infer<typeof postSchema>['trainerStatus'];

interface Server {
  readonly env: NodeJS.ProcessEnv;
  readonly posts: readonly {
    readonly status: Status;
    readonly token: string | undefined;
    readonly at: number;
  }[];
  /** What it answers; 200 unless set. */
  answer: number;
  /** Settles with the next post. */
  next(): Promise<unknown>;
}

async function serve(t: TestContext): Promise<Server> {
  const folder = await temporaryDirectory(t);
  const [key, ca, token] = ['key.pem', 'ca.crt', 'token'].map((name) => path.join(folder, name));
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=trainer', '-days', '1'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key!, '-out', ca!],
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  writeFileSync(token!, 'first\n');
  const posts: Server['posts'][number][] = [];
  const server = createServer({ key: readFileSync(key!), cert: readFileSync(ca!) });
  const kubeflow: Server = {
    env: { KUBEFLOW_TRAINER_SERVER_CA_CERT: ca, KUBEFLOW_TRAINER_SERVER_TOKEN: token },
    posts,
    answer: 200,
    next: () => once(server, 'posted'),
  };
  server.on('request', (request, response) => {
    void (async () => {
      let text = '';
      for await (const piece of request) text += String(piece);
      const { trainerStatus: status } = postSchema.parse(JSON.parse(text));
      posts.push({ status, token: request.headers.authorization, at: performance.now() });
      response.writeHead(kubeflow.answer).end('{}');
      server.emit('posted');
    })();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  kubeflow.env['KUBEFLOW_TRAINER_SERVER_URL'] = `https://127.0.0.1:${port}/trainjobs/moby/status`;
  return kubeflow;
}

/** A run that a tracker watches. */
function watch(env: NodeJS.ProcessEnv, intervalMs: number) {
  let view: RunView = emptyView;
  const told: string[] = [];
  const onFailure = (message: string): void => void told.push(message);
  const trainer = new KubeflowTrainer({ ...kubeflowServer(env)!, view: () => view, onFailure, intervalMs });
  const happens = (event: Parameters<typeof trainer.on>[0], time: number): void => {
    view = fold(view, { ...event, time });
    trainer.on(event);
  };
  happens(runStarted, 0);
  return { trainer, told, happens };
}

test('progress is percent, seconds left, and the newest numbers as texts', () => {
  let view = fold(emptyView, { ...runStarted, time: 0 });
  for (const step of [0, 1, 2]) view = fold(view, { ...committed(step), time: 2 * step });
  view = fold(view, { ...evaluated(3), time: 6 });
  const status = trainerStatus({ ...view, learningRate: NaN }, 1);
  assert.deepEqual([status.progressPercentage, status.estimatedRemainingSeconds], [3, 2 * 97]);
  assert.deepEqual(Object.fromEntries(status.metrics.map(({ name, value }) => [name, value])), {
    'train/loss': '2.5',
    'train/gradient_norm': '1.5',
    'speed/tokens_per_second': '2000',
    'validation/loss': '3',
    'validation/accuracy': '0.5',
  });
  assert.equal(status.lastUpdatedTime, '1970-01-01T00:00:01.000Z');
});

test('a run outside of Kubeflow posts nothing', () => {
  assert.equal(kubeflowServer({}), null);
});

test(
  'posts keep their distance and carry the token as it is then; the last comes always',
  { skip },
  async (t) => {
    const server = await serve(t);
    const { trainer, told, happens } = watch(server.env, 200);
    await server.next();
    writeFileSync(server.env['KUBEFLOW_TRAINER_SERVER_TOKEN']!, 'second\n');
    for (let step = 0; step < 50; step++) happens(committed(step), step);
    await server.next();
    happens(committed(50), 50);
    happens({ kind: 'runEnded', reason: 'completed', detail: '' }, 51);
    await trainer.close();
    assert.deepEqual(told, []);
    assert.deepEqual(
      server.posts.map(({ status, token }) => [status.progressPercentage, token]),
      [
        [0, 'Bearer first'],
        [50, 'Bearer second'],
        [51, 'Bearer second'],
      ],
    );
    assert.ok(server.posts[1]!.at - server.posts[0]!.at > 190);
    assert.equal(server.posts[2]!.status.estimatedRemainingSeconds, 0);
  },
);

test(
  'a server that refuses or is not the one that is trusted is told of once, and keeps nothing',
  { skip },
  async (t) => {
    const server = await serve(t);
    server.answer = 403;
    const refused = watch(server.env, 5);
    await server.next();
    refused.happens(committed(0), 1);
    await server.next();
    await refused.trainer.close();
    assert.deepEqual(refused.told, ['Kubeflow Trainer is not told of progress: it answers 403']);

    const { KUBEFLOW_TRAINER_SERVER_CA_CERT: ca, ...env } = server.env;
    const count = server.posts.length;
    const untrusted = watch(env, 5);
    await untrusted.trainer.close();
    assert.match(untrusted.told[0]!, /self-signed/);
    assert.equal(server.posts.length, count);

    rmSync(ca!);
    const without = watch(server.env, 5);
    await without.trainer.close();
    assert.match(without.told[0]!, /ENOENT/);
  },
);
