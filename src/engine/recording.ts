// Gradients that are asked for again. tfjs builds a forward and its backward anew for each micro-batch: scopes, tensors and a tape,
// whose code and data come from memory between kernels that fill the caches. For micro-batches of one shape the kernels' calls are
// always the same, in the same memory, so an engine can note them and make them again without tfjs. What may differ is content,
// of parameters and of ids, and the key of dropout.
import type * as tf from '@tensorflow/tfjs';
import type { DropoutKey } from './kernels.js';
import type { Floats } from './native/addon.js';
import { type Loss, type LossValues, valueAndGradients } from './reverse.js';

/** A parameter's gradient is final: where it lies until this returns, or null when the loss does not reach the parameter. */
export type OnFinal = (index: number, gradient: Floats | null) => void;

/** Does once more what was recorded, with another key of dropout. Undefined, with nothing done, where that is no longer possible. */
export type Repeat = (key: DropoutKey, onFinal: OnFinal) => LossValues | undefined;

/** Of one forward and backward. */
export interface Recording {
  /** Hands out a gradient; what that asks for is not recorded, and a repetition hands out its own in the same place. */
  final(index: number, gradient: Floats | null, onFinal: OnFinal): void;
  /** Everything was asked for. Null where it read a tensor's values: a repetition would not see others. */
  finish(loss: Loss): Repeat | null;
  /** Also where it was not finished. */
  end(): void;
}

/** What of an Engine is needed for it. */
interface Recordable {
  memoryOf(tensor: tf.Tensor): Floats;
  readonly record?: () => Recording;
}

/**
 * valueAndGradients, and how to do it again, where the engine can and forward and backward let their kernels alone read what a tensor holds.
 * `forward` must then depend on nothing but its shapes: numbers that it computes, and values that it makes tensors of, are those of
 * the first time.
 */
export function recordedGradients(
  engine: Recordable,
  forward: () => Loss,
  parameters: readonly tf.Tensor[],
  onFinal: OnFinal,
): { values: LossValues; repeat: Repeat | null } {
  const recording = engine.record?.();
  let repeat: Repeat | null = null;
  try {
    const values = valueAndGradients(
      forward,
      parameters,
      (index, tensor) => {
        const gradient = tensor && engine.memoryOf(tensor);
        if (recording) recording.final(index, gradient, onFinal);
        else onFinal(index, gradient);
      },
      (loss) => (repeat = recording?.finish(loss) ?? null),
    );
    return { values, repeat };
  } finally {
    recording?.end();
  }
}
