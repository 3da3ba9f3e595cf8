// The reverse walk: the gradients of a loss, one parameter after another as each becomes final. It walks tfjs's
// own tape, but unlike tf.variableGrads it lets go of activations on the way and never holds all gradients.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import { missingGradient } from './missing-gradient.js';

type Tape = ReturnType<typeof tf.engine>['state']['activeTape'];
type TapeNode = Tape[number];

export interface Loss {
  readonly loss: tf.Scalar;
  readonly correct: tf.Scalar;
}

export interface LossValues {
  readonly loss: number;
  readonly correct: number;
}

type OnGradient = (index: number, gradient: tf.Tensor | null) => void;

/**
 * Runs `forward`, returns its scalars' values, and calls `onGradient(i, d loss / d parameters[i])` as soon as that
 * gradient is final: null when the loss does not reach the parameter. The tensor is disposed after the callback
 * returns. `onLoss`: everything has been asked for, and nothing of it read. A throw of `forward` or of a callback leaves no tensor
 * behind.
 */
export function valueAndGradients(
  forward: () => Loss,
  parameters: readonly tf.Tensor[],
  onGradient: OnGradient,
  onLoss: (loss: Loss) => void = () => undefined,
): LossValues {
  return tf.tidy(() => {
    const tape: Tape = [];
    try {
      const { loss, correct } = record(forward, tape);
      new ReverseWalk(tape, loss, parameters, onGradient).run();
      onLoss({ loss, correct });
      // Asked for last: on a device that computes beside this thread, reading waits for it.
      return { loss: loss.dataSync()[0]!, correct: correct.dataSync()[0]! };
    } finally {
      // What the walk used is disposed already; this is for the rest.
      for (const node of tape) disposeSaved(node);
    }
  });
}

/** Runs `forward` with tfjs's tape on; `tape` gets its nodes even when it throws. */
function record(forward: () => Loss, tape: TapeNode[]): Loss {
  const { state } = tf.engine();
  assert(state.gradientDepth === 0, 'valueAndGradients was called while a gradient is being recorded');
  state.activeTape = tape;
  state.gradientDepth++;
  try {
    return tf.tidy(() => {
      const { loss, correct } = forward();
      assert(loss.size === 1, `expected a scalar loss, got shape [${loss.shape.join(', ')}]`);
      return { loss, correct };
    });
  } finally {
    state.gradientDepth--;
    state.activeTape = [];
  }
}

/** Saved tensors are kept, so no scope ends them. */
function disposeSaved(node: TapeNode): void {
  for (const tensor of node.saved ?? []) tensor.dispose();
}

class ReverseWalk {
  /** Ids of the tensors that depend on a parameter, and of the parameters. */
  private readonly active = new Set<number>();
  /** The nodes between parameters and loss. */
  private readonly needed = new Set<TapeNode>();
  /** How many gradients a tensor still waits for. */
  private readonly pending = new Map<number, number>();
  private readonly gradients = new Map<number, tf.Tensor>();
  private readonly parameterIndex = new Map<number, number>();

  constructor(
    private readonly tape: Tape,
    private readonly loss: tf.Tensor,
    private readonly parameters: readonly tf.Tensor[],
    private readonly onGradient: OnGradient,
  ) {
    parameters.forEach(({ id }, index) => this.parameterIndex.set(id, index));
    assert(this.parameterIndex.size === parameters.length, 'a parameter is listed twice');
    assert(!this.parameterIndex.has(loss.id), 'the loss is itself a parameter');
    this.findActive();
    this.findNeeded();
  }

  run(): void {
    this.parameters.forEach(({ id }, index) => {
      if (!this.pending.has(id)) this.onGradient(index, null);
    });
    if (this.needed.size === 0) return;
    const missing = missingGradient();
    this.gradients.set(this.loss.id, tf.onesLike(this.loss));
    for (let i = this.tape.length - 1; i >= 0; i--) {
      const node = this.tape[i]!;
      if (this.needed.has(node)) this.visit(node, missing);
      disposeSaved(node);
    }
  }

  /** Forward: what a parameter flows into. */
  private findActive(): void {
    for (const { id } of this.parameters) this.active.add(id);
    for (const node of this.tape) {
      if (activeInputs(node, this.active).length === 0) continue;
      for (const output of node.outputs) this.active.add(output.id);
    }
  }

  /** Backward: what flows into the loss, and how many gradients will reach each tensor. */
  private findNeeded(): void {
    const leadsToLoss = new Set([this.loss.id]);
    for (let i = this.tape.length - 1; i >= 0; i--) {
      const node = this.tape[i]!;
      if (!node.outputs.some(({ id }) => leadsToLoss.has(id))) continue;
      const inputs = activeInputs(node, this.active);
      if (inputs.length === 0) continue;
      this.needed.add(node);
      for (const [, { id }] of inputs) {
        leadsToLoss.add(id);
        this.pending.set(id, (this.pending.get(id) ?? 0) + 1);
      }
    }
  }

  /** Turns the gradients of a node's outputs into those of its inputs. */
  private visit(node: TapeNode, missing: tf.Tensor): void {
    const dys = node.outputs.map(({ id }) => this.gradients.get(id) ?? null);
    const inputs = activeInputs(node, this.active);
    const dxs = tf.tidy(() => {
      const gradient = node.gradient;
      assert(gradient !== undefined, `${node.kernelName} has no gradient`);
      const byInput = gradient(dys.map((dy, i) => dy ?? standIn(node, i, missing)));
      return inputs.map(([name, input]) => {
        const dx = byInput[name]?.();
        assert(dx !== undefined, `${node.kernelName} has no gradient for its input ${name}`);
        checkGradient(node, name, input, dx);
        // A tensor that somebody else disposes is not ours to keep.
        return dys.includes(dx) || node.saved?.includes(dx) ? dx.clone() : dx;
      });
    });
    for (const dy of dys) dy?.dispose();
    for (const { id } of node.outputs) this.gradients.delete(id);
    disposeSaved(node);
    inputs.forEach(([, { id }], i) => this.accumulate(id, dxs[i]!));
  }

  private accumulate(id: number, gradient: tf.Tensor): void {
    const before = this.gradients.get(id);
    const sum = before === undefined ? gradient : addTo(before, gradient);
    const pending = this.pending.get(id)! - 1;
    this.pending.set(id, pending);
    const index = this.parameterIndex.get(id);
    if (pending > 0 || index === undefined) {
      this.gradients.set(id, sum);
      return;
    }
    this.gradients.delete(id);
    this.onGradient(index, sum);
    sum.dispose();
  }
}

/** The sum of two gradients, whose tensors end. A kernel that added to the first itself returns a tensor over the same data. */
function addTo(before: tf.Tensor, gradient: tf.Tensor): tf.Tensor {
  const isAdded = before.dataId === gradient.dataId;
  const sum = isAdded ? gradient : tf.add(before, gradient);
  before.dispose();
  if (!isAdded) gradient.dispose();
  return sum;
}

/** The inputs of a node, with their names, that depend on a parameter. Optional inputs may be null. */
function activeInputs(node: TapeNode, active: ReadonlySet<number>): [string, tf.Tensor][] {
  const inputs = Object.entries(node.inputs as Record<string, tf.Tensor | null | undefined>);
  return inputs.filter((entry): entry is [string, tf.Tensor] => !!entry[1] && active.has(entry[1].id));
}

/** For an output without gradient: our kernels know the mark, tfjs's own want zeros. */
function standIn(node: TapeNode, output: number, missing: tf.Tensor): tf.Tensor {
  if (node.kernelName.startsWith('Lockstep')) return missing;
  const { shape, dtype } = node.outputs[output]!;
  return tf.zeros(shape, dtype);
}

function checkGradient(node: TapeNode, name: string, input: tf.Tensor, gradient: tf.Tensor): void {
  assert(
    gradient.dtype === 'float32' && tf.util.arraysEqual(gradient.shape, input.shape),
    `${node.kernelName}: expected a gradient of float32 [${input.shape.join(', ')}] for ${name}, ` +
      `got ${gradient.dtype} [${gradient.shape.join(', ')}]`,
  );
}
