/**
 * A process that was killed keeps its number until its parent, or init in the parent's place, has waited for it: at once
 * on most machines, never in a container whose first process waits for nobody. Signals still reach the number, so that
 * it looks alive.
 */
import { readFileSync } from 'node:fs';

/** Whether the process has ended and only its number is left. False where the system does not tell. */
export function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}
