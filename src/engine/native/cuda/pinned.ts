// Memory of the host that the device copies to and from by itself. The driver goes by physical pages: such memory must stay until the
// thread that pinned it ends and unpins it (native/bindings_cuda.cc), so it is kept from the garbage collector here.
import type { CudaAddon } from '../addon.js';

const pinned = new Set<ArrayBufferLike>();

export function pin(cuda: CudaAddon, memory: ArrayBufferLike): void {
  if (pinned.has(memory)) return;
  pinned.add(memory);
  cuda.pin(new Uint8Array(memory));
}
