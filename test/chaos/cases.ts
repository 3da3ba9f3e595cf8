// How a case of the chaos matrix is written down: a sentence, the model it needs, and what is done to its run. When that is
// done the run is awaited, and its bits are compared with those of an undisturbed run.
import { after, test } from 'node:test';
import { Stage, type Format, type ModelName, type Scene } from './scene.js';

/** `npm run chaos` runs all cases; `npm test` those that cost little for what they find. */
export const IS_FULL = process.env['LOCKSTEP_CHAOS'] === 'full';

export interface CaseOptions {
  readonly model?: ModelName;
  /** Left out of `npm test`, where another case stands for it. */
  readonly full?: boolean;
  /** In the full matrix also with bfloat16 products and wire. */
  readonly bothFormats?: boolean;
  readonly settings?: readonly string[];
  /** A sentence when this machine cannot run it. */
  readonly skip?: string | false;
}

export type Case = (name: string, options: CaseOptions, disturb: (scene: Scene) => Promise<void>) => void;

/** The cases of one file share a data set and their undisturbed runs. */
export function chaosCases(): Case {
  const stage = new Stage();
  after(() => stage.remove());
  return (name, { model = 'small', full, bothFormats, settings = [], skip = false }, disturb) => {
    if (full && !IS_FULL) return;
    const formats: Format[] = bothFormats && IS_FULL ? ['float32', 'bfloat16'] : ['float32'];
    for (const format of formats) {
      const body = async (scene: Scene): Promise<void> => {
        await disturb(scene);
        await scene.finish();
      };
      test(format === 'float32' ? name : `${name} (${format})`, { skip }, () =>
        stage.play(body, { model, format, settings }),
      );
    }
  };
}
