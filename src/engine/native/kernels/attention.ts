// The attention kernels: where q, k and v lie in the packed tensors, and the addon's call.
import { type AttentionAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { AttentionShape } from '../addon.js';
import type { KernelBackend } from '../kernel-backend.js';
import { register } from './register.js';

/** q, k and v side by side in qkv [B, T, 3d]. */
function selfShape(
  { precision }: KernelBackend,
  inputs: Inputs,
  { heads, causal }: AttentionAttrs,
): AttentionShape {
  const [batch, length, packed] = inputs.qkv!.shape as [number, number, number];
  const width = packed / 3;
  return {
    batch,
    queries: length,
    keys: length,
    heads,
    headWidth: width / heads,
    qOffset: 0,
    qStride: packed,
    kOffset: width,
    vOffset: 2 * width,
    kvStride: packed,
    causal,
    precision,
  };
}

/** q alone in [B, Tq, d], k and v side by side in kv [B, Tk, 2d]. */
function crossShape({ precision }: KernelBackend, inputs: Inputs, { heads }: AttentionAttrs): AttentionShape {
  const [batch, queries, width] = inputs.q!.shape as [number, number, number];
  return {
    batch,
    queries,
    keys: inputs.kv!.shape[1]!,
    heads,
    headWidth: width / heads,
    qOffset: 0,
    qStride: width,
    kOffset: 0,
    vOffset: width,
    kvStride: 2 * width,
    causal: false,
    precision,
  };
}

/** `query` and `memory` name the tensors that hold q, and k and v. */
function forward(
  backend: KernelBackend,
  inputs: Inputs,
  shape: AttentionShape,
  query: string,
  memory: string,
) {
  const out = backend.operandOutput([shape.batch, shape.queries, shape.heads * shape.headWidth]);
  const logSum = backend.floatOutput([shape.batch, shape.heads, shape.queries]);
  backend.kernels.attention(
    backend.operand(inputs[query]!),
    backend.operand(inputs[memory]!),
    backend.integers(inputs.lengths!, shape.keys + 1),
    out.values,
    logSum.values,
    shape,
  );
  return [out.info, logSum.info];
}

function gradient(
  backend: KernelBackend,
  inputs: Inputs,
  shape: AttentionShape,
  query: string,
  memory: string,
) {
  const dQuery = backend.operandOutput(inputs[query]!.shape);
  const dMemory = query === memory ? dQuery : backend.operandOutput(inputs[memory]!.shape);
  backend.kernels.attentionGradient(
    backend.operand(inputs[query]!),
    backend.operand(inputs[memory]!),
    backend.integers(inputs.lengths!, shape.keys + 1),
    backend.operand(inputs.out!),
    backend.floats(inputs.logSum!),
    backend.operand(inputs.dy!),
    dQuery.values,
    dMemory.values,
    shape,
  );
  return [dQuery.info, dMemory.info];
}

export function registerAttention(backendName: string): void {
  register<AttentionAttrs>(backendName, Kernel.selfAttention, (backend, inputs, attrs) =>
    forward(backend, inputs, selfShape(backend, inputs, attrs), 'qkv', 'qkv'),
  );
  register<AttentionAttrs>(
    backendName,
    Kernel.selfAttentionGradient,
    (backend, inputs, attrs) =>
      gradient(backend, inputs, selfShape(backend, inputs, attrs), 'qkv', 'qkv')[0]!,
  );
  register<AttentionAttrs>(backendName, Kernel.crossAttention, (backend, inputs, attrs) =>
    forward(backend, inputs, crossShape(backend, inputs, attrs), 'q', 'kv'),
  );
  register<AttentionAttrs>(backendName, Kernel.crossAttentionGradient, (backend, inputs, attrs) =>
    gradient(backend, inputs, crossShape(backend, inputs, attrs), 'q', 'kv'),
  );
}
