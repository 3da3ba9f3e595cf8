// The checkpoints of one run, as their owner writes and reads them. Writing has two halves: `begin` makes room, reducers
// fill the slices they own (writeSlice, from any thread, at their own pace), `finish` makes a checkpoint of it.

import { constants } from 'node:fs';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError, assert, messageOf } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { createFile, syncPath } from './files.js';
import { withHasher } from './hash.js';
import type { TensorLayout } from './layout.js';
import { damagedCheckpoints, listCheckpoints, type CheckpointInfo } from './list.js';
import { loadCheckpoint, type TrainingVectors } from './load.js';
import { totalBytes, writeManifest, type ManifestFile } from './manifest.js';
import { checkpointName, MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, stepOfName } from './names.js';
import { optimizerTensors } from './optimizer-layout.js';
import { removeCheckpoint, removeTornCheckpoints } from './remove.js';
import { toDelete, type RetentionPolicy } from './retention.js';
import { createSafetensors } from './safetensors.js';
import type { CheckpointState } from './state.js';

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json'];

export interface StoreOptions {
  /** `checkpoints/` of the run; created when missing. */
  readonly directory: string;
  readonly layout: TensorLayout;
  /** Contents of config.json and generation_config.json. */
  readonly config: object;
  readonly generationConfig: object;
  /** The prepared data set: tokenizer.json and tokenizer_config.json are copied from it. */
  readonly tokenizerDirectory: string;
  readonly retention: RetentionPolicy;
  /** From acquireTerm: an earlier owner may be alive elsewhere, so that names must carry the term. */
  readonly contested: boolean;
  /** Told about what went wrong without harm to a checkpoint: one sentence. */
  readonly onWarning: (message: string) => void;
}

/** A checkpoint that is being written. Offsets are bytes in the files, 4 per element. */
export interface BegunCheckpoint {
  readonly step: number;
  readonly term: number;
  readonly directory: string;
  /** Element i of the flat parameter vector lies at `dataOffset + 4 * i`. Zeros where nothing is written. */
  readonly model: { readonly path: string; readonly dataOffset: number };
  /** Moments of element i (i < layout.trainable) lie at `moment1Offset + 4 * i` and `moment2Offset + 4 * i`. */
  readonly optimizer: {
    readonly path: string;
    readonly moment1Offset: number;
    readonly moment2Offset: number;
  };
}

export interface LoadedCheckpoint {
  readonly info: CheckpointInfo;
  readonly state: CheckpointState;
}

function isTaken(error: NodeJS.ErrnoException): false {
  if (error.code !== 'EEXIST') throw error;
  return false;
}

export class CheckpointStore {
  /** Checkpoints whose sums were found wrong: neither listed nor counted again. */
  private readonly bad = new Set<string>();

  constructor(private readonly options: StoreOptions) {}

  /** Valid checkpoints (by manifest and sizes; known bad ones left out), newest first. */
  async list(): Promise<CheckpointInfo[]> {
    const all = await listCheckpoints(this.options.directory);
    return all.filter((info) => !this.bad.has(info.directory));
  }

  /** Deletes what a crash left unfinished; call once, before the first `begin`. Returns the directories. */
  removeTorn(): Promise<string[]> {
    return removeTornCheckpoints(this.options.directory);
  }

  /** Creates the directory and both tensor files at full size. Nothing is a checkpoint before `finish`. */
  async begin(step: number, term: number): Promise<BegunCheckpoint> {
    const directory = await this.createDirectory(step, term);
    try {
      const { layout } = this.options;
      const modelPath = path.join(directory, MODEL_FILE);
      const optimizerPath = path.join(directory, OPTIMIZER_FILE);
      const dataOffset = await createSafetensors(modelPath, layout.tensors);
      const moment1Offset = await createSafetensors(optimizerPath, optimizerTensors(layout));
      return {
        step,
        term,
        directory,
        model: { path: modelPath, dataOffset },
        optimizer: {
          path: optimizerPath,
          moment1Offset,
          moment2Offset: moment1Offset + 4 * layout.trainable,
        },
      };
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  private async createDirectory(step: number, term: number): Promise<string> {
    const parent = this.options.directory;
    await mkdir(parent, { recursive: true });
    const plain = path.join(parent, checkpointName(step, term, false));
    const own = path.join(parent, checkpointName(step, term, true));
    // mkdir is the exclusive operation that network storage has, too: whoever creates the directory owns it.
    const createdPlain = !this.options.contested && (await mkdir(plain).then(() => true, isTaken));
    if (!createdPlain) await mkdir(own);
    await syncPath(parent);
    return createdPlain ? plain : own;
  }

  /**
   * Makes a checkpoint of a begun one whose slices are all written: small files, sync, sums, manifest; then deletes
   * what retention no longer keeps. When it throws, nothing of it is left.
   */
  async finish(begun: BegunCheckpoint, state: CheckpointState): Promise<CheckpointInfo> {
    assert(
      state.step === begun.step,
      `a checkpoint of step ${begun.step}, with the state of step ${state.step}`,
    );
    let files: ManifestFile[];
    try {
      files = await this.complete(begun.directory, state);
      await writeManifest(begun.directory, begun.step, begun.term, files);
    } catch (error) {
      await this.abandon(begun);
      throw error;
    }
    const info = {
      directory: begun.directory,
      step: begun.step,
      term: begun.term,
      bytes: totalBytes(files),
      validationLoss: state.validationLoss,
    };
    await this.retain(info);
    return info;
  }

  /** Deletes a begun checkpoint that will not be finished. */
  async abandon(begun: BegunCheckpoint): Promise<void> {
    await removeCheckpoint(begun.directory);
  }

  /** Writes the small files, brings all to disk and computes their sums. */
  private async complete(directory: string, state: CheckpointState): Promise<ManifestFile[]> {
    const { config, generationConfig, tokenizerDirectory } = this.options;
    await createFile(path.join(directory, 'config.json'), jsonText(config));
    await createFile(path.join(directory, 'generation_config.json'), jsonText(generationConfig));
    await createFile(path.join(directory, STATE_FILE), jsonText(state));
    for (const name of TOKENIZER_FILES) {
      const copy = path.join(directory, name);
      await copyFile(path.join(tokenizerDirectory, name), copy, constants.COPYFILE_EXCL);
      await syncPath(copy);
    }
    const names = [
      'config.json',
      'generation_config.json',
      MODEL_FILE,
      OPTIMIZER_FILE,
      STATE_FILE,
      ...TOKENIZER_FILES,
    ];
    await syncPath(path.join(directory, MODEL_FILE));
    await syncPath(path.join(directory, OPTIMIZER_FILE));
    return withHasher((hash) =>
      Promise.all(
        names.map(async (name) => {
          const file = path.join(directory, name);
          return { name, bytes: (await stat(file)).size, sha256: await hash(file) };
        }),
      ),
    );
  }

  /** Deletes what the policy does not keep; `newest`, just written, always stays. */
  private async retain(newest: CheckpointInfo): Promise<void> {
    try {
      // A damaged checkpoint of this step has just been written anew, from the same bits.
      const superseded = [...this.bad].filter((bad) => stepOfName(path.basename(bad)) === newest.step);
      const expired = toDelete(await this.list(), this.options.retention).map((info) => info.directory);
      for (const directory of [...superseded, ...expired]) {
        if (directory === newest.directory) continue;
        await removeCheckpoint(directory);
        this.bad.delete(directory);
      }
    } catch (error) {
      this.options.onWarning(`could not delete an old checkpoint: ${messageOf(error)}`);
    }
  }

  /**
   * Loads the newest checkpoint that is whole; null when the run has none at all. `onBad` is told of each newer one that is
   * damaged. `check` sees the state before tensors are read, and may throw (a config that cannot continue the run).
   * Throws UserError CHECKPOINTS_ALL_BAD when there are checkpoints, but none is whole.
   */
  async loadLatest(
    into: TrainingVectors,
    onBad: (directory: string, error: UserError) => void,
    check?: (state: CheckpointState) => void,
  ): Promise<LoadedCheckpoint | null> {
    const { directory, layout } = this.options;
    const damaged = await damagedCheckpoints(directory);
    const report = (bad: string, error: UserError) => {
      this.bad.add(bad);
      onBad(bad, error);
    };
    for (const info of await this.list()) {
      const newer = damaged.filter(({ step }) => step > info.step);
      for (const bad of newer.filter((one) => !this.bad.has(one.directory))) {
        report(bad.directory, new UserError('CHECKPOINT_BAD', `${bad.directory}: ${bad.problem}`));
      }
      try {
        return { info, state: await loadCheckpoint(info.directory, layout, into, check) };
      } catch (error) {
        if (!(error instanceof UserError) || error.code !== 'CHECKPOINT_BAD') throw error;
        report(info.directory, error);
      }
    }
    if (damaged.length === 0 && this.bad.size === 0) return null;
    throw new UserError(
      'CHECKPOINTS_ALL_BAD',
      `every checkpoint in ${directory} is damaged (\`lockstep verify\` says how): restore one, or delete them to begin again`,
    );
  }
}
