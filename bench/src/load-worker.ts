/** The process behind load.ts. */
import { Pool } from 'undici';
import type { LoadPlan, LoadResult } from './load.ts';
import { quantile } from './statistics.ts';

async function run({ origin, ca, connections, requests }: LoadPlan): Promise<LoadResult> {
  const pool = new Pool(origin, { connections, pipelining: 1, connect: { ca, minVersion: 'TLSv1.3' } });
  const times: number[] = [];
  let failed = 0;
  let firstFailure: string | undefined;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
      const started = performance.now();
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: request.path,
        headers: request.headers,
        body: request.body,
      });
      const text = await body.text();
      times.push(performance.now() - started);
      if (statusCode >= 300) {
        failed++;
        firstFailure ??= `${statusCode} ${text.slice(0, 300)}`;
      }
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: connections }, worker));
  const seconds = (performance.now() - started) / 1000;
  await pool.close();
  return {
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    failed,
    ...(firstFailure === undefined ? {} : { firstFailure }),
  };
}

process.once('message', (plan) => {
  run(plan as LoadPlan).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      throw error;
    },
  );
});
