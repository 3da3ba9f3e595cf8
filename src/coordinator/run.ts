// A run on disk, opened to be trained: its data, its model's shape, and its vectors, either new or as the newest
// checkpoint left them.
import { rm, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { DiskFolder } from '../checkpoint/disk-folder.js';
import type { TrainingVectors } from '../checkpoint/load.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { openStorage } from '../checkpoint/open-folder.js';
import { CheckpointStore, readTokenizerFiles, type TokenizerFiles } from '../checkpoint/store.js';
import {
  expectRunOrRoom,
  expectStoredThere,
  readIdentity,
  RunDirectory,
  runIdentity,
} from '../checkpoint/run-directory.js';
import { recordStorage, storagePlace } from '../checkpoint/storage-place.js';
import { acquireTerm, type Term } from '../checkpoint/term.js';
import { configDifferences } from '../config/differences.js';
import { parseRunConfig } from '../config/load.js';
import type { RunConfig } from '../config/schema.js';
import { openDataset, type Dataset } from '../data/dataset.js';
import { sharedFloats } from '../engine/native/shared-floats.js';
import type { ModelConfig } from '../model/config.js';
import { generationConfig, toHuggingFace } from '../model/hugging-face.js';
import { parameterLayout, type ParameterLayout } from '../model/parameters.js';
import { ChunkGrid, type Slice } from '../protocol/chunks.js';
import type { Job } from '../protocol/job.js';
import { makeDirectories } from '../util/directories.js';
import { UserError } from '../util/errors.js';
import { packageVersion } from '../util/package.js';
import type { Progress } from './events.js';
import { initialWeights } from './initial-weights.js';

export interface OpenRun {
  readonly directory: RunDirectory;
  readonly runId: string;
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly job: Job;
  readonly layout: ParameterLayout;
  /** One for each reducer: at most as many as the config wants. */
  readonly slices: readonly Slice[];
  /** That reducers own slices of, shared among threads. */
  readonly vectors: TrainingVectors;
  readonly store: CheckpointStore;
  readonly term: Term;
  readonly progress: Progress;
  /** Where the checkpoint lies that `progress` comes from; null: the run begins. */
  readonly resumedFrom: string | null;
}

export interface OpenRunOptions {
  readonly config: RunConfig;
  readonly directory: string;
  readonly log: Logger;
  /** Asked before anything is made for a run that begins: a throw ends it without a trace. */
  readonly beforeMaking?: () => Promise<void>;
}

/**
 * Takes the run (one coordinator at a time) and loads its newest whole checkpoint, or initialises the model.
 * @throws UserError RUN_IN_USE; NOT_A_RUN when the folder is in use for something else; RUN_ELSEWHERE when `checkpoints` is not
 * where the run is stored; RUN_DIFFERS when config or data cannot continue the run; what data and checkpoints throw
 */
export async function openRun({ config, directory, log, beforeMaking }: OpenRunOptions): Promise<OpenRun> {
  const dataset = await openDataset(config.data);
  const job = jobOf(config, dataset);
  checkData(config, dataset);
  const tokenizer = await readTokenizerFiles(new DiskFolder(dataset.directory));
  const layout = parameterLayout(job.model);
  const vectors = allocate(layout);
  const initialise = (): Promise<void> =>
    initialWeights(config, job.model, dataset, layout, vectors.parameters);
  const run = await openRunDirectory(directory, config);
  const begins = (await readIdentity(run.storage)) === null;
  if (begins) {
    // Whatever can fail comes before the first folder is made.
    await initialise();
    await beforeMaking?.();
  }
  await makeDirectories(run.path);
  const { runId } = await runIdentity(run.storage);
  const onWarning = (message: string): void => log.warn(message);
  const term = await acquireTerm(run.storage, { renewal: config.ownership, onWarning });
  try {
    const isKnownHere =
      config.checkpoints === null || (await storagePlace(new DiskFolder(run.path))) !== null;
    const store = createStore(run, config, tokenizer, job.model, layout, term, log);
    const loaded = await store.loadLatest(
      vectors,
      (_bad, error) => log.warn(`${error.message}; using an older one`),
      (state) => {
        checkContinues(state, config, dataset, run);
        const { name } = parseRunConfig(state.config, run.path);
        if (!isKnownHere && name !== config.name) throw namedOtherwise(run, name, config.name);
      },
    );
    // Once it is known to be this run: it is not asked again.
    await recordStorage(new DiskFolder(run.path), run.storage, runId);
    for (const torn of await store.removeTorn()) log.warn(`removed ${torn}: it was never finished`);
    if (!loaded && !begins) await initialise();
    if (!term.contested) await rm(run.spool, { recursive: true, force: true });
    const progress = loaded ? progressOf(loaded.state) : START;
    return {
      directory: run,
      runId,
      config,
      dataset,
      job,
      layout,
      slices: new ChunkGrid(layout.trainable, layout.total).slices(config.reducers),
      vectors,
      store,
      term,
      progress,
      resumedFrom: loaded?.info.directory ?? null,
    };
  } catch (error) {
    await term.release();
    throw error;
  }
}

async function openRunDirectory(directory: string, { checkpoints }: RunConfig): Promise<RunDirectory> {
  const isFile = await stat(directory).then(
    (found) => !found.isDirectory(),
    () => false,
  );
  if (isFile)
    throw new UserError(
      'NOT_A_RUN',
      `expected a folder for the run, ${directory} is a file: choose another place (--run DIR)`,
    );
  const own = new DiskFolder(directory);
  await expectRunOrRoom(own);
  const { spool } = new RunDirectory(directory);
  const storage = checkpoints === null ? own : await openStorage(checkpoints, spool);
  await expectStoredThere(own, storage);
  return new RunDirectory(directory, storage);
}

const START: Progress = { version: 0, updates: 0, tokens: 0, best: null, fingerprint: null, expelled: [] };

function progressOf(state: CheckpointState): Progress {
  const { step, updates, tokens, best, fingerprint, expelled } = state;
  return { version: step, updates, tokens, best, fingerprint, expelled };
}

/** state.json of a checkpoint of `progress`; `savedAt` in seconds since 1970. */
export function stateOf(
  run: Pick<OpenRun, 'config' | 'dataset'>,
  progress: Progress,
  validationLoss: number | null,
  savedAt: number,
): CheckpointState {
  return {
    step: progress.version,
    updates: progress.updates,
    tokens: progress.tokens,
    seed: run.config.seed,
    config: { ...run.config },
    validationLoss,
    best: progress.best,
    dataset: run.dataset.sha256,
    fingerprint: progress.fingerprint,
    expelled: progress.expelled,
    savedAt,
    lockstepVersion: packageVersion(),
  };
}

function jobOf(config: RunConfig, dataset: Dataset): Job {
  const { padId, endId, maskId, vocabularySize, specialIds } = dataset.manifest;
  const model: ModelConfig = { ...config.model, vocabularySize, padId, endId, startId: padId };
  return {
    seed: config.seed,
    model,
    objective: config.objective,
    tokens: { padId, endId, startId: padId, maskId, vocabularySize, specialIds },
    microBatches: config.batch.microBatches,
    labelSmoothing: config.labelSmoothing,
    wire: config.wire,
    precision: config.precision,
    emulate: config.emulate,
    heartbeat: config.heartbeat,
  };
}

function checkData(config: RunConfig, dataset: Dataset): void {
  const wanted = config.objective.kind === 'seq2seq' ? 'pairs' : 'text';
  if (dataset.kind !== wanted) {
    throw new UserError(
      'DATASET_KIND',
      `objective ${config.objective.kind} trains on ${wanted}, but ${config.data} holds ${dataset.kind}: prepare it ${wanted === 'pairs' ? 'with' : 'without'} --pairs`,
    );
  }
  if (dataset.split('train', config.window).samples === 0) {
    throw new UserError('DATASET_EMPTY', `${config.data} holds no sample to train on`);
  }
}

function checkContinues(
  state: CheckpointState,
  config: RunConfig,
  dataset: Dataset,
  run: RunDirectory,
): void {
  if (config.steps < state.step) {
    throw new UserError(
      'RUN_DIFFERS',
      `${run.path} has done ${state.step} steps already: expected steps of ${state.step} or more, got ${config.steps}`,
    );
  }
  const keys = configDifferences(parseRunConfig(state.config, run.path), config);
  const isOtherData = state.dataset !== dataset.sha256;
  if (keys.length === 0 && !isOtherData) return;
  const differences = isOtherData
    ? [...keys, `data (${config.data} is not what the run was trained on)`]
    : keys;
  const waysBack = [
    ...(keys.length > 0 ? ['change it back'] : []),
    ...(isOtherData ? ['prepare the same input in the same way again, or say where it is now (data:)'] : []),
    'or train another run (--run DIR), which may begin with these weights (initialise:)',
  ];
  throw new UserError(
    'RUN_DIFFERS',
    `${run.path} cannot be continued with this config: ${differences.join('; ')}. To go on, ${waysBack.join(', ')}`,
  );
}

/** A pasted `checkpoints:` would mix two runs. */
function namedOtherwise(run: RunDirectory, theirs: string, ours: string): UserError {
  return new UserError(
    'RUN_DIFFERS',
    `${run.storage.url} belongs to the run ${theirs}, not ${ours}: name another place for checkpoints, or go on with it by --set name=${theirs}`,
  );
}

/** Elements that a typed array may have in every version of Node that is supported. */
const MAX_ELEMENTS = 2 ** 32 - 1;

function allocate({ total, trainable }: ParameterLayout): TrainingVectors {
  try {
    if (total > MAX_ELEMENTS) throw new RangeError(`at most ${MAX_ELEMENTS} are possible`);
    return {
      parameters: sharedFloats(total),
      moment1: sharedFloats(trainable),
      moment2: sharedFloats(trainable),
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `a model of ${total} parameters does not fit (${error.message}): make the config's model smaller`;
    throw new UserError('MODEL_TOO_LARGE', message, { cause: error });
  }
}

function createStore(
  run: RunDirectory,
  config: RunConfig,
  tokenizer: TokenizerFiles,
  model: ModelConfig,
  layout: ParameterLayout,
  term: Term,
  log: Logger,
): CheckpointStore {
  return new CheckpointStore({
    checkpoints: run.checkpoints,
    layout,
    config: toHuggingFace(model),
    generationConfig: generationConfig(model),
    tokenizer,
    retention: config.checkpoint,
    term,
    onWarning: (message) => log.warn(message),
  });
}
