// The tensors of optimizer.safetensors: all first moments of AdamW, then all second ones, each in the layout's order,
// so that each moment is one contiguous vector of `trainable` elements.

import { assert } from '../util/errors.js';
import type { TensorLayout } from './layout.js';

export function optimizerTensors(layout: TensorLayout): { name: string; shape: readonly number[] }[] {
  const trained = layout.tensors.filter((tensor) => tensor.offset < layout.trainable);
  const elements = trained.reduce((sum, tensor) => sum + tensor.size, 0);
  assert(elements === layout.trainable, 'the trainable tensors come first and fill [0, trainable)');
  return ['exp_avg', 'exp_avg_sq'].flatMap((moment) =>
    trained.map(({ name, shape }) => ({ name: `${moment}.${name}`, shape })),
  );
}
