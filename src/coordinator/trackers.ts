// The experiment trackers that a run's config asks for, and the job's owner where the environment names one.
import type { Logger } from 'pino';
import { flatten } from '../config/differences.js';
import { KubeflowTrainer, kubeflowServer } from '../live/kubeflow-trainer.js';
import type { RunView } from '../live/run-view.js';
import type { RunStarted } from '../metrics/events.js';
import { Mlflow } from '../metrics/tracking/mlflow.js';
import { MlflowClient } from '../metrics/tracking/mlflow-client.js';
import { TensorBoard } from '../metrics/tracking/tensorboard.js';
import type { Tracker } from '../metrics/tracking/tracker.js';
import type { OpenRun } from './run.js';

/** @param view the run as it stands when it is asked */
export function startTrackers(
  run: OpenRun,
  started: RunStarted,
  view: () => RunView,
  log: Logger,
): Tracker[] {
  const { config, directory } = run;
  const { tensorboard, mlflow, experiment } = config.tracking;
  const onFailure = (message: string): void => log.warn(message);
  const trackers: Tracker[] = [];
  if (tensorboard) {
    const { version, term } = started;
    trackers.push(new TensorBoard({ directory: directory.tensorboard, version, term, onFailure }));
  }
  if (mlflow !== null) {
    const { env } = process;
    const client = new MlflowClient(mlflow, {
      token: env['MLFLOW_TRACKING_TOKEN'],
      username: env['MLFLOW_TRACKING_USERNAME'],
      password: env['MLFLOW_TRACKING_PASSWORD'],
    });
    const parameters = Object.fromEntries([...flatten(config)].map(([key, value]) => [key, String(value)]));
    trackers.push(new Mlflow({ client, experiment, run: started, parameters, onFailure }));
  }
  const kubeflow = kubeflowServer(process.env);
  if (kubeflow !== null) trackers.push(new KubeflowTrainer({ ...kubeflow, view, onFailure }));
  return trackers;
}
