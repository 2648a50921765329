const LIMIT_MS = 300_000;
const PAUSE_MS = 20;

/** Asks again and again. Rejects, and says what did not happen, after five minutes: recovery of a big database is slow. */
export async function until(done: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL: ${otherwise}`);
    await new Promise((wake) => setTimeout(wake, PAUSE_MS));
  }
}
