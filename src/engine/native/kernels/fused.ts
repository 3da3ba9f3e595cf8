// All fused kernels, for one backend.
import { registerAttention } from './attention.js';
import { registerCrossEntropy } from './cross-entropy.js';
import { registerEmbedding } from './embedding.js';
import { registerLinear } from './linear.js';
import { registerNorms } from './norm.js';

export function registerFused(backendName: string): void {
  registerLinear(backendName);
  registerAttention(backendName);
  registerNorms(backendName);
  registerEmbedding(backendName);
  registerCrossEntropy(backendName);
}
