/**
 * Cedar keeps a parsed policy set under a name until the name is used again; nothing can be dropped. Names are
 * therefore a fixed supply: the set used least recently gives its name up, and what it held is overwritten at once.
 * A name is only ever found through the very object whose policies were parsed under it, so one organisation's, one
 * version's or one action's set is never taken for another's.
 */
import type { ActionPolicies } from './compile.ts';
import { preparsePolicySet } from './engine.ts';
import { PolicyError } from './errors.ts';

const MAX_SETS = 4096;
/** Parsed policies take about 25 to 50 times their text: 50 to 100 MB at the most. */
const MAX_TEXT = 2 * 1024 * 1024;

/** Least recently used first. */
const names = new Map<ActionPolicies, string>();
const unused: string[] = [];
let made = 0;
let text = 0;

/** The name under which Cedar has these policies parsed. */
export function preparsedName(policies: ActionPolicies): string {
  const known = names.get(policies);
  if (known !== undefined) {
    names.delete(policies);
    names.set(policies, known);
    return known;
  }
  makeRoom(policies.size);
  const name = unused.pop() ?? String(made++);
  parseInto(name, policies);
  names.set(policies, name);
  text += policies.size;
  return name;
}

function makeRoom(size: number): void {
  for (const [policies, name] of names) {
    if (names.size < MAX_SETS && text + size <= MAX_TEXT) return;
    parseInto(name, undefined);
    names.delete(policies);
    text -= policies.size;
    unused.push(name);
  }
}

function parseInto(name: string, policies: ActionPolicies | undefined): void {
  const staticPolicies: Record<string, string> = {};
  for (const [id, policy] of policies?.byId ?? []) staticPolicies[id] = policy.text;
  const { type } = preparsePolicySet(name, { staticPolicies });
  if (type === 'failure')
    throw new PolicyError('policy_engine_failed', [{ message: 'checked policies did not parse again' }]);
}
