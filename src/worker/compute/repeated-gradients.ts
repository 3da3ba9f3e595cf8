// The loss and gradient of micro-batches. Most of a run's have one of a few shapes, and each is computed by the calls of the last
// one of its shape, where the engine can make them again.
import type { Engine } from '../../engine/engine.js';
import type { DropoutKey } from '../../engine/kernels.js';
import type { Floats } from '../../engine/native/addon.js';
import { type OnFinal, recordedGradients, type Repeat } from '../../engine/recording.js';
import type { LossValues } from '../../engine/reverse.js';
import { areAlike, type Batch, copyOf, setBatch } from '../../model/batch.js';
import type { ModelParameters } from '../../model/parameters.js';
import type { Transformer } from '../../model/transformer.js';

/** Recordings kept. There is one for each shape, slot, and memory of a gradient or partial sum. */
const MOST_RECORDINGS = 256;

export interface Model {
  readonly parameters: ModelParameters;
  readonly transformer: Transformer;
}

/** What the calls of a recording refer to; they take ids from `batch`, which is its own. */
interface Recorded {
  readonly model: Model;
  readonly memory: Floats;
  readonly batch: Batch;
  repeat: Repeat | null;
}

export class RepeatedGradients {
  /** The latest first. */
  private readonly recordings: Recorded[] = [];

  constructor(
    private readonly engine: Engine,
    /** Label smoothing, 0 to 1. */
    private readonly smoothing: number,
  ) {}

  /**
   * Calls `onFinal` for each parameter of `model`, whose gradient lies in its part of `memory` [trainable] where kernels can write it
   * there. `model`, and what it is over, must stay as they are.
   */
  compute(model: Model, memory: Floats, batch: Batch, key: DropoutKey, onFinal: OnFinal): LossValues {
    const recorded = this.find(model, memory, batch);
    setBatch(recorded.batch, batch);
    return recorded.repeat?.(key, onFinal) ?? this.record(recorded, key, onFinal);
  }

  private record(recorded: Recorded, key: DropoutKey, onFinal: OnFinal): LossValues {
    const { model, memory, batch } = recorded;
    const { trainable } = model.parameters;
    const { gradients } = this.engine;
    this.engine.setGradientSlots(
      trainable.map(({ spec, tensor }) => [tensor, gradients.part(memory, spec.offset, spec.size)] as const),
    );
    recorded.repeat = null;
    const { values, repeat } = recordedGradients(
      this.engine,
      () => model.transformer.loss(batch, { smoothing: this.smoothing, random: key }),
      trainable.map(({ tensor }) => tensor),
      onFinal,
    );
    recorded.repeat = repeat;
    return values;
  }

  private find(model: Model, memory: Floats, batch: Batch): Recorded {
    const index = this.recordings.findIndex(
      (recorded) => recorded.model === model && recorded.memory === memory && areAlike(recorded.batch, batch),
    );
    const [found] = index >= 0 ? this.recordings.splice(index, 1) : [];
    const recorded = found ?? { model, memory, batch: copyOf(batch), repeat: null };
    this.recordings.unshift(recorded);
    this.recordings.length = Math.min(this.recordings.length, MOST_RECORDINGS);
    return recorded;
  }
}
