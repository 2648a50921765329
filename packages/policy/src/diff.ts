import { createTwoFilesPatch } from 'diff';
import type { PolicyDocument } from './document.ts';
import { PolicyError } from './errors.ts';
import type { ParsedPolicy } from './parse.ts';
import { parsePolicies } from './parse.ts';

/** One field of the document, `cedar` excepted. `before` is null where there was no document. */
export interface FieldChange {
  readonly field: Exclude<keyof PolicyDocument, 'cedar'>;
  readonly before: string | number | boolean | null;
  readonly after: string | number | boolean;
}

export interface PolicyText {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
}

export interface PolicyChange {
  readonly id: string;
  readonly before: string;
  readonly after: string;
}

/** What an administrator changed, for the audit event. JSON. */
export interface PolicyDiff {
  readonly fields: readonly FieldChange[];
  /** By `@id`. `changed` means another meaning or another `@reason`; mere layout and comments show in `text` only. */
  readonly policies: {
    readonly added: readonly PolicyText[];
    readonly removed: readonly PolicyText[];
    readonly changed: readonly PolicyChange[];
  };
  /** Unified diff of the Cedar text; empty if it is the same. */
  readonly text: string;
}

const FIELDS: readonly FieldChange['field'][] = [
  'version',
  'defaultTtlSeconds',
  'maxTtlSeconds',
  'timeZone',
  'recovery',
  'approvalValidSeconds',
];
/** Lines added and removed up to which the shortest diff is looked for: its cost grows with their square. */
const MAX_EDITS = 2000;

/** Compares two documents that `compilePolicy` took; `before` is undefined for the first. */
export function diffPolicies(before: PolicyDocument | undefined, after: PolicyDocument): PolicyDiff {
  const old = new Map(
    before === undefined ? [] : readable(before.cedar).map((policy) => [policy.id, policy]),
  );
  const current = new Map(parsePolicies(after.cedar).map((policy) => [policy.id, policy]));
  return {
    fields: FIELDS.map((field) => ({ field, before: before?.[field] ?? null, after: after[field] })).filter(
      (change) => change.before !== change.after,
    ),
    policies: {
      added: [...current.values()].filter(({ id }) => !old.has(id)).map(policyText),
      removed: [...old.values()].filter(({ id }) => !current.has(id)).map(policyText),
      changed: [...current.values()].flatMap(({ id, text, json }): PolicyChange[] => {
        const was = old.get(id);
        if (was === undefined || JSON.stringify(was.json) === JSON.stringify(json)) return [];
        return [{ id, before: was.text, after: text }];
      }),
    },
    text: unified(before?.cedar ?? '', after.cedar),
  };
}

/** A document of long ago may not parse any more; that must not keep its successor out. `text` still shows it. */
function readable(cedar: string): readonly ParsedPolicy[] {
  try {
    return parsePolicies(cedar);
  } catch (error) {
    if (error instanceof PolicyError && error.code !== 'policy_engine_failed') return [];
    throw error;
  }
}

const policyText = ({ id, effect, text }: ParsedPolicy): PolicyText => ({ id, effect, text });

function unified(before: string, after: string): string {
  if (before === after) return '';
  const patch = (options: { context: number; maxEditLength: number }) =>
    createTwoFilesPatch('before', 'after', before, after, undefined, undefined, options);
  return patch({ context: 3, maxEditLength: MAX_EDITS }) ?? wholly(before, after);
}

/** Everything out, everything in. */
function wholly(before: string, after: string): string {
  const empty = (from: string, to: string): string => createTwoFilesPatch('before', 'after', from, to);
  return `${empty(before, '')}${empty('', after)}`;
}
