import type { PolicyJson } from '@cedar-policy/cedar-wasm';

/**
 * What the conditions of some policies can read. `decide` leaves everything else out of its inputs: Cedar spends most
 * of a decision on taking its inputs in. Always on the wide side, as names only: an attribute `a` anywhere counts as
 * read wherever there is one of that name.
 */
export interface Reads {
  readonly attributes: ReadonlySet<string>;
  /** The context is used as a value, not by its attributes: then all of it is read. */
  readonly wholeContext: boolean;
  /** Ids of the entities named, by type. */
  readonly named: ReadonlyMap<string, ReadonlySet<string>>;
}

export function readsOf(policies: readonly PolicyJson[]): Reads {
  const attributes = new Set<string>();
  const named = new Map<string, Set<string>>();
  let wholeContext = false;

  const name = (type: unknown, id: unknown): void => {
    if (typeof type !== 'string' || typeof id !== 'string') return;
    const ids = named.get(type) ?? new Set();
    named.set(type, ids.add(id));
  };
  const attribute = (value: unknown): void => {
    for (const part of Array.isArray(value) ? value : [value])
      if (typeof part === 'string') attributes.add(part);
  };
  // An explicit stack: the JSON nests about three times as deep as the text.
  const waiting: unknown[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      waiting.push(...node);
      return;
    }
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key === 'Var' && value === 'context') wholeContext = true;
      if (key === 'type' && 'id' in node) name(value, node.id);
      if ((key === '.' || key === 'has') && isAccess(value)) {
        attribute(value.attr);
        if (!isContext(value.left)) waiting.push(value.left);
      } else {
        waiting.push(value);
      }
    }
  };
  for (const { principal, resource, conditions } of policies) waiting.push(principal, resource, conditions);
  while (waiting.length > 0) visit(waiting.pop());
  return { attributes, wholeContext, named };
}

const isAccess = (value: unknown): value is { left: unknown; attr: unknown } =>
  typeof value === 'object' && value !== null && 'left' in value && 'attr' in value;

const isContext = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'Var' in value && value.Var === 'context';
