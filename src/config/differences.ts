// Which changes of a config forbid to continue a run bit for bit.

import { dependsOnSteps } from '../optim/schedule.js';
import { isObject } from '../util/json.js';
import type { RunConfig } from './schema.js';
import { inWords } from './values.js';

/**
 * The keys in which `now` differs from the config that a run was `saved` with so that it cannot be continued, each
 * with both values: "model.width (256 in the run, 512 now)". Empty: the run can go on. What changes no bits may
 * change: name, checkpoints, initialise (read at the beginning), reducers, worker, hardware, heartbeat, ownership, evaluate,
 * audit, auditAction, maxSkips, checkpoint, tracking; so may the number of steps, unless the
 * learning rate depends on it, and the path of `data` (the caller compares what lies there).
 */
export function configDifferences(saved: RunConfig, now: RunConfig): string[] {
  const before = flatten(whatDecidesBits(saved));
  const after = flatten(whatDecidesBits(now));
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys]
    .filter((key) => !Object.is(before.get(key), after.get(key)))
    .map((key) => `${key} (${inWords(before.get(key))} in the run, ${inWords(after.get(key))} now)`);
}

/** The part of a config that the trained weights depend on. */
function whatDecidesBits(config: RunConfig): object {
  const { seed, model, objective, window, batch, labelSmoothing, optimizer, steps, wire, precision } = config;
  const decides = {
    seed,
    model,
    objective: whatCorrupts(objective),
    batch,
    labelSmoothing,
    optimizer,
    wire,
    precision,
  };
  return {
    ...decides,
    ...(objective.kind === 'seq2seq' ? {} : { window }),
    ...(dependsOnSteps(optimizer.schedule.kind) ? { steps } : {}),
  };
}

/** `meanSpan` is read only where spans are hidden. */
function whatCorrupts(objective: RunConfig['objective']): object {
  if (objective.kind !== 'masked' || objective.corruption === 'span') return objective;
  const { kind, rate, corruption, loss } = objective;
  return { kind, rate, corruption, loss };
}

/** Every value of a nested config by its key with those it lies in, such as "optimizer.schedule.kind". */
export function flatten(value: object, prefix = '', into = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, item] of Object.entries(value)) {
    if (isObject(item)) flatten(item, `${prefix}${key}.`, into);
    else into.set(prefix + key, item);
  }
  return into;
}
