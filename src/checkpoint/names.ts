// Names of checkpoint directories (step-N, or step-N-term-T when step-N is taken) and of the files in them.

/** The parameters: what makes a checkpoint a Hugging Face model. */
export const MODEL_FILE = 'model.safetensors';
/** Where other writers say which of several files holds which tensor. */
export const INDEX_FILE = 'model.safetensors.index.json';
/** AdamW's moments. */
export const OPTIMIZER_FILE = 'optimizer.safetensors';
export const STATE_FILE = 'state.json';

const PATTERN = /^step-(\d{1,15})(?:-term-\d{1,15})?$/;

/** `withTerm` makes a name that no other incarnation of the coordinator can choose. */
export function checkpointName(step: number, term: number, withTerm: boolean): string {
  return withTerm ? `step-${step}-term-${term}` : `step-${step}`;
}

/** The step in a checkpoint directory's name; null for any other name. */
export function stepOfName(name: string): number | null {
  const digits = PATTERN.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}
