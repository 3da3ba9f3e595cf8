#!/usr/bin/env node
// Stands for a Python with torch: answers as bench/peers/torch_peer.py does, with half a second a step, or a quarter when compiled.
import { createInterface } from 'node:readline';

const say = (fields: object): void =>
  void process.stdout.write(`${JSON.stringify({ ...fields, peakBytes: 1 })}\n`);
const second = process.argv.includes('--compile') ? 0.25 : 0.5;

say({ version: 'fake', parameters: Number(process.env['FAKE_PARAMETERS']) });
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line) as { steps: number };
  say({ seconds: Array<number>(steps).fill(second) });
}
