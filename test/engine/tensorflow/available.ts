// Whether this machine has the tensorflow engine: its tests run only where it is.
import { inspectTensorFlow } from '../../../src/engine/tensorflow/inspect.js';

const { fault } = await inspectTensorFlow();

/** For node:test's `skip`: false, or why. */
export const skip: string | false = fault !== null && `no tensorflow engine here, ${fault}`;
