// What the coordinator decides in one turn: its parts put their actions here, in order, and read the time here.
import type { TrainingEvent } from '../metrics/events.js';
import type { CoordinatorAction } from './events.js';

export class Decisions {
  private actions: CoordinatorAction[] = [];
  /** Monotonic milliseconds; the same for the whole turn. */
  now = 0;

  /** Runs one turn and returns what was decided in it. */
  turn(now: number, body: () => void): CoordinatorAction[] {
    this.actions = [];
    this.now = now;
    body();
    return this.actions;
  }

  add(action: CoordinatorAction): void {
    this.actions.push(action);
  }

  publish(event: TrainingEvent): void {
    this.actions.push({ type: 'event', event });
  }

  log(level: 'info' | 'warn' | 'error', message: string): void {
    this.actions.push({ type: 'log', level, message });
  }
}
