// Room for checkpoints: what is free where they are written.

import { Gauge, type Registry } from 'prom-client';
import type { Room } from '../../checkpoint/room.js';

/** Asked at every scrape; null: not known, or without bound. */
export type MeasureRoom = () => Promise<Room | null>;

export function storage(measure: MeasureRoom): (registry: Registry) => () => void {
  return (registry) => {
    const gauge = (name: string, help: string, value: (room: Room) => number): void => {
      new Gauge({
        name,
        help,
        registers: [registry],
        async collect() {
          const room = await measure();
          this.set(room ? value(room) : NaN);
        },
      });
    };
    gauge(
      'lockstep_storage_free_bytes',
      "Bytes that may still be written on the file system that holds the run's checkpoints; NaN in an object store.",
      ({ freeBytes }) => freeBytes,
    );
    gauge(
      'lockstep_storage_size_bytes',
      "Size of the file system that holds the run's checkpoints; NaN in an object store.",
      ({ sizeBytes }) => sizeBytes,
    );
    return () => {};
  };
}
