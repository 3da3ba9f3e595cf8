// What a welcome carries where nothing is computed: the smallest model there is, since only sizes and times decide.
import type { Job } from '../protocol/job.js';

export function nominalJob({
  microBatches,
  wire,
  heartbeat,
}: Pick<Job, 'microBatches' | 'wire' | 'heartbeat'>): Job {
  const ids = { padId: 0, endId: 1, startId: 0, vocabularySize: 8 };
  return {
    seed: 0,
    model: {
      ...ids,
      width: 2,
      heads: 1,
      feedForward: 2,
      encoderLayers: 1,
      decoderLayers: 1,
      maxLength: 4,
      dropout: 0,
      norm: 'post',
      activation: 'relu',
    },
    objective: { kind: 'causal' },
    tokens: { ...ids, maskId: 2, specialIds: [0, 1, 2] },
    microBatches,
    labelSmoothing: 0,
    precision: 'float32',
    emulate: false,
    wire,
    heartbeat,
  };
}
