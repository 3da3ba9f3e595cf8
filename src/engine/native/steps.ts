// What is done in order: kernels, of which only the number is written down, and other things between them.

export type Steps<Other> = (number | Other)[];

/** So many kernels follow. */
export function addKernels(steps: Steps<unknown>, count: number): void {
  const last = steps.at(-1);
  if (typeof last === 'number') steps[steps.length - 1] = last + count;
  else steps.push(count);
}
