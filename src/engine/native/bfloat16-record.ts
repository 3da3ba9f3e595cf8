// What the host's backend keeps of a tensor that is stored as bfloat16. The fused kernels take the halves; tfjs's own, which are
// the cpu backend's, read `values` and so get a float32 copy.
import type { Kernels } from './addon.js';

export class Bfloat16Record {
  refCount = 1;
  readonly dtype = 'float32';
  private copy: Float32Array | null = null;

  constructor(
    readonly halves: Uint16Array,
    private readonly kernels: Kernels,
  ) {}

  get values(): Float32Array {
    if (this.copy === null) {
      this.copy = new Float32Array(this.halves.length);
      this.kernels.unpackBfloat16(this.halves, this.copy, this.copy.length);
    }
    return this.copy;
  }
}
