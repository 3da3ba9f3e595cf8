// A worker thread for store.test.ts: writes its share of a shared vector, as a reducer does.

import { workerData } from 'node:worker_threads';
import { writeSlice } from '../../src/checkpoint/files.js';

const { file, offset, buffer, first, end } = workerData as {
  file: string;
  offset: number;
  buffer: SharedArrayBuffer;
  first: number;
  end: number;
};
await writeSlice(file, offset + 4 * first, new Float32Array(buffer).subarray(first, end));
