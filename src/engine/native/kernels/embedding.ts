// The kernels of the embedding: look-up, scale, positions, dropout.
import { type EmbeddingAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { KernelBackend } from '../kernel-backend.js';
import { register, widthOf } from './register.js';

function embedding(backend: KernelBackend, inputs: Inputs, { scale, first, dropout }: EmbeddingAttrs) {
  const [batch, length] = inputs.ids!.shape as [number, number];
  const width = widthOf(inputs.table!);
  const out = backend.residualOutput([batch, length, width]);
  backend.kernels.embedding(
    backend.floats(inputs.table!),
    backend.floats(inputs.positions!),
    backend.integers(inputs.ids!, inputs.table!.shape[0]!),
    out.values,
    batch * length,
    length,
    first,
    width,
    scale,
    dropout,
  );
  return out.info;
}

function embeddingGradient(
  backend: KernelBackend,
  inputs: Inputs,
  { scale, padding, dropout }: EmbeddingAttrs,
) {
  const [batch, length, width] = inputs.dy!.shape as [number, number, number];
  const dTable = backend.gradientOutput(inputs.table!);
  backend.kernels.embeddingGradient(
    backend.residual(inputs.dy!),
    backend.integers(inputs.ids!, inputs.table!.shape[0]!),
    dTable.values,
    batch * length,
    inputs.table!.shape[0]!,
    width,
    scale,
    dropout,
    padding,
    dTable.accumulate,
  );
  return dTable.info;
}

export function registerEmbedding(backendName: string): void {
  register<EmbeddingAttrs>(backendName, Kernel.embedding, embedding);
  register<EmbeddingAttrs>(backendName, Kernel.embeddingGradient, embeddingGradient);
}
