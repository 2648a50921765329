/**
 * A bound on how deep a policy nests. Cedar's parser, validator and evaluator recurse, on a stack of one mebibyte
 * inside WebAssembly, and using it up breaks the engine for the whole process. Measured with cedar-wasm 4.13, a policy
 * may have at least 100 nested brackets of any kind, or 250 of anything else that nests: `a + b + c`, `a && b && c`,
 * `a.b.c`, `if … else if …`, one `when` after another. So a bracket costs 3 and each of the others 1, along the
 * deepest path, and the limit is well under half of what was seen to work. Text is measured before Cedar sees it, by
 * its tokens alone; where that is not exact, it errs on the high side.
 */
import { PolicyError } from './errors.ts';
import { positionOf } from './position.ts';

export const MAX_DEPTH = 100;
const BRACKET = 3;

const TOKEN =
  /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|\/\/[^\r\n]*|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|&&|\|\||==|!=|<=|>=|::|\s+|[\s\S]/g;

/** What stands between two brackets, as far as it was read. Depths are in the units above. */
interface Level {
  /** The deepest of the list items before this one: items do not nest in each other. */
  items: number;
  /** Of this item: `if`s and connectives, each of which nests everything else of the item. */
  joints: number;
  /** The deepest operand of the joints so far. */
  operands: number;
  /** Of this operand: its operators, and its deepest bracket. */
  operators: number;
  brackets: number;
}

const open = (): Level => ({ items: 0, joints: 0, operands: 0, operators: 0, brackets: 0 });

function endOperand(level: Level): void {
  level.operands = Math.max(level.operands, level.operators + level.brackets);
  level.operators = 0;
  level.brackets = 0;
}

function endItem(level: Level): void {
  endOperand(level);
  level.items = Math.max(level.items, level.joints + level.operands);
  level.joints = 0;
  level.operands = 0;
}

/** Throws `policy_too_large` if a policy nests deeper than `MAX_DEPTH`. */
export function checkNesting(text: string): void {
  let level = open();
  const enclosing: Level[] = [];
  const close = (): void => {
    const outer = enclosing.pop();
    if (outer === undefined) return;
    endItem(level);
    outer.brackets = Math.max(outer.brackets, level.items + BRACKET);
    level = outer;
  };
  const check = (index: number): void => {
    if (
      Math.max(level.items, level.joints + Math.max(level.operands, level.operators + level.brackets)) <=
      MAX_DEPTH
    )
      return;
    throw new PolicyError('policy_too_large', [
      {
        message: 'an expression nests too deep, or joins too many conditions',
        path: '/cedar',
        ...positionOf(text, index),
      },
    ]);
  };

  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    switch (token) {
      case '(':
      case '[':
      case '{':
        // An index or a call nests what stands before it.
        level.operators += 1;
        enclosing.push(level);
        level = open();
        break;
      case ')':
      case ']':
      case '}':
        close();
        break;
      case ';':
        while (enclosing.length > 0) close();
        check(index);
        level = open();
        break;
      case ',':
        endItem(level);
        break;
      case '&&':
      case '||':
      case 'when':
      case 'unless':
      case 'if':
        endOperand(level);
        level.joints += 1;
        break;
      case 'then':
      case 'else':
        endOperand(level);
        break;
      case '.':
      case '+':
      case '-':
      case '*':
      case '!':
      case '<':
      case '>':
      case '<=':
      case '>=':
      case '==':
      case '!=':
      case 'has':
      case 'like':
      case 'in':
      case 'is':
        level.operators += 1;
        break;
      default:
        break;
    }
    check(index);
  }
  while (enclosing.length > 0) close();
  check(text.length);
}

/** The text with each comment blanked out, every offset unchanged. */
export const blankComments = (text: string): string =>
  text.replace(TOKEN, (token) => (token.startsWith('//') ? ' '.repeat(token.length) : token));
