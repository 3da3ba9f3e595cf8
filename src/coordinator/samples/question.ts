// What a model is asked about a held-out sample, and what the sample itself answers. Pure: always the same for one sample.
import type { Sample } from '../../model/batch.js';
import type { ObjectiveConfig } from '../../model/objectives.js';

/** Tokens of a sample that are shown: a line or two of text. */
const MOST_TOKENS = 48;

export interface Question {
  readonly source: readonly number[];
  /** What training would have the model answer. */
  readonly target: readonly number[];
}

export function questionOf(sample: Sample, objective: ObjectiveConfig, maskId: number): Question {
  const shown = sample.map((ids) => Array.from(ids.slice(0, MOST_TOKENS)));
  const [text = [], target = []] = shown;
  if (objective.kind === 'seq2seq') return { source: text, target };
  if (objective.kind === 'causal') {
    const middle = text.length >>> 1;
    return { source: text.slice(0, middle), target: text.slice(middle) };
  }
  const { rate, corruption, meanSpan } = objective;
  return {
    source: masked(text, rate, corruption === 'span' ? Math.round(meanSpan) : 1, maskId),
    target: text,
  };
}

/** Hides a run of `span` tokens behind one mask at even distances, so that about `rate` of them are hidden. */
function masked(text: readonly number[], rate: number, span: number, maskId: number): number[] {
  const distance = Math.max(span + 1, Math.round(span / rate));
  const first = distance >>> 1;
  return text.flatMap((id, i) => {
    const at = (i - first) % distance;
    return i < first || at >= span ? [id] : at === 0 ? [maskId] : [];
  });
}
