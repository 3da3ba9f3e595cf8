// What goes wrong in a simulated cluster: which fault comes next is the generator's choice, and so is whom it hits.
import type { Random } from './random.js';
import type { Scenario } from './scenario.js';

/** What can be done to a cluster. */
export interface Victims {
  killWorker(silently: boolean): void;
  joinWorker(): void;
  leaveWorker(): void;
  freezeWorker(ms: number): void;
  hangWorker(): void;
  slowWorker(slowness: number): void;
  leapWorker(ms: number): void;
  cutConnection(): void;
  cutRoute(up: boolean, down: boolean, ms: number): void;
  cutAllRoutes(ms: number): void;
  killCoordinator(silently: boolean): void;
  killCoordinatorAmidDecisions(decisions: number): void;
  freezeCoordinator(ms: number): void;
  leapCoordinator(ms: number): void;
  stopCoordinator(): void;
  replayOldMessage(): void;
  corruptWorker(): void;
  supersedeCoordinator(ms: number): void;
}

interface Fault {
  readonly name: string;
  /** How often it comes, against the others. */
  readonly weight: number;
  readonly happen: (victims: Victims, random: Random) => void;
}

const SHORT_AND_LONG_MS = [50, 500, 3000, 8000, 40_000] as const;

const FAULTS: readonly Fault[] = [
  fault('worker dies', 4, (victims, random) => victims.killWorker(random.chance(0.3))),
  fault('worker joins', 3, (victims) => victims.joinWorker()),
  fault('worker leaves', 1, (victims) => victims.leaveWorker()),
  fault('worker stands still', 3, (victims, random) => victims.freezeWorker(random.pick(SHORT_AND_LONG_MS))),
  fault('compute thread hangs', 0.7, (victims) => victims.hangWorker()),
  fault('worker is slow', 2, (victims, random) => victims.slowWorker(random.pick([1, 3, 10, 50]))),
  fault('clock leaps', 1, (victims, random) => {
    const ms = random.pick(SHORT_AND_LONG_MS);
    if (random.chance(0.6)) victims.leapWorker(ms);
    else victims.leapCoordinator(ms);
  }),
  fault('connection breaks', 3, (victims) => victims.cutConnection()),
  fault('partition', 3, (victims, random) => {
    const both = random.chance(0.4);
    const up = both || random.chance(0.5);
    victims.cutRoute(up, both || !up, random.pick(SHORT_AND_LONG_MS));
  }),
  fault('partition of all', 0.7, (victims, random) => victims.cutAllRoutes(random.pick(SHORT_AND_LONG_MS))),
  fault('coordinator dies', 0.7, (victims, random) => victims.killCoordinator(random.chance(0.3))),
  fault('coordinator dies amid decisions', 0.7, (victims, random) =>
    victims.killCoordinatorAmidDecisions(random.below(6)),
  ),
  fault('coordinator stands still', 1.5, (victims, random) =>
    victims.freezeCoordinator(random.pick(SHORT_AND_LONG_MS)),
  ),
  fault('coordinator is stopped', 0.3, (victims) => victims.stopCoordinator()),
  fault('old message repeated', 2, (victims) => victims.replayOldMessage()),
];

/** Of scenarios that have them. */
const WRONG_WORKER = fault('worker computes wrongly', 3, (victims) => victims.corruptWorker());
const TAKEOVER = fault('coordinator is superseded', 2, (victims, random) =>
  victims.supersedeCoordinator(random.pick([7000, 8000, 40_000])),
);

function fault(name: string, weight: number, happen: Fault['happen']): Fault {
  return { name, weight, happen };
}

export function nextFault(
  random: Random,
  { wrongWorkers, takeovers }: Pick<Scenario, 'wrongWorkers' | 'takeovers'>,
): Fault {
  const faults = [...FAULTS, ...(wrongWorkers ? [WRONG_WORKER] : []), ...(takeovers ? [TAKEOVER] : [])];
  let at = random.next() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const one of faults) {
    at -= one.weight;
    if (at < 0) return one;
  }
  return faults.at(-1)!;
}
