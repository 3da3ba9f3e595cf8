// Taking up a run again where something around it has changed: its data were moved, or are others; its own folder is gone.
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { writeSlice } from '../../src/checkpoint/files.js';
import { parseRunConfig } from '../../src/config/load.js';
import { openRun, stateOf, type OpenRun } from '../../src/coordinator/run.js';
import { writeDataset } from '../cli/model-run.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';

const log = pino({ level: 'silent' });
const STEP = 2;

const nothing = (): Promise<void> => Promise.resolve();

class Scene {
  private constructor(readonly root: string) {}

  static async open(t: TestContext): Promise<Scene> {
    const scene = new Scene(await temporaryDirectory(t));
    await writeDataset(scene.at('data'), 64);
    return scene;
  }

  at(name: string): string {
    return path.join(this.root, name);
  }

  async use(changes: object, use: (run: OpenRun) => Promise<void>): Promise<void> {
    const config = parseRunConfig(
      {
        name: 'test',
        data: this.at('data'),
        model: { width: 8, heads: 2, feedForward: 8, encoderLayers: 1, decoderLayers: 1, maxLength: 12 },
        window: 8,
        steps: 10,
        ...changes,
      },
      'test',
    );
    const run = await openRun({ config, directory: this.at('run'), log });
    try {
      await use(run);
    } finally {
      await run.term.release();
      await run.dataset.close();
    }
  }

  /** Begins the run and saves it as if it had done two steps, which changed every parameter. */
  async save(changes: object = {}): Promise<Float32Array> {
    let trained = new Float32Array();
    await this.use(changes, async (run) => {
      assert.equal(run.resumedFrom, null);
      trained = run.vectors.parameters.map((value) => value + 1);
      const begun = await run.store.begin(STEP, run.term.number);
      await writeSlice(begun.model.path, begun.model.dataOffset, trained);
      await run.store.finish(begun, stateOf(run, { ...run.progress, version: STEP }, null, 0));
    });
    return trained;
  }

  /** The run is taken up with these changes, and has the parameters that were saved. */
  async goesOn(changes: object, trained: Float32Array, from: string): Promise<void> {
    await this.use(changes, (run) => {
      assert.equal(run.progress.version, STEP);
      assert.equal(run.resumedFrom, from);
      assert.deepEqual(run.vectors.parameters, trained);
      return Promise.resolve();
    });
  }
}

test('a run whose data were moved goes on: their content counts, not where they lie', async (t) => {
  const scene = await Scene.open(t);
  const trained = await scene.save();
  await rename(scene.at('data'), scene.at('moved'));
  await scene.goesOn({ data: scene.at('moved') }, trained, scene.at('run/checkpoints/step-2'));
});

test('a run goes on with other reducers, threads and engine, and is refused another seed by its name', async (t) => {
  const scene = await Scene.open(t);
  const trained = await scene.save();
  const changes = { reducers: 3, worker: { threads: 7 }, steps: 20 };
  await scene.goesOn(changes, trained, scene.at('run/checkpoints/step-2'));
  await assert.rejects(
    scene.goesOn({ seed: 9 }, trained, ''),
    userError('RUN_DIFFERS', /seed \(\d+ in the run, 9 now\)/),
  );
  await assert.rejects(
    scene.goesOn({ steps: STEP - 1 }, trained, ''),
    userError('RUN_DIFFERS', /has done 2 steps already: expected steps of 2 or more, got 1/),
  );
});

test('a run with other data is refused by the key and the path, and data that are damaged by the file', async (t) => {
  const scene = await Scene.open(t);
  const trained = await scene.save();
  await writeDataset(scene.at('other'), 72);
  await assert.rejects(
    scene.goesOn({ data: scene.at('other') }, trained, ''),
    userError('RUN_DIFFERS', /data \(.*\/other is not what the run was trained on\)/),
  );
  await truncate(path.join(scene.at('data'), 'train.bin'), 100);
  await assert.rejects(scene.goesOn({}, trained, ''), userError('DATASET_DAMAGED', /data\/train\.bin/));
  await rm(scene.at('data'), { recursive: true });
  await assert.rejects(
    scene.goesOn({}, trained, ''),
    userError('DATASET_NOT_FOUND', /expected a prepared data set in .*\/data/),
  );
});

test('a run that is stored elsewhere goes on when its own folder is gone, as on another machine', async (t) => {
  const scene = await Scene.open(t);
  const changes = { checkpoints: scene.at('shared') };
  const trained = await scene.save(changes);
  await rm(scene.at('run'), { recursive: true });
  await scene.goesOn(changes, trained, scene.at('shared/checkpoints/step-2'));
});

test('a run that another place is named for neither begins again there nor goes on beside itself', async (t) => {
  const scene = await Scene.open(t);
  const trained = await scene.save();
  const checkpoints = scene.at('elsewhere');
  const refused = (says: RegExp): Promise<void> =>
    assert.rejects(scene.use({ checkpoints }, nothing), userError('RUN_ELSEWHERE', says));
  await refused(/run is stored in \S*run, and \S*elsewhere does not hold it: leave checkpoints out/);
  await assert.rejects(readdir(checkpoints), { code: 'ENOENT' });
  await cp(scene.at('run'), checkpoints, { recursive: true });
  await refused(
    /run is stored in \S*run, and \S*elsewhere holds a copy of it: .*remove run\.json from \S*run /,
  );
  await rm(path.join(scene.at('run'), 'run.json'));
  await scene.goesOn({ checkpoints }, trained, path.join(checkpoints, 'checkpoints', `step-${STEP}`));
  const back = userError('RUN_ELSEWHERE', /stored in \S*elsewhere.*--set checkpoints=\S*elsewhere/);
  await assert.rejects(scene.use({}, nothing), back);
});

test('a place that another run is stored in is refused by the name of that run', async (t) => {
  const scene = await Scene.open(t);
  const checkpoints = scene.at('elsewhere');
  await scene.save({ checkpoints });
  await scene.use({ checkpoints, name: 'renamed' }, nothing);
  await rm(scene.at('run'), { recursive: true });
  for (const attempt of ['first', 'second'])
    await assert.rejects(
      scene.use({ checkpoints, name: 'other' }, nothing),
      userError('RUN_DIFFERS', /elsewhere belongs to the run test, not other: .*name=test$/),
      attempt,
    );
});

test('a run that cannot begin leaves no folder behind, here or where it would be stored', async (t) => {
  const scene = await Scene.open(t);
  const stored = { checkpoints: scene.at('shared') };
  for (const place of [{}, stored]) {
    const withoutData = { ...place, data: scene.at('none') };
    await assert.rejects(scene.use(withoutData, nothing), userError('DATASET_NOT_FOUND'));
    const withoutPairs = { ...place, objective: { kind: 'seq2seq' } };
    await assert.rejects(scene.use(withoutPairs, nothing), userError('DATASET_KIND'));
    const withoutModel = { ...place, initialise: scene.at('none') };
    await assert.rejects(scene.use(withoutModel, nothing), userError('MODEL_NOT_FOUND'));
    assert.deepEqual(await readdir(scene.root), ['data']);
  }
});

test('a run begins in no folder that holds something else, which is named and left as it is', async (t) => {
  const scene = await Scene.open(t);
  await mkdir(scene.at('run/pictures'), { recursive: true });
  for (const name of ['a.txt', 'b.txt', 'c.txt']) await writeFile(scene.at(`run/${name}`), '');
  const refusal = userError(
    'NOT_A_RUN',
    /\/run, got one with a\.txt, b\.txt, c\.txt and 1 more: choose another/,
  );
  await assert.rejects(scene.use({}, nothing), refusal);
  await assert.rejects(scene.use({ checkpoints: scene.at('shared') }, nothing), refusal);
  assert.deepEqual(await readdir(scene.at('run')), ['a.txt', 'b.txt', 'c.txt', 'pictures']);
  assert.deepEqual((await readdir(scene.root)).sort(), ['data', 'run']);
});

test('a run begins in no file', async (t) => {
  const scene = await Scene.open(t);
  await writeFile(scene.at('run'), 'mine');
  await assert.rejects(
    scene.use({}, nothing),
    userError('NOT_A_RUN', /expected a folder for the run, .*run is a file/),
  );
});

test('a run begins beside what a volume, or the job that trains it, put there before', async (t) => {
  const scene = await Scene.open(t);
  for (const folder of ['lost+found', 'keys-7-0', '.snapshot'])
    await mkdir(scene.at(`run/${folder}`), { recursive: true });
  for (const file of ['run.yaml', 'job-7.out', 'train.log']) await writeFile(scene.at(`run/${file}`), '');
  const trained = await scene.save();
  await writeFile(scene.at('run/notes.txt'), 'what a user keeps in a run does not matter');
  await scene.goesOn({}, trained, scene.at('run/checkpoints/step-2'));
});

test('another run that names this one to begin with gets its parameters, and its own progress', async (t) => {
  const scene = await Scene.open(t);
  const trained = await scene.save();
  await rename(scene.at('run'), scene.at('first'));
  await scene.use({ initialise: scene.at('first'), seed: 5 }, (run) => {
    assert.deepEqual(run.vectors.parameters, trained);
    assert.deepEqual([run.progress.version, run.resumedFrom], [0, null]);
    assert.ok(run.vectors.moment1.every((moment) => moment === 0));
    return Promise.resolve();
  });
});
