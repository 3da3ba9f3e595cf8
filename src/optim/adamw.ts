// AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019): the constants of one update for the
// native kernel, and the same update in plain TypeScript, against which that kernel is tested.

import type { AdamWSpec } from '../engine/native/addon.js';
import type { OptimizerConfig } from './config.js';

/** What an update depends on beside the optimiser's settings. */
export interface UpdateTerms {
  /** AdamW's t: the number of this update, from 1; skipped steps are not counted. */
  readonly update: number;
  readonly learningRate: number;
  /** Multiplies the summed gradient: 1 / target tokens, times the clip's scale. */
  readonly gradientScale: number;
}

/** The constants of one update. */
export function adamWSpec(terms: UpdateTerms, config: OptimizerConfig): AdamWSpec {
  return {
    gradientScale: terms.gradientScale,
    learningRate: terms.learningRate,
    beta1: config.beta1,
    beta2: config.beta2,
    epsilon: config.epsilon,
    weightDecay: config.weightDecay,
    correction1: 1 - Math.pow(config.beta1, terms.update),
    correction2: 1 - Math.pow(config.beta2, terms.update),
  };
}

const round = Math.fround;

/**
 * One update in place, rounding to float32 where torch.optim.AdamW does (torch/optim/adam.py,
 * `_single_tensor_adam` with decoupled decay; for beta1 > 0.5, where its `lerp_` adds the weighted difference).
 * Arrays have equal lengths; `gradient` is only read. Elements in the ranges [undecayed[2i], undecayed[2i + 1]), which ascend,
 * do not decay.
 */
export function adamWReference(
  parameters: Float32Array,
  moment1: Float32Array,
  moment2: Float32Array,
  gradient: Float32Array,
  undecayed: Int32Array,
  spec: AdamWSpec,
): void {
  const gradientScale = round(spec.gradientScale);
  const shrink = round(1 - spec.learningRate * spec.weightDecay);
  const weight1 = round(1 - spec.beta1);
  const beta2 = round(spec.beta2);
  const weight2 = round(1 - spec.beta2);
  const rootCorrection2 = round(Math.sqrt(spec.correction2));
  const negativeStep = round(-spec.learningRate / spec.correction1);
  const epsilon = round(spec.epsilon);
  for (let i = 0; i < parameters.length; i++) {
    const bounds = undecayed.findLastIndex((bound) => bound <= i);
    const decays = bounds % 2 !== 0; // -1 before the first range
    const g = round(gradient[i]! * gradientScale);
    const m = round(moment1[i]! + round(weight1 * round(g - moment1[i]!)));
    const v = round(round(moment2[i]! * beta2) + round(round(weight2 * g) * g));
    const denominator = round(round(round(Math.sqrt(v)) / rootCorrection2) + epsilon);
    const shrunk = decays ? round(parameters[i]! * shrink) : parameters[i]!;
    parameters[i] = shrunk + round(round(negativeStep * m) / denominator);
    moment1[i] = m;
    moment2[i] = v;
  }
}
