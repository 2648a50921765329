/** What operators watch. Labels are codes and method names only. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  readonly calls: Counter<'method' | 'code'>;
  readonly duration: Histogram<'method'>;
  readonly workersEnded: Counter<'reason'>;
}

export function newMetrics(workers: () => number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'astis_cvs_workers',
    help: 'Worker processes, those about to end among them',
    registers,
    collect() {
      this.set(workers());
    },
  });
  return {
    registry,
    calls: new Counter({
      name: 'astis_cvs_calls_total',
      help: 'Calls by method and by code: granted, or why not',
      labelNames: ['method', 'code'],
      registers,
    }),
    duration: new Histogram({
      name: 'astis_cvs_call_seconds',
      help: 'Time from the message to its answer',
      labelNames: ['method'],
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    workersEnded: new Counter({
      name: 'astis_cvs_workers_ended_total',
      help: 'Worker processes that ended, by reason; crash and timeout want a look',
      labelNames: ['reason'],
      registers,
    }),
  };
}
