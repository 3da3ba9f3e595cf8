// What a run has recorded in its metrics.jsonl.
import { join } from 'node:path';
import { metricsRecords, type MetricsRecord } from '../../src/metrics/metrics-log.js';

type Kind = MetricsRecord['kind'];
type RecordOf<K extends Kind> = Extract<MetricsRecord, { readonly kind: K }>;

/** The records of one kind, in order. */
export async function recordsOf<K extends Kind>(run: string, kind: K): Promise<RecordOf<K>[]> {
  const records: RecordOf<K>[] = [];
  for await (const record of metricsRecords(join(run, 'metrics.jsonl'))) {
    if (record.kind === kind) records.push(record as RecordOf<K>);
  }
  return records;
}
